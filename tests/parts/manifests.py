"""Holds manifests against the schemas of Kubernetes and of the custom resources the chart makes.

Takes files of YAML, and prints for each a line of JSON: {"objects": […], "problems": ["…"]}. Unknown fields are problems,
as are kinds that nobody knows.
"""

import json
import os
import sys

import jsonschema
import kubernetes_validate
import yaml

VERSIONS = ["1.30", "1.37"]


def problems(item, custom):
    """What is wrong with one object."""
    kind = f"{item.get('apiVersion')}/{item.get('kind')}"
    name = f"{kind} {item.get('metadata', {}).get('name')}"
    if kind in custom:
        checks = [lambda: jsonschema.validate(item["spec"], custom[kind])]
    else:
        checks = [lambda v=v: kubernetes_validate.validate(item, v, strict=True) for v in VERSIONS]
    for check in checks:
        try:
            check()
        except jsonschema.ValidationError as error:
            yield f"{name}: {'.'.join(map(str, error.absolute_path))}: {error.message}"
        except kubernetes_validate.ValidationError as error:
            yield f"{name}: {'.'.join(map(str, error.path))}: {error.message}"
        except (kubernetes_validate.SchemaNotFoundError, KeyError) as error:
            yield f"{name}: no schema: {error}"


def main(files):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "crds.json"), encoding="utf-8") as text:
        custom = json.load(text)
    for file in files:
        with open(file, encoding="utf-8") as text:
            objects = [item for item in yaml.safe_load_all(text) if item is not None]
        found = [problem for item in objects for problem in problems(item, custom)]
        print(json.dumps({"objects": objects, "problems": found}))


main(sys.argv[1:])

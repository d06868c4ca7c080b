"""Prints what the blueprint for authentik and the Terraform beside it say, as one object of JSON with both.

The blueprint is {"model name": attributes}, with authentik's own tags as objects. The Terraform is {"type.name": attributes}, with
expressions as they are written within ${}.
"""

import json
import sys
import textwrap

import hcl2
import yaml


class Blueprint(yaml.SafeLoader):
    """YAML with authentik's own tags, such as !Env."""


def tagged(loader, tag, node):
    """A tag and what stands behind it."""
    if isinstance(node, yaml.ScalarNode):
        return {tag: loader.construct_scalar(node)}
    return {tag: loader.construct_sequence(node, deep=True)}


Blueprint.add_multi_constructor("!", tagged)


def entries(blueprint):
    """Each object that the blueprint makes, by its model and name."""
    for entry in blueprint["entries"]:
        names = entry["identifiers"]
        yield f"{entry['model']} {names.get('name', names.get('slug'))}", {**names, **entry.get("attrs", {})}


def plain(value):
    """What the parser of HCL read, without the marks of its own."""
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, str):
        return value
    text = value[1:-1] if value.startswith('"') and value.endswith('"') else value
    if text.startswith("<<-EOT\n"):
        return textwrap.dedent(text.removeprefix("<<-EOT\n").rsplit("\n", 1)[0] + "\n")
    return text


def blocks(kind, terraform):
    """Each block of a kind, by its type and name."""
    for block in terraform[kind]:
        for type_name, named in plain(block).items():
            for name, attributes in named.items():
                yield f"{type_name}.{name}", attributes


def main(blueprint, terraform):
    """Reads both and prints them."""
    with open(blueprint, encoding="utf-8") as text:
        made = dict(entries(yaml.load(text, Blueprint)))
    with open(terraform, encoding="utf-8") as text:
        read = hcl2.load(text)
    parts = {**dict(blocks("resource", read)), **{f"data.{name}": one for name, one in blocks("data", read)}}
    print(json.dumps({"blueprint": made, "terraform": parts}))


main(*sys.argv[1:])

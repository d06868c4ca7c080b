"""Notes of tenants: an app without a line about signing in.

foregate stands in front of it. Who somebody is, and what they may do, comes in headers that clients cannot set; who may
call what stands in foregate.toml.
"""

from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

HERE = Path(__file__).parent
SWAGGER = HERE / "node_modules" / "swagger-ui-dist"

app = FastAPI(title="Notes", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")


class Person(BaseModel):
    """Who asks, as foregate says."""

    user: str
    name: str
    tenant: str
    roles: list[str]
    permissions: list[str]


class Draft(BaseModel):
    text: str


class Note(Draft):
    id: int
    author: str


def names(line: str) -> list[str]:
    return [name for name in line.split(",") if name]


def person(
    remote_user: Annotated[str, Header(include_in_schema=False)] = "",
    remote_name: Annotated[str, Header(include_in_schema=False)] = "",
    x_tenant_id: Annotated[str, Header(description="One of your tenants; without it, the first")] = "",
    x_roles: Annotated[str, Header(include_in_schema=False)] = "",
    x_permissions: Annotated[str, Header(include_in_schema=False)] = "",
) -> Person:
    return Person(
        user=remote_user, name=remote_name, tenant=x_tenant_id, roles=names(x_roles), permissions=names(x_permissions)
    )


Asks = Annotated[Person, Depends(person)]

# Of each tenant, by id. A real app has a database here.
notes: dict[str, dict[int, Note]] = {}
last_id = 0


@app.get("/api/me")
def me(person: Asks) -> Person:
    return person


@app.get("/api/notes")
def read(person: Asks) -> list[Note]:
    return list(notes.get(person.tenant, {}).values())


@app.post("/api/notes", status_code=201)
def write(draft: Draft, person: Asks) -> Note:
    global last_id
    last_id += 1
    note = Note(id=last_id, author=person.user, text=draft.text)
    notes.setdefault(person.tenant, {})[note.id] = note
    return note


@app.delete("/api/notes/{note_id}", status_code=204)
def delete(note_id: int, person: Asks) -> None:
    if notes.get(person.tenant, {}).pop(note_id, None) is None:
        raise HTTPException(404, "There is no such note.")


# FastAPI's own page takes Swagger UI from a CDN; this one takes it from npm, so that nobody else's script runs here.
@app.get("/api/docs", include_in_schema=False)
def docs():
    at = "/api/docs/swagger-ui"
    return get_swagger_ui_html(
        openapi_url="/api/openapi.json",
        title="Notes",
        swagger_js_url=f"{at}/swagger-ui-bundle.js",
        swagger_css_url=f"{at}/swagger-ui.css",
        swagger_favicon_url=f"{at}/favicon-32x32.png",
    )


app.mount("/api/docs/swagger-ui", StaticFiles(directory=SWAGGER))
app.mount("/", StaticFiles(directory=HERE / "web", html=True))

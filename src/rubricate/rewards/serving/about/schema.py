"""The OpenAPI 3.1 description of what is served, made of the records that are read and written."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Any, get_args

import msgspec

from rubricate.rewards.serving.about.pages import Page
from rubricate.rewards.serving.contracts.seam import Form, Version
from rubricate.rewards.serving.intake.refusals import CODES, ProblemAnswer

_REF = "#/components/schemas/{name}"
_JSON = "application/json"
_PROBLEM = {
    "description": "No reward, and why.",
    "content": {_JSON: {"schema": {"$ref": _REF.format(name="ProblemAnswer")}}},
}
_PROBLEMS = {str(status): _PROBLEM for status in sorted({status for status, _ in CODES.values()})}


def document(
    forms: Sequence[Form], pages: Sequence[Page], version: Version, *, with_token: bool
) -> dict[str, Any]:
    """The description of the server as JSON has it; what needs the token says so where there is one."""
    sides = [kind for form in forms for side in (form.request, form.response) for kind in _kinds(side)]
    named = list(dict.fromkeys([*filter(_is_record, sides), ProblemAnswer]))
    _, components = msgspec.json.schema_components(named, ref_template=_REF)
    locked: dict[str, Any] = {"security": [{"token": []}]} if with_token else {}
    paths: dict[str, Any] = {form.path: {"post": {**_posted(form), **locked}} for form in forms}
    for page in pages:
        paths[page.path] = {page.method.lower(): {**_asked(page), **({} if page.is_open else locked)}}
    codes = "\n".join(f"- `{code}` ({status}): {about}" for code, (status, about) in CODES.items())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rubricate serve",
            "version": f"{version.api}+{version.package}",
            "description": f"Rewards over HTTP. An answer that is no reward has a code:\n\n{codes}",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _posted(form: Form) -> dict[str, Any]:
    answer = {"description": "Rewards.", "content": {_JSON: {"schema": _schema(form.response)}}}
    return {
        "summary": form.summary,
        "operationId": _id_of(form.path),
        "requestBody": _body(_schema(form.request)),
        "responses": {"200": answer, **_PROBLEMS},
    }


def _asked(page: Page) -> dict[str, Any]:
    answers = {
        str(status): {"description": "As it is.", "content": {page.media: {"schema": schema}}}
        for status, schema in page.kinds.items()
    }
    body = {} if page.request is None else {"requestBody": _body(page.request)}
    return {
        "summary": page.summary,
        "operationId": _id_of(page.path),
        **body,
        "responses": {**_PROBLEMS, **answers},
    }


def _body(schema: Any) -> dict[str, Any]:
    return {"required": True, "content": {_JSON: {"schema": schema}}}


def _id_of(path: str) -> str:
    return path.strip("/").replace("/", "_").replace(".", "_")


def _kinds(side: Any) -> tuple[Any, ...]:
    return get_args(side) if isinstance(side, UnionType) else (side,)


def _is_record(side: Any) -> bool:
    return isinstance(side, type)


def _schema(side: Any) -> dict[str, Any]:
    """A record by its name among the components; a schema as it is."""
    if isinstance(side, dict):
        return side
    found, _ = msgspec.json.schema_components(_kinds(side), ref_template=_REF)
    return found[0] if len(found) == 1 else {"anyOf": list(found)}

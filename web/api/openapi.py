"""The OpenAPI document: what FastAPI finds in the routes, completed with problems and the bearer scheme."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from web.answers import Problem, SettingFault

REFERENCE = "#/components/schemas/{model}"
BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
METRICS = {"type": "http", "scheme": "bearer", "description": "The token of `portability metrics --token`"}
OF_VALIDATION = ("HTTPValidationError", "ValidationError")
"""FastAPI's own answers to a malformed request, which are not sent: they are problems too."""


def document(app: FastAPI) -> None:
    """Have the application publish the completed document."""
    app.openapi = partial(_document, app)  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = made.setdefault("components", {})
        for model in (SettingFault, Problem):
            schema = model.model_json_schema(ref_template=REFERENCE)
            schema.pop("$defs", None)
            components["schemas"][model.__name__] = schema
        for name in OF_VALIDATION:
            components["schemas"].pop(name, None)
        components["securitySchemes"] = {"bearer": BEARER, "metrics": METRICS}
        for path, operations in made["paths"].items():
            for operation in operations.values():
                _describe(path, operation)
        for model in [*components["schemas"].values()]:
            _name_enums(model, components["schemas"])
        app.openapi_schema = made
    return app.openapi_schema


def _name_enums(node: Any, schemas: dict[str, Any]) -> None:  # noqa: ANN401  # any part of the document
    """Replace a set of names that a request accepts by a reference to the component with these names."""
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _name_enums(each, schemas)
    if not isinstance(node, dict) or not {"enum", "title"} <= node.keys() or node is schemas.get(node["title"]):
        return
    names = {keyword: node.pop(keyword) for keyword in ("type", "enum", "title")}
    known = schemas.setdefault(names["title"], names)
    if sorted(known["enum"]) == names["enum"]:
        node["$ref"] = REFERENCE.format(model=names["title"])
    else:
        node.update(names)


def _describe(path: str, operation: dict[str, Any]) -> None:
    if path.startswith("/v1/") and not path.endswith(("/receipt", "/rotation")) and "public" not in operation["tags"]:
        operation["security"] = [{"bearer": []}]
    if path == "/metrics":
        operation["security"] = [{"metrics": []}]
    for media in operation.get("requestBody", {}).get("content", {}).values():
        # A body that may be left out: that it may also be null helps no client, and some generators cannot say it.
        if "anyOf" in media["schema"]:
            media["schema"] = media["schema"]["anyOf"][0]
    problem = operation["responses"].get("422")
    if problem is not None and "application/json" in problem["content"]:
        schema = {"$ref": REFERENCE.format(model="Problem")}
        problem["content"] = {"application/problem+json": {"schema": schema}}

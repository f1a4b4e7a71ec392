"""The OpenAPI document: what FastAPI finds in the routes, completed with problems and the bearer scheme."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from web.answers import Problem, SettingFault

REFERENCE = "#/components/schemas/{model}"
BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


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
        components["securitySchemes"] = {"bearer": BEARER}
        for path, operations in made["paths"].items():
            for operation in operations.values():
                _describe(path, operation)
        app.openapi_schema = made
    return app.openapi_schema


def _describe(path: str, operation: dict[str, Any]) -> None:
    if path.startswith("/v1/") and not path.endswith("/receipt") and "public" not in operation["tags"]:
        operation["security"] = [{"bearer": []}]
    problem = operation["responses"].get("422")
    if problem is not None and "application/json" in problem["content"]:
        # Validation errors are problems too; FastAPI's own form is not sent.
        schema = {"$ref": REFERENCE.format(model="Problem")}
        problem["content"] = {"application/problem+json": {"schema": schema}}

"""Whether an answer is as the OpenAPI document says: status, content type, content, and no field beside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from jsonschema import Draft202012Validator


def check(document: Mapping[str, Any], method: str, answer: httpx.Response) -> None:
    """Raise an AssertionError for an answer of an operation that is not documented; pages have no operation."""
    operation = _operation(document, method, answer.url.path)
    if not operation:
        return
    responses = operation["responses"]
    assert str(answer.status_code) in responses, (method, answer.url.path, answer.status_code)
    content = responses[str(answer.status_code)].get("content", {})
    kind = answer.headers.get("content-type", "").partition(";")[0]
    assert kind in content or (not content and not answer.content), (method, answer.url.path, kind)
    if not kind.endswith("json"):
        return
    value, rule = answer.json(), {**content[kind]["schema"], "components": document["components"]}
    faults = [fault.message for fault in Draft202012Validator(rule).iter_errors(value)]
    assert not faults, (method, answer.url.path, faults)
    assert not [*_beside(value, content[kind]["schema"], document)], (method, answer.url.path)


def _operation(document: Mapping[str, Any], method: str, path: str) -> Mapping[str, Any] | None:
    for template, methods in document["paths"].items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path):
            found: Mapping[str, Any] = methods[method.lower()]
            return found
    return None


def _beside(value: Any, schema: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    """The names of fields that the schema does not have."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for each in schema.get("anyOf", ()):
        if each.get("type") != "null" and value is not None:
            yield from _beside(value, each, document)
    if isinstance(value, list) and "items" in schema:
        for each in value:
            yield from _beside(each, schema["items"], document)
    if isinstance(value, dict) and "properties" in schema:
        for name, each in value.items():
            if name in schema["properties"]:
                yield from _beside(each, schema["properties"][name], document)
            else:
                yield name

"""The OpenAPI document on its own: it says of every text what it may be, and of every operation how it may fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from served import Served

SAYS = ("enum", "const", "format", "pattern")
"""Keywords that say what a text may be; a free text has only `maxLength`."""
FREE_TEXTS = frozenset(
    {
        *("Problem.title", "Problem.detail", "Problem.hint", "SettingFault.at", "SettingFault.detail"),
        *("ErrorAnswer.message", "LoggedRequest.reason", "LoggedRequest.denial", "DatasetAnswer.explanation"),
        *("DatasetAnswer.tenants", "AuthorisationAnswer.evidence", "AuthorisationAnswer.recipient"),
        *("NamedRecipient.name", "RecipientAnswer.name", "NewRecipientAnswer.name"),
        *("RecipientAnswer.safeguard", "NewRecipientAnswer.safeguard"),
        *("DueAnswer.regime", "RegimeAnswer.name", "RegimeAnswer.title", "RegimeAnswer.checked", "RegimeAnswer.source"),
        *("NoticeAnswer.version", "RegisterAnswer.standards", "PurposeAnswer.purpose", "PurposeAnswer.basis"),
        *("RetentionAnswer.name", "RetentionAnswer.title", "RegisteredDataset.category"),
        *("RegisteredDataset.decisions", "RegisteredDataset.recipients", "RegisteredDataset.key"),
        *("RegisteredDataset.title", "RegisteredDataset.description", "RegisteredDataset.translations"),
        *("FieldAnswer.name", "FieldAnswer.description", "FieldAnswer.translations"),
        *("WithheldAnswer.name", "WithheldAnswer.what", "WithheldAnswer.reason", "WithheldAnswer.translations"),
        *("SenderAnswer.name", "SenderAnswer.issuer", "ReceivedAnswer.archive_subject", "ReceivedAnswer.consent"),
        *("ReceivedAnswer.archive_export", "DatasetChanges.dataset", "DatasetChanges.not_imported"),
        *("LeftDataset.dataset", "LeftDataset.reason", "DifferenceRecord.id", "DifferenceRecord.dataset"),
        *("DifferenceRecord.field", "DifferenceRecord.fields", "list_differences.dataset"),
        *("RowThatStays.table", "RowThatStays.id", "RowThatStays.fields"),
        *("show_export.if-none-match", "read_register.if-none-match"),
    }
)
"""Texts for people, names that a deployment chooses, and words of other parties."""
CLOSED = frozenset(
    {
        *("state", "profile", "profiles", "subject_kind", "subject_kinds", "audience", "alarm", "review", "figure"),
        *("own", "processor", "outcome_own", "outcome_processor", "response", "requested_by", "mechanism", "reasons"),
        *("provenance", "role", "person", "kind", "begins", "described_by", "formats", "format"),
    }
)
"""Properties and parameters whose values are a closed set wherever they occur."""
VERSIONS = frozenset({"RegisterAnswer.format", "VersionAnswer.format"})
"""Another thing with such a name: the version of the archive format, which has a pattern."""
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


@pytest.fixture(scope="module")
def document(served: Served) -> dict[str, Any]:
    content: dict[str, Any] = httpx.get(f"{served.url}/openapi.json").json()
    return content


def test_every_text_says_what_it_may_be(document: dict[str, Any]) -> None:
    """A text has an enumeration, a format or a pattern, or is a listed free text with a bound; nothing has no type."""
    texts = {name: [*_leaves(schema, document)] for name, schema in _named(document)}
    unsaid = {name for name, leaves in texts.items() if not all(map(_is_said, leaves))}
    bounded = {name for name, leaves in texts.items() if all(_is_said(leaf) or "maxLength" in leaf for leaf in leaves)}

    assert unsaid - FREE_TEXTS == set()
    assert FREE_TEXTS - unsaid == set()
    assert unsaid - bounded == set()


def test_closed_sets_are_enumerations(document: dict[str, Any]) -> None:
    """What has a closed set of values in one place has it everywhere, in requests and answers."""
    found = {name: schema for name, schema in _named(document) if name.rpartition(".")[2] in CLOSED}
    open_ones = {
        name
        for name, schema in found.items()
        if not all("enum" in leaf or leaf.get("type") == "null" for leaf in _leaves(schema, document))
    }

    assert open_ones == VERSIONS
    assert {name.rpartition(".")[2] for name in found} == CLOSED


def test_an_enumeration_is_written_once(document: dict[str, Any]) -> None:
    """Two components with the same values would be two types in a client."""
    sets = [tuple(schema["enum"]) for schema in document["components"]["schemas"].values() if "enum" in schema]

    assert len(sets) == len(set(sets))


def test_every_operation_says_how_it_fails(document: dict[str, Any]) -> None:
    """Each error is a problem document, whose codes are an enumeration; a fault of the server is among them."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            errors = {status: each for status, each in operation["responses"].items() if status >= "400"}
            assert all(each["content"] == PROBLEM for each in errors.values()), path
            assert "500" in errors
            if "requestBody" in operation:
                assert {"400", "413", "415", "422"} <= errors.keys()
            if "{" in path:
                assert "404" in errors
            if "security" in operation:
                assert "401" in errors
    codes = document["components"]["schemas"]["ErrorCode"]["enum"]
    assert {"not_found", "bad_request", "internal_error", "unknown_export", "step_up_required"} <= {*codes}


def test_operations_have_names(document: dict[str, Any]) -> None:
    """A generated client has a function for each operation: `verb_thing`, without the path."""
    names = [each["operationId"] for path in document["paths"].values() for each in path.values()]

    assert len(names) == len(set(names))
    assert [name for name in names if not name.replace("_", "").isalpha() or "v1" in name] == []


def _named(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every property of a component, and every parameter, with its schema."""
    for name, schema in document["components"]["schemas"].items():
        for each, content in schema.get("properties", {}).items():
            yield f"{name}.{each}", content
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                yield f"{operation['operationId']}.{parameter['name']}", parameter["schema"]


def _leaves(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas of single values below a property; components with properties are looked at by themselves."""
    if "$ref" in schema:
        named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if "enum" in named:
            yield named
        elif "properties" not in named:
            yield from _leaves(named, document)
        return
    inner = [
        *schema.get("anyOf", ()),
        *schema.get("oneOf", ()),
        *schema.get("allOf", ()),
        *schema.get("prefixItems", ()),
    ]
    inner += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    for each in inner:
        yield from _leaves(each, document)
    if not inner:
        yield schema


def _is_said(leaf: Mapping[str, Any]) -> bool:
    return leaf.get("type") in {"integer", "number", "boolean", "null"} or any(keyword in leaf for keyword in SAYS)

"""What OpenAPI says of the texts in a request is what the server accepts: values on both sides of each bound."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from factories import MadeUpExporter, things
from jsonschema import Draft202012Validator
from sending import recorded, sender
from served import OWNER, TENANT, Served
from transferring import EXPORTER, Provider

A200 = "a" * 200
VALUES: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "ExportRequestBody": {
        "profile": ("access", "portability", "Access", "erasure"),
        "subject": (
            *(f"user:{A200}", f"user:{A200}a", "user:A._~-9", "user:", "user:ä", "User:x", "company:x"),
            *(
                "user:a/b",
                "user:auth0|5f7c",
                "user:f:1d2e:ann",
                "user:+493090182020",
                "user:../b",
                "user:a/..",
                "user:a/./b",
                "user:...",
                "user:/",
            ),
            *("user:ann@mail.example", "user:a%2fb", "user:a=b", "user:a b"),
            *("email:ann@mail.example", "phone:+6281234567890"),
        ),
        "include": ([EXPORTER], [], ["a" * 101], [f"{EXPORTER}/things"]),
        "formats": (["jsonl", "csv"], [], ["xml"]),
        "channel": ("a" * 32, "a" * 33, "a_-9", "Letter", ""),
        "residence": ("de", "DE", "DEU", "D1"),
        "reason": ("x" * 1000, "x" * 1001, "", "one\ntwo\tthree", "one\x07"),
    },
    "RecipientBody": {
        "name": ("x" * 200, "x" * 201, "", "one\ntwo"),
        "country": ("de", "ID", "DEU"),
        "mechanism": ("adequacy", "consent", "Consent", "magic"),
        "datasets": ([EXPORTER, f"{EXPORTER}/things"], [], [f"{EXPORTER}/things/x"]),
    },
    "AuthorisationBody": {
        "datasets": ([EXPORTER], [f"{EXPORTER}/things"], [], [f"{EXPORTER}/"], ["a" * 101]),
        "subject": (f"user:{OWNER}", f"user:{OWNER}/x", f"user:{OWNER}/.."),
        "evidence": ("x" * 200, "x" * 201, "one\ntwo"),
    },
}
CASES = [(body, name, value) for body, names in VALUES.items() for name, values in names.items() for value in values]
PATHS = {"ExportRequestBody": "exports", "RecipientBody": "recipients", "AuthorisationBody": "authorisations"}
COUNTER = itertools.count()


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with sender(tmp_path_factory.mktemp("accepts"), redis_server, MadeUpExporter(things(1))) as server:
        yield server


@pytest.fixture(scope="module")
def provider(served: Served) -> Iterator[Provider]:
    with recorded(served) as other:
        yield other


@pytest.fixture(scope="module")
def components(served: Served) -> dict[str, Any]:
    content: dict[str, Any] = httpx.get(f"{served.url}/openapi.json").json()["components"]
    return content


@pytest.mark.parametrize(("body", "name", "value"), CASES, ids=[f"{b}.{n} {str(v)[:20]!a}" for b, n, v in CASES])
def test_the_document_says_what_is_accepted(
    served: Served, provider: Provider, components: dict[str, Any], body: str, name: str, value: Any
) -> None:
    """The server accepts exactly the values that the schema of the property allows; the rest of the body is right."""
    rule = {"allOf": [components["schemas"][body]["properties"][name]], "components": components}
    content = {**_right(body, provider), name: value}

    answer = served.call("POST", f"/v1/{PATHS[body]}", "olga", "officer", json=content)

    assert (answer.status_code in {200, 201}) is Draft202012Validator(rule).is_valid(value), answer.text
    assert answer.status_code in {200, 201, 400, 422}
    if body == "RecipientBody" and answer.status_code == httpx.codes.CREATED:
        served.call("DELETE", f"/v1/recipients/{answer.json()['id']}", "olga", "officer")


@pytest.mark.parametrize("tenant", [A200, f"{A200}a", "ten a", "ten/a", TENANT])
def test_the_document_says_which_tenants_there_can_be(served: Served, components: dict[str, Any], tenant: str) -> None:
    """As above, for the tenant of a contact."""
    rule = components["schemas"]["ExportRequestBody"]["properties"]["tenant"]
    content = {"profile": "access", "subject": "contact:con_7", "reason": "letter", "tenant": tenant}

    answer = served.call("POST", "/v1/exports", "olga", "officer", json=content)

    assert (answer.status_code in {200, 201}) is Draft202012Validator(rule).is_valid(tenant), answer.text


@pytest.mark.parametrize("change", ["upper", "a character that Bech32 does not have", "shorter", "none"])
def test_the_document_says_which_keys_are_accepted(
    served: Served, provider: Provider, components: dict[str, Any], change: str
) -> None:
    """As above, for the public key of a recipient, which is accepted in upper case too."""
    key = str(provider.identity.to_public())
    changed = {"upper": key.upper(), "shorter": key[:-1], "none": key}.get(change, f"{key[:-1]}b")
    rule = components["schemas"]["RecipientBody"]["properties"]["age_key"]

    answer = served.call(
        "POST", "/v1/recipients", "olga", "officer", json=_right("RecipientBody", provider) | {"age_key": changed}
    )

    assert (answer.status_code == httpx.codes.CREATED) is Draft202012Validator(rule).is_valid(changed), answer.text
    if answer.status_code == httpx.codes.CREATED:
        served.call("DELETE", f"/v1/recipients/{answer.json()['id']}", "olga", "officer")


def _right(body: str, provider: Provider) -> dict[str, Any]:
    """A body that is accepted."""
    if body == "ExportRequestBody":
        return {"profile": "access", "subject": f"user:usr_{next(COUNTER)}", "reason": "letter"}
    if body == "AuthorisationBody":
        return {"subject": f"user:{OWNER}", "recipient": "localhost", "datasets": [EXPORTER], "evidence": "letter"}
    addresses = {"jwks_url": f"{provider.server.url}/jwks.json", "webhook_url": f"{provider.server.url}/hook"}
    key = str(provider.identity.to_public())
    return {"name": "Third", "domain": "127.0.0.1", "country": "DE", "age_key": key, **addresses}

"""Every operation of the OpenAPI document that names a thing, by every stranger: theirs is as if it did not exist."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import feeding
import httpx
import pytest
from factories import MadeUpExporter, things
from own_rows import received
from sending import recorded, sender
from served import CONTACT, OWNER, TENANT, Served
from strangers import STRANGERS
from transferring import EXPORTER, Provider

ABSENT = {
    "export_id": "a" * 24,
    "link_id": "lnk_" + "0" * 20,
    "transfer_id": "trf_" + "0" * 20,
    "authorisation_id": "aut_" + "0" * 20,
    "recipient_id": "rcp_" + "0" * 20,
    "received_id": "rcv_" + "0" * 20,
    "feed_id": "feed_" + "0" * 20,
}
"""Ids of the right form; nothing has one of them."""
OWNERS: Mapping[str, tuple[str, tuple[str, ...]]] = {"user": (OWNER, ()), "contact": ("olga", ("officer",))}
"""Who authorises and sends what belongs to the subject, by its kind: a contact has no login."""


@dataclass(frozen=True)
class Operation:
    """An operation of the document; `body` has its required properties."""

    name: str
    method: str
    path: str
    has_login: bool
    content_type: str | None
    body: dict[str, Any] | None

    def call(self, url: str, ids: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, str, str]:
        """Call it with these ids and return status, challenge and words of the answer, without this call's ids."""
        sent = {"json": self.body} if self.content_type == "application/json" else {"content": b"x.y.z"}
        kind = {"Content-Type": self.content_type} if self.content_type else {}
        content = sent if self.content_type else {}
        address = url + self.path.format_map(ids)
        answer = httpx.request(self.method, address, headers={**headers, **kind}, timeout=30, **content)
        words = answer.text.replace(answer.headers["x-request-id"], "REQUEST")
        for identifier in ids.values():
            words = words.replace(identifier, "ID")
        return answer.status_code, answer.headers.get("www-authenticate", ""), words


@dataclass(frozen=True)
class Things:
    """What belongs to a subject: an id for each parameter of a path."""

    served: Served
    kind: str
    ids: Mapping[str, str]

    def states(self) -> tuple[Any, ...]:
        """The states that a stranger could have changed."""
        sub, roles = OWNERS[self.kind]
        headers = self.served.bearer(sub, *roles)
        known = [f"{name}s/{self.ids[f'{name}_id']}" for name in ("export", "transfer", "feed")]
        export, transfer, feed, given = (
            httpx.get(f"{self.served.url}/v1/{path}", headers=headers).json() for path in (*known, "authorisations")
        )
        recipients = httpx.get(f"{self.served.url}/v1/recipients", headers=headers).json()
        return export["state"], export.get("links"), transfer["state"], given, recipients, feed


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with sender(tmp_path_factory.mktemp("matrix"), redis_server, MadeUpExporter(things(5))) as server:
        yield server


@pytest.fixture(scope="module")
def provider(served: Served) -> Iterator[Provider]:
    with recorded(served) as other:
        yield other


@pytest.fixture(scope="module", params=["user", "contact"])
def existing(request: pytest.FixtureRequest, served: Served, provider: Provider) -> Things:
    """A ready export with a link and a transfer under an authorisation."""
    return Things(served, request.param, _ids(served, request.param, provider))


@pytest.fixture(scope="module")
def operations(served: Served) -> list[Operation]:
    """All operations of the document."""
    document = httpx.get(f"{served.url}/openapi.json").json()
    return [*_operations(document)]


@pytest.mark.requirement("R17")
@pytest.mark.parametrize("stranger", STRANGERS)
def test_another_persons_is_as_if_it_were_not_there(
    existing: Things, operations: list[Operation], stranger: str
) -> None:
    """Status and words are those for an id that does not exist, for every operation with an id, and nothing changes."""
    sub, roles, more = STRANGERS[stranger]
    served, before = existing.served, existing.states()
    answers = {}
    for operation in operations:
        # The signature of a recipient's new key is checked first; recipients are public.
        if "{" in operation.path and operation.name != "rotate_recipient":
            headers = served.bearer(sub, *roles, **more) if operation.has_login else {}
            known, missing = (operation.call(served.url, ids, headers) for ids in (existing.ids, ABSENT))
            answers[operation.name] = (known, missing)

    assert {name: pair for name, pair in answers.items() if pair[0] != pair[1]} == {}
    # Only officers change recipients, which are public, or see the inbox: the role is checked first.
    by_role = {"approve_recipient", "prove_recipient", "remove_recipient"}
    by_role |= {operation.name for operation in operations if "{received_id}" in operation.path}
    assert {name: known[0] for name, (known, _) in answers.items()} == {
        name: httpx.codes.FORBIDDEN if name in by_role else httpx.codes.NOT_FOUND for name in answers
    }
    assert existing.states() == before


def test_without_a_valid_login_the_answer_is_401(existing: Things, operations: list[Operation]) -> None:
    """Without a login, and with an invalid one, the same for an id that exists and for any other."""
    served = existing.served
    foreign = "Bearer " + served.issuer.signed(served.issuer.claims(OWNER, aud="https://elsewhere"))
    for headers in ({}, *({"Authorization": each} for each in (foreign, "Basic b3duZXI6", "Bearer x"))):
        for operation in operations:
            if operation.has_login:
                known, missing = (operation.call(served.url, ids, headers) for ids in (existing.ids, ABSENT))
                assert known == missing, operation.name
                assert known[0] == httpx.codes.UNAUTHORIZED, operation.name
                assert known[1].startswith("Bearer"), operation.name


def test_every_operation_with_an_id_needs_a_login_or_a_signature(operations: list[Operation]) -> None:
    """The document has such operations for everything that has an id; only what recipients sign has no login."""
    with_id = {operation.name: operation for operation in operations if "{" in operation.path}

    assert {name for name, operation in with_id.items() if not operation.has_login} == {
        "send_receipt",
        "rotate_recipient",
    }
    assert {each for operation in with_id.values() for each in re.findall(r"{(\w+)}", operation.path)} == ABSENT.keys()


def _ids(served: Served, kind: str, provider: Provider) -> dict[str, str]:
    sub, roles = OWNERS[kind]
    tenant = {"tenant": TENANT} if kind == "contact" else {}
    subject = f"contact:{CONTACT}" if tenant else f"user:{OWNER}"
    export_id = served.ready(subject, profile="portability", **tenant)
    headers, found = served.bearer(sub, *roles), {"export_id": export_id, "recipient_id": provider.recipient}
    given = {"subject": subject, "recipient": "localhost", "datasets": [EXPORTER], "evidence": "letter 1", **tenant}
    for path, body, name in (
        ("authorisations", given, "authorisation_id"),
        (f"exports/{export_id}/transfers", {"recipient": provider.recipient}, "transfer_id"),
    ):
        answer = httpx.post(f"{served.url}/v1/{path}", json=body, headers=headers, timeout=30)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        found[name] = answer.json()["id"]
    found["received_id"] = f"rcv_{secrets.token_hex(10)}"
    found["feed_id"] = feeding.begin(served.world, subject, "portability", **tenant).id
    received(served.world, found["received_id"], subject_kind=kind, subject_id=subject.partition(":")[2], **tenant)
    return {**found, "link_id": served.link(export_id, audience="code" if tenant else "login").id}


def _operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
            kind = next(iter(content), None)
            body = _body(content[kind]["schema"], document) if kind else None
            has_login = {"bearer": []} in operation.get("security", ())
            yield Operation(operation["operationId"], method.upper(), path, has_login, kind, body)


def _body(schema: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The required properties of a body, each with a value that has its type."""
    if "$ref" not in schema:
        return None
    model = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return {name: _value(model["properties"][name], document) for name in model.get("required", ())}


def _value(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["enum"][0]
    if schema["type"] == "array":
        return [_value(schema["items"], document)]
    return "text"

"""A client that is generated from the OpenAPI document works for every operation, as docs/api.md tells it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from io import BytesIO
from typing import Any

import feeding
import httpx
import pytest
from factories import MadeUpExporter, World, things
from generated_client import HOST, PACKAGE, ClientCalls, documented_program, generated
from own_rows import received
from sending import sender
from served import OWNER, TENANT
from sqlalchemy import update
from transferring import EXPORTER, Provider, encrypted, providing

from portability.database import models
from portability.database.engine import reading, writing
from portability.trust import metrics_tokens


@pytest.fixture(scope="module")
def calls(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientCalls]:
    """A deployment with a second person for decisions, and the client that is generated from its document."""
    folder, strict = tmp_path_factory.mktemp("client"), {"approvals": "policy", "exports_per_month": 100}
    with (
        sender(folder / "sends", redis_server, MadeUpExporter(things(5)), **strict) as served,
        generated(served.url, folder) as package,
    ):
        yield ClientCalls(served, package)


@pytest.fixture(scope="module")
def receiving() -> Iterator[Provider]:
    with providing() as other:
        yield other


@pytest.fixture(scope="module")
def called(calls: ClientCalls, receiving: Provider) -> ClientCalls:
    """Every operation was called once with success."""
    _public(calls)
    export_id = _of_a_person(calls)
    _of_a_company(calls)
    _transfers(calls, receiving, export_id)
    _inbox(calls)
    _feeds(calls)
    _of_officers(calls, export_id)
    return calls


def _public(calls: ClientCalls) -> None:
    for operation in ("read_key_set", "read_register", "list_regimes", "check_live", "check_ready", "check_health"):
        calls.succeed(operation, "none")
    with reading(calls.served.world.engine) as connection:
        (token,) = metrics_tokens.present(connection, calls.served.world.place.settings.keys).values()
    calls.succeed("read_metrics", token)


def _of_a_person(calls: ClientCalls) -> str:
    """Ask, look, cancel, retry, and make and revoke a link; returns a ready export."""
    owner, offered = calls.token(OWNER), calls.models
    wanted = offered.ExportRequestBody(offered.Profile.PORTABILITY, f"user:{OWNER}", include=[EXPORTER])
    export_id = calls.succeed("create_export", owner, body=wanted, idempotency_key="a key").id
    calls.served.world.advance_all()
    since, formats = datetime.now(UTC) - timedelta(days=1), [offered.InstalledFormat.JSONL]
    part = offered.ExportRequestBody(offered.Profile.ACCESS, f"user:{OWNER}", since=since, formats=formats)
    second = calls.succeed("create_export", owner, body=part).id
    calls.succeed("list_exports", owner, state=offered.ExportState.QUEUED, limit=1)
    with writing(calls.served.world.engine) as connection:
        connection.execute(update(models.export).where(models.export.c.id == second).values(state="failed"))
    officer = calls.token("olga", "officer")
    assert calls.succeed("retry_export", officer, second).state == offered.ExportState.QUEUED
    assert calls.succeed("cancel_export", owner, second).state == offered.ExportState.CANCELLED
    link = calls.succeed("create_link", owner, export_id, body=offered.LinkBody(expires_seconds=600))
    shown = calls.succeed("show_export", owner, export_id)
    assert shown.state == offered.ExportState.READY
    assert (shown.datasets[0].exporter, shown.links[0].id) == (EXPORTER, link.id)
    calls.succeed("revoke_link", owner, link.id)
    return str(export_id)


def _of_a_company(calls: ClientCalls) -> None:
    """Two companies switch; an officer approves one and denies the other."""
    offered, officer = calls.models, calls.token("olga", "officer")
    waiting = []
    for tenant in (TENANT, "ten_b"):
        admin = calls.token("adm", "tenant_admin", tenant=tenant)
        asked = offered.ExportRequestBody(offered.Profile.SWITCH, f"tenant:{tenant}")
        waiting.append(calls.succeed("create_export", admin, body=asked))
    assert [each.review for each in waiting] == [[offered.Cause.SWITCH]] * 2
    calls.succeed("approve_export", officer, waiting[0].id)
    why = offered.DenialBody("The contract does not end.", basis=offered.DenialBasis.UNFOUNDED)
    calls.succeed("deny_export", officer, waiting[1].id, body=why)


def _transfers(calls: ClientCalls, receiving: Provider, export_id: str) -> None:
    """Record a recipient, authorise and start transfers, receive one with a receipt and revoke another."""
    offered, owner, officer = calls.models, calls.token(OWNER), calls.token("olga", "officer")
    entry = offered.RecipientBody(
        name="Other Care",
        domain="localhost",
        country="DE",
        mechanism=offered.Mechanism.ADEQUACY,
        age_key=str(receiving.identity.to_public()),
        jwks_url=f"{receiving.server.url}/jwks.json",
        webhook_url=f"{receiving.server.url}/hook",
    )
    recipient = calls.succeed("create_recipient", officer, body=entry).id
    assert calls.succeed("approve_recipient", calls.token("otto", "officer"), recipient).state == "approved"
    calls.succeed("list_recipients", owner)
    assert calls.succeed("prove_recipient", officer, recipient).proven_at
    file, receiving.recipient = importlib.import_module(f"{PACKAGE}.types").File, recipient
    announced = receiving.new_key(calls.served.world.place.settings.iss).encode()
    calls.succeed("rotate_recipient", "none", recipient, body=file(BytesIO(announced)))
    until = datetime.now(UTC) + timedelta(days=1)
    given = offered.AuthorisationBody(f"user:{OWNER}", recipient, [EXPORTER], until=until, evidence="letter 17")
    consent = calls.succeed("create_authorisation", officer, body=given).id
    signed = offered.CountersignatureBody("archive, folder 18")
    seen_by_two = calls.succeed("countersign_authorisation", calls.token("otto", "officer"), consent, body=signed)
    assert (seen_by_two.confirmed, seen_by_two.stands) == (False, False)
    assert calls.succeed("confirm_authorisation", owner, consent).confirmed
    calls.succeed("list_authorisations", owner)
    first = calls.succeed("create_transfer", owner, export_id, body=offered.TransferBody(recipient)).id
    encrypted(calls.served.world)
    receipt = receiving.receipt(calls.served.world, first).encode()
    calls.succeed("send_receipt", "none", first, body=file(BytesIO(receipt)))
    seen = calls.succeed("show_transfer", owner, first)
    assert (seen.state, seen.timeline[-1].what) == (offered.TransferState.DELIVERED, offered.TransferStep.DELIVERED)
    second = calls.succeed("create_transfer", owner, export_id, body=offered.TransferBody(recipient)).id
    assert len(calls.succeed("list_transfers", owner, export_id).transfers) == 2
    calls.succeed("revoke_transfer", owner, second)
    calls.succeed("revoke_authorisation", owner, consent)
    calls.succeed("remove_recipient", officer, recipient)


def _inbox(calls: ClientCalls) -> None:
    """Two received transfers; what the receiving service does between the calls is written into their rows."""
    officer, bodies, world = calls.token("olga", "officer"), calls.models, calls.served.world
    first, second = (f"rcv_{number * 20}" for number in "ab")
    for identifier in (first, second):
        received(world, identifier)
        _state(world, identifier, "fetched")
    calls.succeed("list_received", officer)
    calls.succeed("list_notices", officer)
    assert calls.succeed("assign_received", officer, first, body=bodies.TargetBody("user:usr_1")).state == "comparing"
    _state(world, first, "compared")
    seen = calls.succeed("show_received", officer, first)
    assert calls.succeed("list_differences", officer, first).differences == []
    assert (
        calls.succeed("import_received", officer, first, body=bodies.ImportBody(seen.comparison)).state == "importing"
    )
    _state(world, first, "imported")
    assert calls.succeed("undo_received", officer, first).state == "undoing"
    declined = bodies.DeclineBody(bodies.DeclineReason.NOT_WANTED)
    assert calls.succeed("refuse_received", officer, second, body=declined).state == "declined"


def _state(world: World, identifier: str, state: str) -> None:
    table = models.received_transfer
    with writing(world.engine) as connection:
        connection.execute(update(table).where(table.c.id == identifier).values(state=state))


def _feeds(calls: ClientCalls) -> None:
    """A feed that was begun for a person: the person looks at it, asks for the next archive, and ends it."""
    owner, world = calls.token(OWNER), calls.served.world
    feed_id = feeding.begin(world, f"user:{OWNER}", profile="access").id
    assert [each.id for each in calls.succeed("list_feeds", owner).feeds] == [feed_id]
    asked = calls.succeed("request_next_archive", owner, feed_id)
    world.advance_all()
    shown = calls.succeed("show_feed", owner, feed_id)
    assert (shown.number, shown.export_id, shown.running) == (1, asked.requested, None)
    calls.succeed("end_feed", owner, feed_id)


def _of_officers(calls: ClientCalls, export_id: str) -> None:
    officer = calls.token("olga", "officer")
    calls.succeed("list_erasure_holds", officer)
    calls.succeed("read_report", officer)
    calls.succeed("recall_export", officer, export_id, body=calls.models.ReasonBody("The wrong person has it."))
    calls.succeed("read_request_log", officer, limit=5)


def test_every_operation_of_the_document_is_called(called: ClientCalls) -> None:
    """The list comes from the document: the client has each operation, and each was called with success."""
    document = httpx.get(f"{called.served.url}/openapi.json").json()
    operations = {each["operationId"] for path in document["paths"].values() for each in path.values()}

    assert called.operations.keys() == operations
    assert called.answers.keys() == operations


def test_no_answer_has_an_undocumented_field(called: ClientCalls) -> None:
    """The client keeps fields that the document does not have apart; no answer has one, at any depth."""
    unknown = {name: found for name, each in called.answers.items() if (found := [*_unknown(each.parsed)])}

    assert unknown == {}


def test_errors_are_typed(called: ClientCalls) -> None:
    """Every operation that needs a login answers a wrong token with a problem, whose code is one of the enumeration."""
    document = httpx.get(f"{called.served.url}/openapi.json").json()
    for path in document["paths"].values():
        for operation in path.values():
            if "security" not in operation:
                continue
            ids, fields = called.asked[operation["operationId"]]
            problem = called.ask(operation["operationId"], "wrong", *ids, **fields).parsed
            assert isinstance(problem, called.models.Problem)
            assert problem.code is called.models.ErrorCode.NOT_LOGGED_IN


def test_the_program_of_the_documentation_works(calls: ClientCalls) -> None:
    """docs/api.md has a program that asks with the client; its answer is the new export."""
    names: dict[str, Any] = {"token": calls.token("usr_docs"), "user": "usr_docs"}

    exec(documented_program().replace(HOST, calls.served.url), names)  # noqa: S102  # it is the documentation's

    assert names["answer"].state is calls.models.ExportState.QUEUED


def _unknown(value: Any) -> Iterator[str]:
    """The names of undocumented fields in a parsed answer; a map of names to values is documented as a whole."""
    if isinstance(value, list):
        for each in value:
            yield from _unknown(each)
    if isinstance(value, Enum) or not hasattr(value, "__attrs_attrs__"):
        return
    fields: Mapping[str, Any] = {each.name: getattr(value, each.name) for each in value.__attrs_attrs__}
    own = {name: each for name, each in fields.items() if name != "additional_properties"}
    if own:
        yield from fields["additional_properties"]
    for each in own.values():
        yield from _unknown(each)

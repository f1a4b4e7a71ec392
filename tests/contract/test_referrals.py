"""Referrals to tenants: who is informed, with whose consent, and what an answer changes in the archive."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import platform_data as platform
import pytest
from archives import export_json, members, records
from factories import World, world
from sqlalchemy import Engine, RowMapping, select, update

from exporters.reference import schema
from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import reading, writing
from portability.errors import WrongState
from portability.requests import exports, instructions, referrals, retries
from portability.requests.outcome import ProcessorOutcome
from portability.trust import audit

ADMIN = "tenant_admin:ada"


def deployment(either: Engine, tmp_path: Path, tenants: str = "") -> World:
    """The hand-made platform; the file of tenants is given as TOML."""
    (tmp_path / "tenants.toml").write_text(tenants)
    return world(tmp_path / "made", platform.exporters(either), tenants_file=tmp_path / "tenants.toml")


def with_referral(made: World, subject: str = "contact:con_1", **asked: object) -> str:
    given: dict[str, object] = {"tenant": "ten_a"} if subject.startswith("contact") else {}
    identifier = made.request(subject, include=["calls", "crm"], formats=["jsonl"], **given | asked)
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"
    return identifier


def referral(made: World, export_id: str, tenant: str = "ten_a") -> RowMapping:
    with reading(made.engine) as connection:
        (row,) = (one for one in referrals.of(connection, export_id) if one["tenant"] == tenant)
    return row


def messages(made: World, export_id: str) -> list[str]:
    table = models.notification
    with reading(made.engine) as connection:
        query = select(table.c.kind).where(table.c.export_id == export_id)
        return [str(kind) for kind in connection.scalars(query)]


def give_answer(made: World, row: RowMapping, reason: str | None = None) -> None:
    """The tenant orders the export, or refuses; workers do the rest."""
    with writing(made.engine) as connection:
        if reason is None:
            referrals.instruct(connection, row["id"], actor=ADMIN)
        else:
            referrals.refuse(connection, row["id"], reason=reason, actor=ADMIN)
        assert retries.apply_answers(connection, row["export_id"], actor=ADMIN)
    made.advance_all()
    assert made.view(row["export_id"])["state"] == "ready"


@pytest.mark.requirement("R1")
def test_a_tenant_is_named_and_not_informed(either: Engine, tmp_path: Path) -> None:
    """Without consent and contract the tenant is not informed; the archive names the tenant's contact."""
    made = deployment(either, tmp_path, '[ten_a]\nname = "Alpha"\ncontact = "privacy@alpha.example"\n')
    identifier = with_referral(made)
    row = referral(made, identifier)
    assert (row["ground"], row["due_at"], row["state"]) == (None, None, "open")
    assert "referred" not in messages(made, identifier)
    document = export_json(made.fetch(identifier))
    assert document["outcome"]["processor"] == "referred"
    named = {"tenant": "ten_a", "name": "Alpha", "contact": "privacy@alpha.example", "answer": "open"}
    assert document["referrals"] == [named]
    (page,) = (body.decode() for path, body in members(made.fetch(identifier)) if path == "README.html")
    assert "privacy@alpha.example" in page


@pytest.mark.parametrize("ground", ["consent", "contract"])
def test_a_tenant_is_informed_with_consent_or_by_contract(either: Engine, tmp_path: Path, ground: str) -> None:
    """Its own clock starts: a month, counted from the day it is informed, and not from the request."""
    made = deployment(either, tmp_path, f'[ten_a]\ninform = "{ground}"\n')
    received_at = (datetime.now(UTC) - timedelta(days=20)).isoformat()
    identifier = with_referral(made, tell_tenants=ground == "consent", received_at=received_at)
    row = referral(made, identifier)
    assert (row["ground"], row["people"]) == (ground, ["con_1"])
    assert messages(made, identifier).count("referred") == 1
    left = row["due_at"] - datetime.now(UTC)
    with reading(made.engine) as connection:
        own_due_at = exports.get(connection, identifier)["due_at"]
    assert row["due_at"] - own_due_at > timedelta(days=0)
    assert left > timedelta(hours=71)
    assert export_json(made.fetch(identifier))["referrals"][0]["answer"] == "informed"


@pytest.mark.requirement("R1")
def test_an_instruction_delivers_the_data_in_a_further_revision(either: Engine, tmp_path: Path) -> None:
    """The archive gets the tenant's records, once, and is complete; nothing else is read again."""
    made = deployment(either, tmp_path)
    identifier = with_referral(made, tell_tenants=True)
    first = made.fetch(identifier)
    assert records(first, "crm", "contacts") == []
    give_answer(made, referral(made, identifier))
    document = export_json(made.fetch(identifier))
    assert [one["id"] for one in records(made.fetch(identifier), "crm", "contacts")] == ["con_1"]
    assert (document["revision"], document["outcome"]["processor"]) == (2, ProcessorOutcome.DELIVERED)
    assert (document["complete"], document["referrals"]) == (True, [])
    assert not any(line.get("tenants") for line in document["datasets"])
    assert made.verify(made.fetch(identifier)).ok
    with reading(made.engine) as connection:
        given = instructions.standing(connection, "ten_a")
    assert [(one["contact_id"], one["created_by"]) for one in given] == [("con_1", ADMIN)]


@pytest.mark.requirement("R1")
def test_a_refusal_is_in_the_next_revision_with_its_reason(either: Engine, tmp_path: Path) -> None:
    """The outcome of the processor's part is refused, and the archive says why, by code."""
    made = deployment(either, tmp_path)
    identifier = with_referral(made, tell_tenants=True)
    give_answer(made, referral(made, identifier), "own_answer")
    document = export_json(made.fetch(identifier))
    assert (document["revision"], document["outcome"]["processor"], document["complete"]) == (2, "refused", False)
    refused = [line for line in document["datasets"] if line["state"] == "refused"]
    assert {(line["reason"], *line["tenants"]) for line in refused} == {("tenant_own_answer", "ten_a")}
    assert {line["explanation"] for line in refused} == {"The company answers the person itself."}
    assert [one["answer"] for one in document["referrals"]] == ["refused"]
    assert not any(line["state"] == "needs_instruction" for line in document["datasets"])


def test_an_answer_waits_when_its_revision_ends(either: Engine, tmp_path: Path) -> None:
    """The archive is as before, and the next retry shows the answer; the revision was begun by the answer alone."""
    made = deployment(either, tmp_path)
    identifier = with_referral(made, tell_tenants=True)
    before = made.view(identifier)["datasets"]
    row = referral(made, identifier)
    with writing(made.engine) as connection:
        referrals.instruct(connection, row["id"], actor=ADMIN)
        assert retries.apply_answers(connection, identifier, actor=ADMIN)
        assert exports.cancel(connection, identifier, actor=ADMIN) == "ready"
        assert [one["id"] for one in referrals.answered(connection, identifier)] == [row["id"]]
    assert made.view(identifier)["datasets"] == before
    with writing(made.engine) as connection:
        retries.retry_gaps(connection, identifier, actor=ADMIN)
    made.advance_all()
    assert [one["id"] for one in records(made.fetch(identifier), "crm", "contacts")] == ["con_1"]
    assert made.verify(made.fetch(identifier)).ok


def test_tenants_answer_one_by_one(either: Engine, tmp_path: Path) -> None:
    """A user of two tenants: one refuses, then the other orders; each line of the ledger has one answer."""
    platform.put(either, platform.row(schema.calls, "worked-a", tenant_id="ten_a", contact_id="x", staff_id="usr_1"))
    platform.put(either, platform.row(schema.calls, "worked-b", tenant_id="ten_b", contact_id="y", staff_id="usr_1"))
    made = deployment(either, tmp_path)
    identifier = with_referral(made, "user:usr_1", tell_tenants=True)
    give_answer(made, referral(made, identifier, "ten_a"), "identity")
    document = export_json(made.fetch(identifier))
    assert document["outcome"]["processor"] == "refused"
    states = {(line["state"], *line["tenants"]) for line in document["datasets"] if "tenants" in line}
    assert {("refused", "ten_a"), ("needs_instruction", "ten_b")} <= states
    give_answer(made, referral(made, identifier, "ten_b"))
    document = export_json(made.fetch(identifier))
    assert document["revision"] == 3
    found = [one["id"] for one in records(made.fetch(identifier), "calls", "calls")]
    assert "worked-b" in found
    assert "worked-a" not in found
    assert len(found) == len(set(found))


def test_an_instruction_adds_to_what_was_delivered(either: Engine, tmp_path: Path) -> None:
    """One tenant had instructed before: its records come once, and the other tenant's are added."""
    platform.put(either, platform.row(schema.calls, "worked-b", tenant_id="ten_b", contact_id="y", staff_id="usr_1"))
    made = deployment(either, tmp_path)
    with writing(made.engine) as connection:
        instructions.add(connection, "ten_a", contact_id=None, exporters=None, actor="operator:test")
    identifier = with_referral(made, "user:usr_1", tell_tenants=True)
    before = [one["id"] for one in records(made.fetch(identifier), "calls", "calls")]
    assert before
    give_answer(made, referral(made, identifier, "ten_b"))
    after = [one["id"] for one in records(made.fetch(identifier), "calls", "calls")]
    assert after == [*before, "worked-b"]


def test_an_answer_is_final_and_needs_a_known_reason(either: Engine, tmp_path: Path) -> None:
    """A second answer is refused, and so is free text."""
    made = deployment(either, tmp_path)
    row = referral(made, with_referral(made, tell_tenants=True))
    with writing(made.engine) as connection, pytest.raises(BadInput):
        referrals.refuse(connection, row["id"], reason="no", actor=ADMIN)
    give_answer(made, row)
    with writing(made.engine) as connection, pytest.raises(WrongState):
        referrals.refuse(connection, row["id"], reason="law", actor=ADMIN)


def test_the_audit_log_has_the_referral_and_its_answer(either: Engine, tmp_path: Path) -> None:
    """With the tenant, the ground and the code; no id of a person."""
    made = deployment(either, tmp_path)
    identifier = with_referral(made, tell_tenants=True)
    give_answer(made, referral(made, identifier), "law")
    with reading(made.engine) as connection:
        found = [one for one in audit.events(connection, export_id=identifier) if one["action"].startswith("referral")]
    assert [one["action"] for one in found] == ["referral.made", "referral.refused"]
    assert "con_1" not in json.dumps([dict(one["detail"]) for one in found])
    assert [one["detail"]["tenant"] for one in found] == ["ten_a", "ten_a"]


def test_an_answer_while_the_export_runs_waits_for_the_next_retry(either: Engine, tmp_path: Path) -> None:
    """It is recorded, and the running revision does not show it."""
    made = deployment(either, tmp_path)
    identifier = with_referral(made)
    row = referral(made, identifier)
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(state="running"))
        assert referrals.refuse(connection, row["id"], reason="law", actor=ADMIN) == identifier
        assert retries.apply_answers(connection, identifier, actor=ADMIN) is False
    assert (referral(made, identifier)["state"], referral(made, identifier)["applied_at"]) == ("refused", None)
    assert made.view(identifier)["revision"] == 1


def test_a_tenant_is_shown_the_referrals_of_which_it_is_informed(either: Engine, tmp_path: Path) -> None:
    """Officers see all of them: first those without an answer, the most urgent at the top."""
    made = deployment(either, tmp_path, '[ten_a]\ninform = "contract"\n')
    silent = with_referral(made, "contact:con_1", tenant="ten_b")
    urgent, answered = with_referral(made), with_referral(made, tell_tenants=True)
    give_answer(made, referral(made, answered), "law")
    with reading(made.engine) as connection:
        everything = [row["export_id"] for row in referrals.rows(connection)]
        shown, following = referrals.page(connection, "ten_a", limit=1)
        rest, end = referrals.page(connection, "ten_a", after=following, limit=1)
        of_silent = referrals.page(connection, "ten_b")
        own = [row["export_id"] for row in referrals.rows(connection, tenant="ten_b")]
    assert sorted(everything) == sorted([silent, urgent, answered])
    assert everything[-1] == answered
    assert [row["export_id"] for row in (*shown, *rest)] == [urgent, answered]
    assert (end, of_silent, own) == (None, ([], None), [silent])

"""What was under way when an erasure began: nothing of it is delivered, announced, or left to a person's decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from desks import SameContact
from factories import CutExporter, MadeUpExporter, World, large_things, things, world
from faults import FaultyStorage, Operation
from sqlalchemy import func, insert, select, update

from portability.api import Exporter, Subject
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.delivery import downloads, links
from portability.errors import LinkInvalid
from portability.inbox import work
from portability.inbox.states import ReceivedState
from portability.messages.outbox import MessageKind, MessageState
from portability.pulls import copies
from portability.requests import earlier_revisions, exports, instructions, mandates, retries
from portability.requests.referrals import ReferralState
from portability.retention import erasure_holds, erasures, legal_holds
from portability.retention.erasures import Whom
from portability.trust import audit, keys
from worker import export as pipeline
from worker.claim import lease
from worker.clock import envelopes, erasure, provider_facts
from worker.clock.envelopes import Desk, Unmailed

TEST = "operator:test"
FAR = datetime(2126, 1, 1, tzinfo=UTC)
JANE = Whom("user", "usr_jane", None)


class KnowingNoOne(MadeUpExporter):
    """It has no record, and says that it does not know the person."""

    def knows(self, _subject: Subject) -> bool:
        return False


def small_world(folder: Path, url: str, exporter: Exporter, **settings: Any) -> World:
    made = world(folder, {"made": exporter}, database_url=url, **settings)
    with writing(made.engine) as connection:
        keys.ensure(connection, made.place.settings.keys, actor=TEST)
    return made


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return small_world(tmp_path, control_url, MadeUpExporter(things(9)))


def begin_erasing(made: World, whom: Whom = JANE) -> str:
    given: dict[str, Any] = {"ground": "subject", "cancel_running": True}
    with writing(made.engine) as connection:
        return erasures.begin(connection, whom, reason="ticket 7", actor="officer:olga", **given)


def advance(made: World) -> int:
    return erasure.advance(made.engine, lambda: made.place.storage)


def letters(made: World) -> set[str]:
    with reading(made.engine) as connection:
        return set(connection.scalars(select(models.notification.c.kind)))


@pytest.mark.parametrize("exporter", [MadeUpExporter(things(9)), KnowingNoOne([])])
def test_a_worker_that_has_not_noticed_the_end_ends_it(
    control_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exporter: Exporter
) -> None:
    """It has looked for a cancellation for the last time: no archive is announced, and no officer is asked."""
    made = small_world(tmp_path, control_url, exporter)
    monkeypatch.setattr(lease, "renew", lambda *_: False)
    export_id = made.request("user:usr_jane")
    held = made.claim()
    assert held
    before = letters(made)
    begin_erasing(made)
    pipeline.advance(made.place, held)

    assert made.view(export_id)["state"] == "cancelled"
    assert letters(made) == before
    assert advance(made) == 1
    with reading(made.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(models.volume)) == 0
        assert audit.verify(connection).ok
    assert made.archive_keys() == []


def test_a_worker_of_another_slice_leaves_nothing(control_url: str, tmp_path: Path) -> None:
    """The worker of one slice has ended the export, and the erasure is done, while that of the other stores."""
    exporter = CutExporter(large_things(600), batch_records=20)
    made = small_world(tmp_path, control_url, exporter, slice_bytes=65_536, slices_max=4)
    storage, ended = FaultyStorage(made.place.storage), []

    def end_by_the_other(operation: Operation, count: int) -> None:
        if (operation, count) == ("begin", 3):  # of an excerpt, after two volumes
            begin_erasing(made)
            other = made.claim()
            assert other
            pipeline.advance(made.place, other)
            ended.append(advance(made))

    storage.before = end_by_the_other
    made.request("user:usr_jane")
    while not ended:  # the first claims plan and cut
        held = made.claim()
        assert held
        pipeline.advance(replace(made.place, storage=storage), held)
    assert ended == [1]
    assert made.archive_keys() == []


def test_no_letter_is_sent_meanwhile(made: World) -> None:
    """Neither one that was queued before, nor one to a company; but a recall is still reported."""
    export_id = made.request("user:usr_jane")
    with reading(made.engine) as connection:
        (queued,) = connection.execute(select(models.notification)).mappings().all()
    begin_erasing(made)
    desk = Desk(made.engine, made.place.settings, SameContact())
    assert envelopes.fill(desk, queued) == Unmailed(MessageState.PAGE, "outdated")
    with reading(made.engine) as connection:
        row = exports.get(connection, export_id)
        silent = {kind for kind in MessageKind if provider_facts.is_over(connection, kind, row)}
    assert silent == {*MessageKind} - {MessageKind.RECALLED}


def test_an_accepted_transfer_is_not_imported_meanwhile(made: World) -> None:
    """The erasure waits for storage: an import would bring the person back, and write to them."""
    values = {"id": "rcv_1", "sender_id": "snd_1", "webhook_id": "w", "sent_id": "trf_1", "kid": "k", "attempts": 0}
    with writing(made.engine) as connection:
        sender = {"id": "snd_1", "name": "A", "issuer": "https://a.example", "jwks_url": "https://a.example/jwks"}
        sender |= {"kid": "k", "sealed": "", "created_by": TEST}
        connection.execute(models.sender.insert().values(**sender, created_at=now()))
        whose = {"subject_kind": "user", "subject_id": "usr_jane", "state": ReceivedState.IMPORTING}
        times = {"offer_ends_at": now(60), "created_at": now(), "not_before": now(-1)}
        connection.execute(models.received_transfer.insert().values(**values, **whose, **times))
    row = work.claim(made.engine, 60)
    assert row
    begin_erasing(made)
    assert (work.renew(made.engine, row, 60), work.claim(made.engine, 60)) == (False, None)


def test_a_hold_keeps_what_an_erasure_of_another_would_delete(made: World) -> None:
    """Of mandates both sides, and of a company's instructions the contact: they end, and go with a later purge."""
    with writing(made.engine) as connection:
        for agent, subject in (("usr_held", "usr_jane"), ("usr_jane", "usr_held"), ("usr_jane", "usr_other")):
            terms: dict[str, Any] = {"profiles": ["access"], "issuer": "a court", "expires_at": FAR, "actor": TEST}
            mandates.add(connection, agent=f"subject:{agent}", subject=f"user:{subject}", tenant=None, **terms)
        for contact in ("con_held", "con_other", None):
            instructions.add(connection, "ten_x", contact_id=contact, exporters=None, actor=TEST)
        for subject, tenant in (("user:usr_held", None), ("contact:con_held", "ten_x")):
            legal_holds.add(connection, subject=subject, tenant=tenant, reason="case 12", actor=TEST)
    for whom in (JANE, Whom("tenant", "ten_x", "ten_x")):
        begin_erasing(made, whom)
    assert advance(made) == 2
    with reading(made.engine) as connection:
        left = [(row["agent"], row["subject_id"], bool(row["ended_at"])) for row in mandates.rows(connection)]
        orders = [(row["contact_id"], bool(row["withdrawn_at"])) for row in instructions.rows(connection)]
        ended = [e["detail"].get("kept") for e in audit.events(connection) if e["action"] == "erasure.ended"]
    assert sorted(left) == [("subject:usr_held", "usr_jane", True), ("subject:usr_jane", "usr_held", True)]
    assert (orders, sorted(ended)) == ([("con_held", True)], [1, 2])
    with writing(made.engine) as connection:
        assert not erasures.begin_if_stored(connection, JANE, reason="ticket 7", actor=TEST)
        for hold in legal_holds.rows(connection):
            legal_holds.release(connection, hold["id"], actor=TEST)
    begin_erasing(made)
    assert advance(made) == 1
    with reading(made.engine) as connection:
        assert mandates.rows(connection) == []


def test_a_hold_keeps_who_has_asked_and_what_was_answered(made: World) -> None:
    """The record of a request on hold stays whole when another is erased. An open question loses the contact."""
    held = [made.request("user:usr_held", profile=profile) for profile in ("access", "portability")]
    other = made.request("user:usr_other")
    states = (ReferralState.INSTRUCTED, ReferralState.OPEN, ReferralState.INSTRUCTED)
    contact = Whom("contact", "con_1", "ten_x")
    with writing(made.engine) as connection:
        of_agent = {"requested_by": "subject:usr_jane", "requested_identity": "https://idp.example jane"}
        connection.execute(update(models.export).values(of_agent))
        for export, state in zip((*held, other), states, strict=True):
            asked = {"id": f"ref_{export[:20]}", "export_id": export, "tenant": "ten_x", "people": ["con_1"]}
            connection.execute(insert(models.referral).values(**asked, state=state, created_at=now()))
        hold = legal_holds.add(connection, subject="user:usr_held", tenant=None, reason="case 12", actor=TEST)

    def named() -> list[tuple[str, list[str]]]:
        with reading(made.engine) as connection:
            query = select(models.export.c.requested_by, models.referral.c.people).join(models.referral)
            rows = [connection.execute(query.where(models.export.c.id == one)).one() for one in (*held, other)]
        return [(row.requested_by, row.people) for row in rows]

    for whom in (JANE, contact):
        begin_erasing(made, whom)
        assert advance(made) == 1
    assert named() == [("subject:usr_jane", ["con_1"]), ("subject:usr_jane", []), ("subject", [])]
    with reading(made.engine) as connection:
        ended = [e["detail"].get("kept") for e in audit.events(connection) if e["action"] == "erasure.ended"]
    assert sorted(ended) == [1, 2]
    with writing(made.engine) as connection:
        assert not erasures.begin_if_stored(connection, JANE, reason="ticket 7", actor=TEST)
        assert not erasures.begin_if_stored(connection, contact, reason="ticket 7", actor=TEST)
        legal_holds.release(connection, hold, actor=TEST)
        for whom in (JANE, contact):
            assert erasures.begin_if_stored(connection, whom, reason="ticket 7", actor=TEST)
    assert advance(made) == 2
    assert named() == [("subject", [])] * 3


def test_a_download_that_was_asked_for_before_records_nothing_afterwards(made: World) -> None:
    """The link was read before the erasure and answers after its end: no bytes, no row, and no letter to anyone."""
    identifier, folder = made.request("user:usr_jane"), made.place.settings.keys
    made.advance_all()
    limits: dict[str, Any] = {"actor": TEST, "claims_max": 9, "claim_seconds": 600}
    with writing(made.engine) as connection:
        token = links.issue(connection, folder, identifier, audience="login", ttl_seconds=600, actor=TEST).token
        link = links.resolve(connection, folder, token)
        claim = links.claim(connection, link, 1, **limits)
        stored = links.claimed(connection, link, 1, claim)
    begin_erasing(made)
    assert advance(made) == 1
    with writing(made.engine) as connection, pytest.raises(LinkInvalid):
        downloads.begin(connection, link, stored, claim, device="Firefox")
    with reading(made.engine) as connection:
        rows = [connection.execute(select(of)).all() for of in (models.download, models.notification)]
    assert rows == [[], []]


def test_a_copy_of_an_erased_person_is_not_sent(made: World) -> None:
    """A clock has found the copy ready, and the erasure has ended before its turn: the clock goes on."""
    with writing(made.engine) as connection:
        copies.send(connection, made.place.settings, "pul_erased")
        assert not copies.fail(connection, "pul_erased", "not_authorised")


def test_a_ground_is_for_the_copy_that_was_made(made: World) -> None:
    """After a retry the person waits for a new copy; a revision that is given up leaves the ground as it was."""
    failed, revised = made.request("user:usr_jane"), made.request("user:usr_jane", since="2021-01-01")
    made.advance_all()
    with writing(made.engine) as connection:
        connection.execute(update(models.export).where(models.export.c.id == failed).values(state="failed"))
        erasure_holds.permit(connection, [failed, revised], "court", actor=TEST)
        retries.retry(connection, failed, actor=TEST)
        kept = exports.get(connection, revised)
        earlier_revisions.keep(connection, kept, [])
        same = update(models.export).where(models.export.c.id == revised)
        connection.execute(same.values(state="running", revision=2))
        earlier = earlier_revisions.of(connection, kept)
        assert earlier
        assert earlier.columns["erasure_ground"] == "court"
        held = [one.exports for one in erasure_holds.subjects(connection)]
    assert held == [(failed,)]

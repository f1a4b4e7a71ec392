"""Notices to recipients on both databases: one for each change, in its transaction, until it is acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from factories import World
from going_back import Backups, contents, journal_of, reconciled
from joserfc.jwk import ECKey
from listener import Heard, Reply
from simultaneous import in_threads
from sqlalchemy import delete, insert, select, update
from structlog.testing import capture_logs
from transferring import Provider, authorised, encrypted, ready, sending_world, started, view
from wrong_clocks import set_machine_wrong

from portability import metrics
from portability.database import incidents, models
from portability.database.engine import now, open_engine, reading, writing
from portability.messages import recipient_notices
from portability.requests import exports
from portability.requests.states import ExportState
from portability.requests.transition import transition
from portability.retention import erasure_previews, erasures
from portability.safe_http import SafeHttpClient
from portability.transfers import authorisations, receipts, recipient_removal, sending
from portability.trust import audit
from portability.trust.signing import NOTICE_TYPE, RECEIPT_TYPE, Jwks, check, sign
from receiver.fetch import acknowledgement
from worker.clock import erasure, notice_delivery, purge

TABLE = models.recipient_notice
TEST, ME = "operator:test", "user:usr_canary"
WHOM = erasures.Whom("user", "usr_canary", None)
STRANGER = ECKey.generate_key("P-256", {"kid": "their-1", "use": "sig"})


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return sending_world(tmp_path, database_url=control_url, backoff_seconds=100)


def offered_transfer(made: World, other: Provider) -> tuple[str, str, str]:
    """Ids of an export, its consent and its offered transfer."""
    consent = authorised(made, other.recipient or other.recorded(made), subject=ME)
    export_id = ready(made, ME)
    transfer_id = started(made, export_id, other.recipient)
    encrypted(made)
    return export_id, consent, transfer_id


def downloading(made: World, transfer_id: str) -> None:
    """The recipient has begun a download."""
    table, claim = models.link, models.link_claim
    with writing(made.engine) as connection:
        link_id = connection.scalar(select(table.c.id).where(table.c.transfer_id == transfer_id))
        row = {"link_id": link_id, "volume": 1, "claim_sha256": transfer_id, "created_at": now(), "expires_at": now(60)}
        connection.execute(insert(claim).values(**row))


def test_a_preview_of_an_erasure_names_who_would_be_informed(made: World, other: Provider) -> None:
    """A recipient that has fetched nothing hears nothing; either way its offer would end."""
    _export_id, _consent, transfer_id = offered_transfer(made, other)
    seen = []
    for _number in range(2):
        with reading(made.engine) as connection:
            (sent,) = erasure_previews.preview(connection, WHOM, reason="ticket 7").transfers
        seen.append((sent.id, sent.recipient, sent.ends, sent.informed))
        if not sent.informed:
            downloading(made, transfer_id)
    assert seen == [(transfer_id, "localhost", True, False), (transfer_id, "localhost", True, True)]
    erase_person(made)
    assert kinds(made) == [("erased", "queued")]


def delivered_transfer(made: World, other: Provider) -> tuple[str, str, str]:
    export_id, consent, transfer_id = offered_transfer(made, other)
    confirm_receipt(made, other, transfer_id)
    return export_id, consent, transfer_id


def confirm_receipt(made: World, other: Provider, transfer_id: str, **claims: Any) -> None:
    with reading(made.engine) as connection:
        row, recipient = receipts.addressed(connection, transfer_id)
    client, token = SafeHttpClient(loopback=True), other.receipt(made, transfer_id, **claims)
    checked = receipts.checked(client, token, row, recipient, iss=made.place.settings.iss)
    with writing(made.engine) as connection:
        receipts.record(connection, transfer_id, checked)


def revoke_consent(made: World, consent: str) -> None:
    with writing(made.engine) as connection:
        authorisations.revoke(connection, consent, actor=TEST)


def erase_person(made: World) -> None:
    with writing(made.engine) as connection:
        erasures.begin(connection, WHOM, reason="ticket 7", actor=TEST, ground="subject")


def inform_next(made: World) -> bool:
    return notice_delivery.inform(made.engine, made.place.settings, SafeHttpClient(loopback=True))


def notice_rows(made: World) -> list[dict[str, Any]]:
    with reading(made.engine) as connection:
        return [dict(row) for row in recipient_notices.rows(connection)]


def kinds(made: World) -> list[tuple[str, str]]:
    return [(row["kind"], row["state"]) for row in notice_rows(made)]


def set_rows(made: World, **values: Any) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(TABLE).values(**values))


def events_of(made: World, action: str) -> list[Any]:
    with reading(made.engine) as connection:
        return [event for event in audit.events(connection) if event["action"] == action]


@pytest.mark.requirement("R46")
def test_a_withdrawn_consent_is_acknowledged(made: World, other: Provider) -> None:
    """One signed webhook of ids; the recipient's JWS is stored, shown in the timeline and recorded."""
    export_id, consent, transfer_id = delivered_transfer(made, other)
    revoke_consent(made, consent)
    assert kinds(made) == [("withdrawn", "queued")]

    assert inform_next(made)
    assert not inform_next(made)

    (heard,), (row,) = other.notices, notice_rows(made)
    event = other.event(heard)
    assert event["type"] == "transfer.withdrawn"
    issuer = made.place.settings.iss
    assert event["data"] == {"notice": row["id"], "transfer": transfer_id, "issuer": issuer, "audience": "localhost"}
    assert heard.headers["webhook-id"] == row["id"]
    claims = check(row["acknowledgement"], Jwks.parse(other.jwks()), typ=NOTICE_TYPE)
    assert (claims["kind"], claims["notice"], row["state"]) == ("withdrawn", row["id"], "acknowledged")
    shown = view(made, transfer_id)
    assert [notice["id"] for notice in shown["notices"]] == [row["id"]]
    steps = [step["what"] for step in shown["timeline"]]
    assert steps[-2:] == ["notice_withdrawn", "notice_acknowledged"]
    for action in ("notice.queued", "notice.acknowledged"):
        (recorded,) = events_of(made, action)
        assert recorded["export_id"] == export_id
        assert recorded["detail"] == {"notice": row["id"], "transfer": transfer_id, "kind": "withdrawn"}


def test_a_recipient_without_data_hears_of_no_withdrawal_and_no_erasure(made: World, other: Provider) -> None:
    """It was offered, and has begun no download: its webhook ends with its link."""
    _export_id, consent, _transfer_id = offered_transfer(made, other)
    revoke_consent(made, consent)
    offered_transfer(made, other)
    erase_person(made)
    assert kinds(made) == []


def test_a_begun_download_counts(made: World, other: Provider) -> None:
    """The recipient may have everything; one transfer that is revoked twice makes one notice."""
    _export_id, consent, transfer_id = offered_transfer(made, other)
    downloading(made, transfer_id)
    with writing(made.engine) as connection:
        sending.revoke(connection, transfer_id, actor=TEST)
    revoke_consent(made, consent)
    assert kinds(made) == [("withdrawn", "queued")]
    assert len(events_of(made, "notice.queued")) == 1


def test_an_offer_that_ends_is_said_to_whoever_had_it(made: World, other: Provider) -> None:
    """Offered and not confirmed in time; a delivered transfer does not expire."""
    delivered_transfer(made, other)
    _export_id, _consent, transfer_id = offered_transfer(made, other)
    with writing(made.engine) as connection:
        connection.execute(update(models.transfer).values(expires_at=now(-1)))
        sending.expire(connection, transfer_id, actor="clock")
        sending.expire(connection, transfer_id, actor="clock")
    assert [(row["kind"], row["transfer_id"]) for row in notice_rows(made)] == [("expired", transfer_id)]


def test_who_has_refused_an_offer_does_not_hear_of_its_end(made: World, other: Provider) -> None:
    """It has answered by signature, and has nothing to wait for; the transfer ends all the same."""
    _export_id, _consent, transfer_id = offered_transfer(made, other)
    confirm_receipt(made, other, transfer_id, status="refused", code="not_wanted", possession=None)
    assert view(made, transfer_id)["state"] == "refused"
    with writing(made.engine) as connection:
        connection.execute(update(models.transfer).values(expires_at=now(-1)))
        sending.expire(connection, transfer_id, actor="clock")
    assert view(made, transfer_id)["state"] == "expired"
    assert kinds(made) == []


def test_an_archive_that_ends_ends_its_offers(made: World, other: Provider) -> None:
    """The notice is in the transaction that lets the export expire."""
    export_id, _consent, _transfer_id = offered_transfer(made, other)
    with writing(made.engine) as connection:
        transition(connection, exports.lock(connection, export_id), ExportState.EXPIRED, actor="clock")
    assert kinds(made) == [("expired", "queued")]


def revised(made: World, export_id: str) -> None:
    """A later revision of an export becomes ready."""
    with writing(made.engine) as connection:
        row = exports.lock(connection, export_id)
        more = {"revision": row["revision"] + 1}
        row = transition(connection, row, ExportState.RUNNING, actor=TEST, columns=more)
        transition(connection, row, ExportState.READY, actor="worker")


def test_each_later_revision_is_a_rectification(made: World, other: Provider) -> None:
    """Two revisions make two notices, with their numbers; the first revision makes none."""
    export_id, _consent, _transfer_id = delivered_transfer(made, other)
    assert kinds(made) == []
    for _ in range(2):
        revised(made, export_id)
    assert inform_next(made)
    assert inform_next(made)
    said = [other.event(heard) for heard in other.notices]
    assert [(event["type"], event["data"]["revision"]) for event in said] == [
        ("transfer.rectified", 2),
        ("transfer.rectified", 3),
    ]
    assert {state for _kind, state in kinds(made)} == {"acknowledged"}


@pytest.mark.requirement("R50")
def test_an_erasure_is_said_after_everything_is_deleted(made: World, other: Provider) -> None:
    """Consent and transfer are gone, the notice is sent, and no row about it names the person."""
    export_id, _consent, transfer_id = delivered_transfer(made, other)
    erase_person(made)
    erase_person(made)
    assert erasure.advance(made.engine, lambda: made.place.storage) == 1
    with reading(made.engine) as connection:
        for table in (models.transfer, models.authorisation, models.transfer_receipt):
            assert connection.execute(select(table)).all() == []

    assert inform_next(made)

    (row,) = notice_rows(made)
    assert (row["kind"], row["state"], row["transfer_id"]) == ("erased", "acknowledged", transfer_id)
    assert "canary" not in str(row)
    assert [event["export_id"] for event in events_of(made, "notice.acknowledged")] == [export_id]


def test_no_change_without_its_notice(made: World, other: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the notice cannot be written, the consent is not revoked."""
    _export_id, consent, _transfer_id = delivered_transfer(made, other)

    def full(*_arguments: object, **_more: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(recipient_notices, "queue", full)
        with pytest.raises(MemoryError):
            revoke_consent(made, consent)
    with reading(made.engine) as connection:
        assert authorisations.get(connection, consent)["revoked_at"] is None
    revoke_consent(made, consent)
    assert kinds(made) == [("withdrawn", "queued")]


Change = Callable[[Heard, Provider], Reply]


def _changed(heard: Heard, other: Provider, *, key: ECKey | None = None, typ: str = NOTICE_TYPE, **more: Any) -> Reply:
    """The right answer with changes."""
    right = acknowledgement.acknowledge(heard.body, other.key, audience="localhost")
    claims = {**check(right, Jwks.parse(other.jwks()), typ=NOTICE_TYPE), **more}
    return 200, {}, sign(claims, key or other.key, typ=typ).encode()


ANSWERS: dict[str, tuple[Change, str]] = {
    "an error": (lambda _heard, _other: (500, {}, b""), "status_500"),
    "accepted without signature": (lambda _heard, _other: (204, {}, b""), "status_204"),
    "nothing": (lambda _heard, _other: (200, {}, b""), "malformed_jws"),
    "too much": (lambda _heard, _other: (200, {}, b"a." * 5000), "malformed_jws"),
    "another key": (lambda heard, other: _changed(heard, other, key=STRANGER), "bad_signature"),
    "another type": (lambda heard, other: _changed(heard, other, typ=RECEIPT_TYPE), "wrong_type"),
    "another domain": (lambda heard, other: _changed(heard, other, iss="x.example"), "wrong_claims"),
    "another sender": (lambda heard, other: _changed(heard, other, aud="x.example"), "wrong_claims"),
    "another notice": (lambda heard, other: _changed(heard, other, notice="ntc_0"), "wrong_claims"),
    "another kind": (lambda heard, other: _changed(heard, other, kind="erased"), "wrong_claims"),
    "another text": (lambda heard, other: _changed(heard, other, notice_sha256="0" * 64), "wrong_claims"),
    "more than asked": (lambda heard, other: _changed(heard, other, name="Jane"), "wrong_claims"),
    "another time": (lambda heard, other: _changed(heard, other, iat=1), "clock_skew"),
}


def test_only_a_signature_settles_it(made: World, other: Provider) -> None:
    """Any other answer is stored as its reason, and the same notice is sent again until it is acknowledged."""
    _export_id, consent, _transfer_id = delivered_transfer(made, other)
    revoke_consent(made, consent)
    usual = other.server.reply
    for name, (reply, reason) in ANSWERS.items():
        set_rows(made, not_before=now(-1))
        other.server.reply = partial(_answered, other, usual, reply)
        assert inform_next(made), name
        assert not inform_next(made), name  # it waits
        (row,) = notice_rows(made)
        assert (row["state"], row["reason"], row["acknowledgement"]) == ("queued", reason, None), name

    other.server.reply = usual
    set_rows(made, not_before=now(-1))
    assert inform_next(made)
    assert [(row["state"], row["reason"]) for row in notice_rows(made)] == [("acknowledged", None)]
    assert len(other.notices) == len(ANSWERS) + 1
    assert len({(notice.body, notice.headers["webhook-id"]) for notice in other.notices}) == 1


def _answered(other: Provider, usual: Callable[[Heard], Reply], reply: Change, heard: Heard) -> Reply:
    return usual(heard) if heard.path == "/jwks.json" else reply(heard, other)


def test_a_recipient_that_cannot_be_reached_is_asked_for_thirty_days(made: World, other: Provider) -> None:
    """Also if its address is refused meanwhile: it may get another. Then it is given up, counted and recorded."""
    _export_id, consent, _transfer_id = delivered_transfer(made, other)
    revoke_consent(made, consent)
    away = SafeHttpClient(loopback=False)
    for age_days in (7, 29, 31):
        assert [state for _kind, state in kinds(made)] == ["queued"]
        set_rows(made, not_before=None, created_at=now(-age_days * 86_400))
        assert notice_delivery.inform(made.engine, made.place.settings, away)
    (row,) = notice_rows(made)
    assert (row["state"], row["reason"], row["attempts"]) == ("failed", "address_refused", 3)
    assert {count["kind"]: count["count"] for count in incidents.counted(made.engine)}["notice_failed"] == 1
    (event,) = events_of(made, "notice.failed")
    assert event["detail"]["reason"] == "address_refused"
    assert other.notices == []


def test_a_recipient_that_answers_late_or_not_at_all_is_asked_again(made: World, other: Provider) -> None:
    """The time of a request is limited; a connection may be closed without an answer. The next answer settles it."""
    _export_id, consent, _transfer_id = delivered_transfer(made, other)
    revoke_consent(made, consent)
    usual, later = other.server.reply, threading.Event()

    def late(heard: Heard) -> Reply:
        later.wait(30)
        return usual(heard)

    other.server.reply = late
    hasty = SafeHttpClient(loopback=True, seconds=0.3)
    assert notice_delivery.inform(made.engine, made.place.settings, hasty)
    later.set()
    other.server.reply, other.server.raw = usual, lambda handler: handler.connection.close()
    set_rows(made, not_before=None)
    assert inform_next(made)
    assert [(row["state"], row["reason"]) for row in notice_rows(made)] == [("queued", "outside_unavailable")]
    assert notice_rows(made)[0]["attempts"] == 2

    other.server.raw = None
    set_rows(made, not_before=None)
    assert inform_next(made)
    assert kinds(made) == [("withdrawn", "acknowledged")]


def test_a_recipient_that_wants_nothing_more_is_not_asked_again(made: World, other: Provider) -> None:
    """410 (Standard Webhooks)."""
    _export_id, consent, _transfer_id = delivered_transfer(made, other)
    revoke_consent(made, consent)
    other.status = 410
    assert inform_next(made)
    assert kinds(made) == [("withdrawn", "failed")]


def test_a_removed_recipient_still_hears(made: World, other: Provider) -> None:
    """It still has the data, and its addresses are known."""
    delivered_transfer(made, other)
    with writing(made.engine) as connection:
        recipient_removal.remove(connection, other.recipient, actor=TEST)
    erase_person(made)
    assert inform_next(made)
    assert kinds(made) == [("erased", "acknowledged")]


def test_several_clocks_send_a_notice_once(made: World, other: Provider, control_url: str) -> None:
    """A lease for each attempt: no other clock takes it meanwhile."""
    _export_id, consent, _transfer_id = delivered_transfer(made, other)
    revoke_consent(made, consent)

    def one(_number: int) -> None:
        engine = open_engine(control_url)
        notice_delivery.inform(engine, made.place.settings, SafeHttpClient(loopback=True))
        engine.dispose()

    in_threads(4, one)

    assert len(other.notices) == 1


def test_a_record_is_purged_only_after_its_notice(made: World, other: Provider) -> None:
    """An erasure of an old request: first the recipient hears of it, then the record goes, with its notices."""
    delivered_transfer(made, other)
    erase_person(made)
    erasure.advance(made.engine, lambda: made.place.storage)
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(ended_at=now(-5 * 366 * 86_400)))
        connection.execute(delete(models.deleted_volume))
    assert purge.purge(made.engine, 24) == 0
    assert inform_next(made)
    assert purge.purge(made.engine, 24) == 1
    assert notice_rows(made) == []


def test_a_notice_comes_back_after_a_restore(made: World, other: Provider, backups: Backups) -> None:
    """Queued or acknowledged: the journal of its export has it."""
    export_id, consent, _transfer_id = delivered_transfer(made, other)
    journal_of(made).ship()
    points = [backups.take()]
    revoke_consent(made, consent)
    journal_of(made).ship()
    points.append(backups.take())
    assert inform_next(made)
    journal_of(made).ship()
    wanted = contents(made)
    for point in points:
        backups.restore(point)
        assert {event.outcome for event in reconciled(made).events} <= {"restored", "noted"}
        assert contents(made) == wanted
    assert export_id


def test_the_notice_of_an_erasure_comes_back_after_a_restore(made: World, other: Provider, backups: Backups) -> None:
    """The backup is older than the erasure: the person stays erased, and the acknowledgement is there once."""
    delivered_transfer(made, other)
    journal_of(made).ship()
    before = backups.take()
    erase_person(made)
    erasure.advance(made.engine, lambda: made.place.storage)
    assert inform_next(made)
    journal_of(made).ship()
    (wanted,) = notice_rows(made)
    backups.restore(before)
    reconciled(made)
    erasure.advance(made.engine, lambda: made.place.storage)
    assert notice_rows(made) == [wanted]
    assert not inform_next(made)


@pytest.mark.parametrize("minutes", [-20, 20])
def test_an_acknowledgement_counts_where_the_clock_of_the_machine_is_wrong(
    made: World, other: Provider, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """The time of the database is that of the webhook, and judges the answer."""
    _export, consent, _transfer = delivered_transfer(made, other)
    set_machine_wrong(monkeypatch, minutes=minutes)
    revoke_consent(made, consent)
    assert inform_next(made)
    assert kinds(made) == [("withdrawn", "acknowledged")]
    assert abs(int(other.notices[-1].headers["webhook-timestamp"]) - time.time()) < 60


def test_a_notice_that_waits_is_named_and_measured(made: World, other: Provider) -> None:
    """The log has the ids that commands take; the age of the oldest is a metric, 0 once it is acknowledged."""
    name = "portability_oldest_queued_notice_age_seconds"
    export_id, _consent, transfer_id = delivered_transfer(made, other)
    revised(made, export_id)
    other.status = 500
    with capture_logs() as logs:
        assert inform_next(made)
    (refused,) = (log for log in logs if log["event"] == "inform.refused")
    (row,) = notice_rows(made)
    ids = {"notice": row["id"], "transfer": transfer_id, "recipient": row["recipient_id"], "export": export_id}
    assert {key: refused[key] for key in (*ids, "code")} == {**ids, "code": "status_500"}
    set_rows(made, created_at=now(-2 * 86_400), not_before=None)
    found = {metric.name: metric for metric in metrics.collect(made.engine)}
    assert 172_800 <= found[name].samples[0].value < 180_000
    other.status = 200
    assert inform_next(made)
    found = {metric.name: metric for metric in metrics.collect(made.engine)}
    assert found[name].samples[0].value == 0

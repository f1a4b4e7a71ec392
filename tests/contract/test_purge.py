"""Time travel: records of requests are kept as long as the laws want, then purged, on both databases (R50)."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from factories import World
from sqlalchemy import insert, select, update

from portability.api.errors import BadInput, BadSetting
from portability.api.times import rfc3339
from portability.database import deployment, models
from portability.database.engine import now, reading, writing
from portability.people import subjects
from portability.requests import approvals, exports, instructions, mandates, request_log
from portability.requests.policy import Actor
from portability.requests.request_log import Scope
from portability.requests.states import ExportState
from portability.retention import legal_holds, recalls
from portability.settings import load_settings
from portability.transfers import authorisations
from portability.trust import audit
from worker.clock import erasure, purge
from worker.clock.purge import _months_ago
from worker.write.withdraw import withdraw_discarded

TEST, OLGA = "operator:test", Actor("officer", "olga")
EXPORT = models.export
DAY = 86_400
_FAR = datetime(2126, 1, 1, tzinfo=UTC)
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def ended(made: World, subject: str = "user:usr_1", *, ended_at: datetime | None = None, state: str = "expired") -> str:
    """An export that came to its end at a time, and of which nothing is stored."""
    identifier = made.request(subject)
    made.advance_all()
    with writing(made.engine) as connection:
        this_export = update(EXPORT).where(EXPORT.c.id == identifier)
        connection.execute(this_export.values(state=state, ended_at=ended_at or now(-900 * DAY)))
    withdraw_discarded(made.engine, lambda: made.place.storage, {ExportState(state)})
    erasure.attest(made.engine, made.place.settings.keys, "https://x.example")
    return identifier


def ids(made: World) -> set[str]:
    with reading(made.engine) as connection:
        return set(connection.scalars(select(EXPORT.c.id)))


@pytest.mark.parametrize("months", [24, 72])
@pytest.mark.requirement("R50")
def test_a_record_is_kept_to_the_last_moment(made: World, months: int) -> None:
    """Of 24 months, and of HIPAA's six years: the day before it is there, the day after it is not."""
    at = deployment.clock(made.engine)
    limit = _months_ago(at, months)
    young = ended(made, "user:usr_1", ended_at=limit.replace(hour=0) + (at - at.replace(hour=0)) + _HOUR)
    old = ended(made, "user:usr_2", ended_at=limit - _HOUR)

    assert purge.purge(made.engine, months) == 1
    assert ids(made) == {young}
    assert purge.purge(made.engine, months) == 0
    with reading(made.engine) as connection:
        assert audit.events(connection, export_id=old)[-1]["action"] == "request.purged"
        assert audit.verify(connection).ok


_HOUR = datetime(2026, 1, 1, 1, tzinfo=UTC) - datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("present", "months", "limit"),
    [
        ("2028-02-29 12:00", 24, "2026-02-28 12:00"),
        ("2026-01-31 12:00", 24, "2024-01-31 12:00"),
        ("2032-02-29 12:00", 72, "2026-02-28 12:00"),
        ("2026-03-31 00:00", 1, "2026-02-28 00:00"),
    ],
)
def test_months_are_those_of_the_calendar(present: str, months: int, limit: str) -> None:
    """Counted back to the same-numbered day, or the month's last."""
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (present, limit)]
    assert _months_ago(moments[0], months) == moments[1]


def test_the_whole_record_goes_and_the_pseudonym_with_the_last(made: World) -> None:
    """Every row that refers to the export; the audit log keeps a pseudonym that identifies no one."""
    first, second = ended(made), ended(made, ended_at=datetime.now(UTC))
    with reading(made.engine) as connection:
        ref = subjects.pairwise_ref(connection, "user", "usr_1", None)
        assert exports.view(connection, first)["attestations"] != []
    assert purge.purge(made.engine, 24) == 1
    with reading(made.engine) as connection:
        assert subjects.pairwise_ref(connection, "user", "usr_1", None) == ref
        for table in models.metadata.sorted_tables:
            if "export_id" in table.c and table not in {models.audit_event, models.audit_unchained}:
                assert set(connection.scalars(select(table.c.export_id))) <= {second}
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).values(ended_at=now(-900 * DAY)))
    assert purge.purge(made.engine, 24) == 1
    with reading(made.engine) as connection:
        assert connection.scalars(select(models.subject_ref.c.ref)).all() == []


def test_what_is_still_needed_is_kept(made: World) -> None:
    """A hold, an open breach, an archive, an open request, a volume still in storage: at any age."""
    ended(made, "user:usr_held")
    breached = ended(made, "user:usr_breached")
    ready, waiting = ended(made, "user:usr_ready", state="ready"), made.request("user:usr_waiting")
    with writing(made.engine) as connection:
        hold = legal_holds.add(connection, subject="user:usr_held", tenant=None, reason="case", actor=TEST)
        recall = recalls.recall(connection, breached, reason="x", actor=TEST)
        old = update(EXPORT).where(EXPORT.c.id == waiting)
        connection.execute(old.values(created_at=now(-900 * DAY), received_at=now(-900 * DAY)))
    assert purge.purge(made.engine, 24) == 0
    with writing(made.engine) as connection:
        legal_holds.release(connection, hold, actor=TEST)
        recalls.close(connection, recall, outcome="informed", actor=TEST)
    withdraw_discarded(made.engine, lambda: made.place.storage, {ExportState.RECALLED})
    assert purge.purge(made.engine, 24) == 2
    assert ids(made) == {ready, waiting}


def test_powers_and_orders_that_ended_go_too(made: World) -> None:
    """They name people: as long after their end."""
    far = datetime(2126, 1, 1, tzinfo=UTC)
    assert far is not None
    with writing(made.engine) as connection:
        for subject in ("user:usr_1", "user:usr_2"):
            mandates.add(
                connection, agent="subject:usr_9", subject=subject, tenant=None, profiles=["access"], issuer="a court",
                expires_at=far, actor=TEST,
            )  # fmt: skip  # one call
            legal_holds.add(connection, subject=subject, tenant=None, reason="case", actor=TEST)
        for contact in ("con_1", "con_2"):
            instructions.add(connection, "ten_1", contact_id=contact, exporters=None, actor=TEST)
        for table, name, column in (
            (models.mandate, "usr_1", "ended_at"),
            (models.legal_hold, "usr_1", "released_at"),
            (models.instruction, "con_1", "withdrawn_at"),
        ):
            key = table.c.contact_id if table is models.instruction else table.c.subject_id
            connection.execute(update(table).where(key == name).values({column: now(-900 * DAY)}))
    purge.purge(made.engine, 24)
    with reading(made.engine) as connection:
        assert [len(connection.execute(select(t)).all()) for t in (models.mandate, models.legal_hold)] == [1, 1]
        assert connection.scalars(select(models.instruction.c.contact_id)).all() == ["con_2"]


def test_what_names_a_subject_is_kept_until_its_legal_hold_ends(made: World) -> None:
    """Like the records of its requests: by kind, id and tenant; of a mandate also if its agent is under the hold."""
    under_hold = [("user:usr_1", None), ("user:usr_8", None), ("contact:con_1", "ten_1"), ("tenant:ten_2", "ten_2")]
    power: dict[str, Any] = {"profiles": ["access"], "issuer": "a court", "expires_at": _FAR, "actor": TEST}
    whom = {"subject_kind": "user", "subject_ref": "sub_x"}
    row = {**whom, "profile": "access", "formats": ["jsonl"], "created_at": now(), "created_by": TEST, "number": 0}
    with writing(made.engine) as connection:
        for agent, subject in (("usr_9", "usr_1"), ("usr_8", "usr_2"), ("usr_9", "usr_2")):
            mandates.add(connection, agent=f"subject:{agent}", subject=f"user:{subject}", tenant=None, **power)
        for tenant, contact in (("ten_1", "con_1"), ("ten_1", None), ("ten_2", None), ("ten_3", "con_1")):
            instructions.add(connection, tenant, contact_id=contact, exporters=None, actor=TEST)
        connection.execute(update(models.mandate).values(ended_at=now(-900 * DAY)))
        connection.execute(update(models.instruction).values(withdrawn_at=now(-900 * DAY)))
        for name in ("usr_1", "usr_2"):
            connection.execute(insert(models.feed).values(**row, id=f"fed_{name}", subject_id=name, ended_at=_LONG_AGO))
        for subject, of_tenant in under_hold:
            legal_holds.add(connection, subject=subject, tenant=of_tenant, reason="case", actor=TEST)
    purge.purge(made.engine, 24)
    orders = models.instruction
    with reading(made.engine) as connection:
        agents = set(connection.execute(select(models.mandate.c.agent, models.mandate.c.subject_id)).all())
        assert agents == {("subject:usr_9", "usr_1"), ("subject:usr_8", "usr_2")}
        assert set(connection.execute(select(orders.c.tenant, orders.c.contact_id)).all()) == {
            *(("ten_1", "con_1"), ("ten_2", None))
        }
        assert connection.scalars(select(models.feed.c.subject_id)).all() == ["usr_1"]
    with writing(made.engine) as connection:
        for found in legal_holds.rows(connection):
            legal_holds.release(connection, found["id"], actor=TEST)
    purge.purge(made.engine, 24)
    with reading(made.engine) as connection:
        assert [connection.execute(select(t)).all() for t in (models.mandate, orders, models.feed)] == [[], [], []]


def test_the_pseudonym_goes_with_the_last_row_that_names_its_subject(made: World) -> None:
    """A hold assigns one, and so does the journal for whom a mandate or an instruction names."""
    known = models.subject_ref
    with writing(made.engine) as connection:
        for name in ("usr_1", "usr_2"):
            legal_holds.add(connection, subject=f"user:{name}", tenant=None, reason="case", actor=TEST)
        power: dict[str, Any] = {"profiles": ["access"], "issuer": "a court", "expires_at": _FAR, "actor": TEST}
        mandates.add(connection, agent="subject:usr_9", subject="user:usr_2", tenant=None, **power)
        instructions.add(connection, "ten_1", contact_id="con_1", exporters=None, actor=TEST)
        subjects.pairwise_ref(connection, "contact", "con_1", "ten_1")
        connection.execute(update(models.legal_hold).values(released_at=now(-900 * DAY)))
        connection.execute(update(models.instruction).values(withdrawn_at=now(-900 * DAY)))
        ref = subjects.pairwise_ref(connection, "user", "usr_2", None)
    purge.purge(made.engine, 24)
    with writing(made.engine) as connection:
        assert connection.scalars(select(known.c.ref)).all() == [ref]
        connection.execute(update(models.mandate).values(expires_at=now(-900 * DAY)))
    purge.purge(made.engine, 24)
    with reading(made.engine) as connection:
        assert connection.scalars(select(known.c.ref)).all() == []


def test_consents_that_ended_go_with_what_rests_on_them(made: World) -> None:
    """A consent names a person: it goes as long after its end, and not before the record of its last transfer."""
    long_ago = now(-900 * DAY)
    export_id = made.request("user:usr_1")
    subject = {"subject_kind": "user", "subject_id": "usr_1", "subject_ref": "sub_x", "datasets": ["calls"]}
    given = {**subject, "recipient_id": "rcp_1", "created_by": TEST, "created_at": long_ago}
    with writing(made.engine) as connection:
        named = dict.fromkeys(("name", "domain", "age_key", "jwks_url", "webhook_url", "webhook_kid"), "x")
        to = {**named, "id": "rcp_1", "country": "DE", "mechanism": "adequacy"}
        connection.execute(insert(models.recipient).values(**to, created_by=TEST, created_at=long_ago))
        ends: dict[str, dict[str, Any]] = {
            "aut_revoked": {"once": False, "revoked_at": long_ago},
            "aut_over": {"once": False, "expires_at": long_ago},
            "aut_used": {"once": True, "used_at": long_ago},
            "aut_sent": {"once": True, "used_at": long_ago},
            "aut_again": {"once": False, "used_at": long_ago, "expires_at": now(DAY)},
            "aut_new": {"once": True},
        }
        for name, ended in ends.items():
            connection.execute(insert(models.authorisation).values(id=name, **given, **ended))
        sent = {"id": "trf_1", "export_id": export_id, "recipient_id": "rcp_1", "authorisation_id": "aut_sent"}
        values = {"state": "delivered", "created_by": TEST, "created_at": long_ago, "fence": 0, "attempts": 0}
        connection.execute(insert(models.transfer).values(**sent, **values))
    purge.purge(made.engine, 24)
    with reading(made.engine) as connection:
        assert set(connection.scalars(select(models.authorisation.c.id))) == {"aut_sent", "aut_again", "aut_new"}


def test_a_person_finds_a_consent_that_outlives_their_last_request(made: World) -> None:
    """Pages and lists find it by the pseudonym, which goes with the last row that states it."""
    ended(made)
    with writing(made.engine) as connection:
        named = dict.fromkeys(("name", "domain", "age_key", "jwks_url", "webhook_url", "webhook_kid"), "x")
        to = {**named, "id": "rcp_1", "country": "DE", "mechanism": "adequacy", "created_by": TEST, "created_at": now()}
        connection.execute(insert(models.recipient).values(**to, approved_at=now()))
        given: Any = {"subject": "user:usr_1", "recipient": "rcp_1", "datasets": ["calls"], "evidence": "paper 7"}
        consent = authorisations.give(connection, **given, actor=OLGA)
    assert purge.purge(made.engine, 24) == 1
    with writing(made.engine) as connection:
        ref = subjects.pairwise_ref(connection, "user", "usr_1", None)
        assert [row["id"] for row in authorisations.of(connection, ref)] == [consent]
        connection.execute(update(models.authorisation).values(revoked_at=now(-900 * DAY)))
    purge.purge(made.engine, 24)
    with reading(made.engine) as connection:
        assert connection.scalars(select(models.subject_ref.c.ref)).all() == []


@pytest.mark.parametrize(
    ("regimes", "months", "kept"),
    [
        ("gdpr,data_act", None, 24),
        ("gdpr,data_act", 24, 24),
        ("gdpr,data_act", 36, 36),
        ("gdpr,hipaa,data_act", None, 72),
    ],
)
def test_the_laws_say_how_long(regimes: str, months: int | None, kept: int) -> None:
    """By default as long as the strictest law requires; longer if configured."""
    assert load_settings(regimes=regimes, request_log_months=months).log_months == kept


@pytest.mark.parametrize(
    ("regimes", "months"), [("gdpr,data_act", 23), ("hipaa,gdpr,data_act", 71), ("gdpr,data_act", 0)]
)
@pytest.mark.requirement("R50")
def test_less_than_the_law_is_refused(regimes: str, months: int) -> None:
    """With the least that would do."""
    with pytest.raises(BadSetting, match=r"PORTABILITY_REQUEST_LOG_MONTHS: .*at least (24|72) months"):
        load_settings(regimes=regimes, request_log_months=months)


@pytest.mark.requirement("R50")
def test_the_log_has_the_fields_of_the_law(made: World) -> None:
    """Date, nature, manner, date and nature of the answer, basis of a refusal (11 CCR 7101(b)); as a table, too."""
    ready = made.request("user:usr_1", channel="letter", received_at="2026-11-01")
    made.advance_all()
    denied, open_one = made.request("user:usr_2"), made.request("user:usr_3")
    with writing(made.engine) as connection:
        with pytest.raises(BadInput, match="basis"):
            approvals.deny(connection, denied, reason="who are you?", actor=OLGA, basis="mood")
        approvals.deny(connection, denied, reason="=we could not verify you", actor=OLGA, basis="identity")
    with reading(made.engine) as connection:
        rows = list(request_log.page(connection, Scope(), limit=1000)[0])
        answered_at = audit.events(connection, export_id=ready)[-1]["at"]
    log = {row["id"]: row for row in csv.DictReader(io.StringIO(request_log.table(rows), newline=""))}

    assert log[ready]["received_at"] == "2026-11-01T00:00:00Z"
    assert (log[ready]["profile"], log[ready]["channel"], log[ready]["response"]) == ("access", "letter", "complied")
    assert log[ready]["responded_at"] == rfc3339(answered_at)
    assert (log[denied]["response"], log[denied]["basis"]) == ("denied", "identity")
    assert log[denied]["denial"] == "'=we could not verify you"
    assert [log[open_one][name] for name in request_log.ANSWER] == ["", "", "", ""]
    later = recall_and_expire(made, ready)
    assert (later["response"], later["responded_at"]) == ("complied", rfc3339(answered_at))


def recall_and_expire(made: World, identifier: str) -> dict[str, object]:
    with writing(made.engine) as connection:
        recalls.recall(connection, identifier, reason="x", actor=TEST)
    with reading(made.engine) as connection:
        (row,) = (r for r in request_log.page(connection, Scope(), limit=1000)[0] if r["id"] == identifier)
        return dict(request_log.document(row))


def test_an_archive_with_gaps_is_an_answer_in_part(made: World) -> None:
    """Gaps are counted in the log of requests, too."""
    made.request()
    made.advance_all()
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).values(complete=False, outcome_own="partial"))
    with reading(made.engine) as connection:
        (row,) = request_log.page(connection, Scope(), limit=1000)[0]
        assert request_log.document(row)["response"] == "complied_in_part"


def test_the_pseudonym_of_an_agent_stays_as_long_as_a_mandate_names_them(made: World) -> None:
    """It goes with the mandate if that is the last row, although the mandate is about another person."""
    ended(made, "user:usr_agent")
    terms: dict[str, Any] = {"profiles": ["access"], "issuer": "a court", "expires_at": _FAR, "actor": TEST}
    with writing(made.engine) as connection:
        mandates.add(connection, agent="subject:usr_agent", subject="user:usr_1", tenant=None, **terms)
    assert purge.purge(made.engine, 24) == 1
    with reading(made.engine) as connection:
        assert subjects.ref_row(connection, "user", "usr_agent", None)
    with writing(made.engine) as connection:
        connection.execute(update(models.mandate).values(ended_at=_LONG_AGO))
    purge.purge(made.engine, 24)
    with reading(made.engine) as connection:
        assert mandates.rows(connection) == []
        assert not subjects.ref_row(connection, "user", "usr_agent", None)

"""Locks by subject: what concerns one subject happens in turn, and what concerns different subjects does not wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import World
from simultaneous import in_processes
from sqlalchemy import Connection, func, select, text

from portability.database import models, named_locks
from portability.database.engine import open_engine, reading, undone, writing
from portability.errors import DatabaseUnavailable, ErasureRunning
from portability.people import subject_locks
from portability.people.subject_locks import SubjectName
from portability.requests import acceptance, instructions, intake, mandates, slices
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.retention import erasures, legal_holds
from portability.retention.erasures import Whom
from portability.transfers import authorisations

TEST = "operator:test"
JANE: SubjectName = ("user", "usr_jane", None)
JOHN: SubjectName = ("user", "usr_john", None)
ACME: SubjectName = ("tenant", "acme", "acme")
CONTACT: SubjectName = ("contact", "con_1", "acme")
OTHER_CONTACT: SubjectName = ("contact", "con_2", "acme")
ASK = """
from portability.api.errors import BadInput
from portability.database.engine import open_engine, writing
from portability.requests import acceptance, intake
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.settings import load_settings
url, folder, asked = sys.argv[1], sys.argv[2], sys.argv[3:]
settings, engine = load_settings(database_url=url, dir=folder, exports_per_month=3), open_engine(url)
begin()
for since in asked:
    wanted = acceptance.check(profile="access", subject="user:usr_jane", since=since)
    try:
        with writing(engine) as connection:
            print(intake.take(connection, settings, wanted, actor=Actor("subject", "usr_jane"), auth=PRESENT)[0])
    except BadInput as error:
        print(error.code)
"""


def waits(made: World, first: Callable[[Connection], Any], second: Callable[[Connection], Any]) -> bool:
    """Return whether the second transaction waits for the first transaction, which has not ended; both are undone."""
    has_waited = False
    with undone(made.engine), writing(made.engine) as connection:
        first(connection)
        other = open_engine(made.engine.url.render_as_string(hide_password=False))
        try:
            with undone(other), writing(other) as beside:
                beside.execute(text("SET LOCAL lock_timeout = '300ms'"))
                second(beside)
        except DatabaseUnavailable:
            has_waited = True
        other.dispose()
    return has_waited


def locking(*subjects: SubjectName) -> Callable[[Connection], None]:
    return lambda connection: subject_locks.lock(connection, *subjects)


def asking(subject: SubjectName, actor: Actor | None = None) -> Callable[[Connection], Any]:
    kind, identifier, tenant = subject
    wanted = acceptance.check(profile="access", subject=f"{kind}:{identifier}", tenant=tenant)
    return lambda connection: acceptance.accept(connection, wanted, actor=actor or Actor("operator", "test"))


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (locking(JANE), locking(JANE), True),
        (locking(JANE), locking(JOHN), False),
        (locking(JANE, JOHN), locking(JOHN), True),
        (locking(CONTACT), locking(OTHER_CONTACT), False),
        (locking(CONTACT), locking(ACME), True),
        (locking(ACME), locking(CONTACT), True),
        (locking(ACME), locking(("tenant", "other", "other")), False),
        (asking(JANE), asking(JANE), True),
        (asking(JANE), asking(JOHN), False),
        (asking(CONTACT), asking(OTHER_CONTACT), False),
        (asking(JANE), named_locks.lock_everything, True),
        (locking(JANE), named_locks.lock_everything, True),
        (named_locks.lock_everything, locking(JANE), True),
    ],
)
def test_subjects_wait_for_themselves_and_for_their_tenant(
    made: World, first: Callable[[Connection], Any], second: Callable[[Connection], Any], *, expected: bool
) -> None:
    """One subject waits for itself, a contact for its tenant, and each for what excludes everything; others do not."""
    with writing(made.engine) as connection:
        # The very first request of a group inserts the row of its turn.
        for group in ("", "acme"):
            slices.enter_turns(connection, group)
    assert waits(made, first, second) is expected


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_request_erasure_and_hold_of_a_subject_wait_for_each_other(made: World) -> None:
    """Whichever of the three begins second waits until the first ends, and then sees its row."""
    acts: list[Callable[[Connection], Any]] = [
        asking(JANE),
        lambda c: erasures.begin(c, Whom(*JANE), reason="x", actor=TEST, cancel_running=True, ground="subject"),
        lambda c: legal_holds.add(c, subject="user:usr_jane", tenant=None, reason="x", actor=TEST),
    ]
    for first in acts:
        for second in acts:
            assert waits(made, first, second)


def naming(subject: SubjectName) -> Sequence[Callable[[Connection], Any]]:
    """Return what adds a mandate, a consent and, for a contact, an instruction of its tenant."""
    kind, identifier, tenant = subject
    named, later = f"{kind}:{identifier}", datetime.now(UTC) + timedelta(days=1)
    consent: dict[str, Any] = {"recipient": "other.example", "datasets": ["made"], "actor": Actor("staff", "sue")}
    mandate: dict[str, Any] = {"profiles": ["access"], "issuer": "a court", "expires_at": later, "actor": TEST}
    acts: list[Callable[[Connection], Any]] = [
        lambda c: mandates.add(c, agent="subject:usr_sue", subject=named, tenant=tenant, **mandate),
        lambda c: authorisations.give(c, subject=named, tenant=tenant, evidence="letter 7", **consent),
    ]
    if tenant is not None:
        acts.append(lambda c: instructions.add(c, tenant, contact_id=identifier, exporters=None, actor=TEST))
    return acts


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("subject", [JANE, CONTACT])
def test_what_names_a_subject_excludes_its_erasure(made: World, subject: SubjectName) -> None:
    """An erasure deletes mandates, consents and instructions at its end: none is added while it runs, or is missed."""
    for add in naming(subject):
        assert waits(made, locking(subject), add)
    with writing(made.engine) as connection:
        erasures.begin(connection, Whom(*subject), reason="x", actor=TEST, ground="subject")
    for add in naming(subject):
        with writing(made.engine) as connection, pytest.raises(ErasureRunning):
            add(connection)


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_the_end_of_a_tenant_s_erasure_waits_for_requests_in_the_tenant(made: World) -> None:
    """It deletes the tenant's turn if no slice waits, so it waits for a contact's request, and the request for it."""
    with writing(made.engine) as connection:
        erasure_id = erasures.begin(connection, Whom(*ACME), reason="x", actor=TEST)

    def finish(connection: Connection) -> None:
        assert erasures.finish(connection, erasure_id)

    assert waits(made, asking(CONTACT), finish)
    assert waits(made, finish, asking(CONTACT))


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_the_erasure_of_an_agent_waits_for_the_request_under_the_agent_s_mandate(made: World) -> None:
    """It deletes the mandates and the names of the agent, so it waits for a request that still has both."""
    wanted = acceptance.check(profile="access", subject="user:usr_john")
    named: dict[str, Any] = {"agent": "subject:usr_jane", "subject": "user:usr_john", "tenant": None, "issuer": "court"}
    ends_at = datetime.now(UTC) + timedelta(days=1)
    with writing(made.engine) as connection:
        mandate_id = mandates.add(connection, **named, profiles=["access"], expires_at=ends_at, actor=TEST)
        erasure_id = erasures.begin(connection, Whom(*JANE), reason="x", actor=TEST)

    def ask(connection: Connection) -> None:
        agent = Actor("subject", "usr_jane")
        intake.take(connection, made.place.settings, wanted, actor=agent, auth=PRESENT, mandate_id=mandate_id)

    assert waits(made, ask, lambda connection: erasures.finish(connection, erasure_id))


def test_one_request_from_eight_processes_makes_one_export(made: World, control_url: str) -> None:
    """Eight processes make the same request at once: all get the same id, and there is one row."""
    printed = in_processes(8, ASK, control_url, str(made.folder), "2020-01-01")
    assert len(set(printed)) == 1
    with reading(made.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(models.export)) == 1


def test_eight_processes_open_no_more_than_the_limit(made: World, control_url: str) -> None:
    """Eight processes make six different requests each, in the same order: five are open, and the rest are refused."""
    wanted = [f"20{year}-01-01" for year in range(10, 16)]
    printed = [line.split() for line in in_processes(8, ASK, control_url, str(made.folder), *wanted)]
    assert all(lines[5] == "too_many_exports" for lines in printed)
    assert len({tuple(lines) for lines in printed}) == 1
    with reading(made.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(models.export)) == 5

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from factories import World, world
from sqlalchemy import select, update

from portability.api import SubjectKind
from portability.database import models
from portability.database.engine import reading, writing
from portability.people import subjects
from portability.requests import acceptance, exports
from portability.requests.policy import Actor
from portability.trust import audit


def ref(made: World, identifier: str) -> str:
    with reading(made.engine) as connection:
        return str(exports.get(connection, identifier)["subject_ref"])


def test_a_request_is_due_72_hours_after_it_came_in(made: World) -> None:
    """UU PDP Art. 32(2): three times 24 hours from the receipt, not from the typing."""
    identifier = made.request(received_at="2026-01-02T03:04:05Z")
    with reading(made.engine) as connection:
        row = exports.get(connection, identifier)
    assert row["due_at"] - row["received_at"] == timedelta(hours=72)
    assert made.view(identifier)["due_at"] == "2026-01-05T03:04:05Z"


def test_a_switch_is_due_30_days_after_it_came_in(made: World) -> None:
    """Data Act Art. 25(2)(a): 3 x 24 hours are for people."""
    identifier = made.request("tenant:ten_1", profile="switch", received_at="2026-01-02T03:04:05Z")
    assert made.view(identifier)["due_at"] == "2026-02-02T00:00:00Z"


def test_a_new_export_is_queued_as_its_first_revision(made: World) -> None:
    """Nothing of it has begun; the view says so."""
    view = made.view(made.request())
    assert (view["state"], view["revision"], view["began_at"], view["ended_at"]) == ("queued", 1, None, None)
    assert (view["complete"], view["volumes"], view["datasets"], view["cancel_requested"]) == (None, [], [], False)


@pytest.mark.requirement("R51")
def test_asking_twice_gives_one_export(made: World) -> None:
    """The very same open request is answered with the export that there is, and that is audited."""
    first = made.request(include=["account"], since="2026-01-01")
    assert made.request(include=["account"], since="2026-01-01") == first
    with reading(made.engine) as connection:
        actions = [event["action"] for event in audit.events(connection, export_id=first)]
    assert actions == ["request.accepted", "request.repeated"]
    wanted = acceptance.check(profile="access", subject="user:usr_new", include=["account"])
    with writing(made.engine) as connection:
        identifier, is_new = acceptance.accept(connection, wanted, actor=Actor("operator", "test"))
        assert is_new
        assert acceptance.accept(connection, wanted, actor=Actor("operator", "test")) == (identifier, False)


def test_asking_for_something_else_gives_another_export(made: World) -> None:
    """Other data, another format or another right gives a separate archive."""
    first = made.request()
    others = [
        made.request(profile="portability"),
        made.request(include=["account"]),
        made.request(formats=["csv"]),
        made.request(since="2026-01-01"),
        made.request(require_complete=True),
        made.request("user:usr_2"),
    ]
    assert len({first, *others}) == 7


@pytest.mark.parametrize("column", ["cancel_requested_at", "state"])
def test_an_export_that_ends_takes_no_second_request(made: World, column: str) -> None:
    """After the end, or once it is being cancelled, the same words ask again."""
    first = made.request()
    value = {"state": "ready", "cancel_requested_at": models.export.c.created_at}[column]
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values({column: value}))
    assert made.request() != first


def test_one_id_at_two_tenants_is_two_subjects(made: World) -> None:
    """A contact belongs to one tenant: the same id elsewhere is another person, with another reference."""
    here, there = (made.request("contact:con_1", tenant=tenant) for tenant in ("ten_1", "ten_2"))
    assert here != there
    assert ref(made, here) != ref(made, there)


def test_a_reference_is_the_same_in_every_request_and_no_id_is_in_it(made: World) -> None:
    """The pseudonym links a subject's exports to each other and tells nothing else."""
    first, second = made.request("user:jane"), made.request("user:jane", profile="portability")
    assert ref(made, first) == ref(made, second)
    assert "jane" not in ref(made, first)
    assert "jane" not in str(made.view(first))


def test_a_reference_cannot_be_computed_without_the_salt(made: World, tmp_path: Path) -> None:
    """Two deployments give a subject different names, and without its salt a deployment cannot find its subjects."""
    elsewhere = world(tmp_path / "elsewhere", {})
    assert ref(made, made.request("user:jane")) != ref(elsewhere, elsewhere.request("user:jane"))
    with writing(made.engine) as connection:
        before = subjects.pairwise_ref(connection, SubjectKind.USER, "jane", None)
        connection.execute(update(models.deployment).values(pairwise_salt="00" * 32))
    made.engine.dispose()  # a connection reads the salt once
    with writing(made.engine) as connection:
        assert subjects.pairwise_ref(connection, SubjectKind.USER, "jane", None) != before


def test_kind_tenant_and_id_do_not_run_into_each_other(made: World) -> None:
    """`a` + `bc` is not `ab` + `c`: every part of a subject's name counts by itself."""
    with reading(made.engine) as connection:
        named = [(SubjectKind.CONTACT, "bc", "a"), (SubjectKind.CONTACT, "c", "ab"), (SubjectKind.USER, "bc", None)]
        refs = {subjects.pairwise_ref(connection, *name) for name in named}
    assert len(refs) == len(named)


@pytest.mark.slow
def test_ids_of_exports_tell_nothing(made: World) -> None:
    """Random, 120 bits, and fit for object keys: no counting, no guessing."""
    ids = [made.request(f"user:usr_{n}") for n in range(20)]
    assert len(set(ids)) == 20
    assert all(len(identifier) == 24 and identifier.isalnum() for identifier in ids)


def test_the_audit_log_holds_no_id_of_the_subject(made: World) -> None:
    """Who asked for whom is kept by reference: the log outlives the data."""
    made.request("user:jane")
    with reading(made.engine) as connection:
        events = connection.execute(select(models.audit_event)).all()
    assert "jane" not in str(events)
    assert "sub_" in str(events)

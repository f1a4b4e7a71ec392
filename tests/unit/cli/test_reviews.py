"""Reviews of unclear records on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result
from factories import World
from sqlalchemy import update

from portability.api import Identity
from portability.database import models
from portability.database.engine import now, writing
from portability.requests import exports, reviews

pytestmark = pytest.mark.slow

Run = Callable[..., Result]


@pytest.fixture
def reviewed(made: World) -> str:
    """An export of the user usr_1, to whom two records of two tenants may belong."""
    identifier = made.request()
    made.advance_all()
    found = [Identity("made", "thing_id", "thing_9", tenant=tenant) for tenant in ("ten_1", "ten_2")]
    with writing(made.engine) as connection:
        reviews.note(connection, exports.get(connection, identifier), [(one, "made/things") for one in found])
    return identifier


def test_reviews_are_listed_and_decided(run: Run, reviewed: str) -> None:
    """The list has the records with their state; a decision needs to know whose record it is, and a code."""
    asked = ("reviews", "decide", reviewed, "made/things", "thing_9", "--as", "officer:olga")
    ambiguous = run(*asked, "--theirs", "--reason", "content")
    assert ambiguous.exit_code == 2
    assert "--tenant" in ambiguous.stderr
    assert run(*asked, "--not-theirs", "--reason", "unproven", "--tenant", "ten_2").exit_code == 0
    listed = json.loads(run("reviews", "list", reviewed, "--json").stdout)
    assert [(one["record"], one["at_tenant"], one["state"], one["reason"]) for one in listed] == [
        ("thing_9", "ten_1", "open", None),
        ("thing_9", "ten_2", "not_theirs", "unproven"),
    ]
    assert {one["export_id"] for one in listed} == {reviewed}
    assert "thing_9" in run("reviews", "list", reviewed).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("made/things", "thing_1", "--theirs", "--reason", "content"),
        ("made/things", "thing_9", "--theirs", "--reason", "whim"),
        ("made/things", "thing_9", "--reason", "content"),
        ("made/things", "thing_9", "--theirs", "--reason", "unproven", "--tenant", "ten_1"),
        ("made/things", "thing_9", "--theirs", "--reason", "content", "--tenant", "ten_1", "--as", "staff:sam"),
        ("made/things", "thing_9", "--theirs", "--reason", "content", "--tenant", "ten_1", "--as", "operator:test"),
    ],
)
def test_a_decision_that_is_refused(run: Run, reviewed: str, arguments: tuple[str, ...]) -> None:
    """An unknown record, an unknown reason, no decision, no proof, a role without the right, the person who asked."""
    asked = arguments if "--as" in arguments else (*arguments, "--as", "officer:olga")
    done = run("reviews", "decide", reviewed, *asked)
    assert (done.exit_code, done.stdout) == (2, "")
    assert {one["state"] for one in json.loads(run("reviews", "list", reviewed, "--json").stdout)} == {"open"}


def test_open_reviews_are_found_without_an_export(run: Run, made: World, reviewed: str) -> None:
    """Each subject has one line: its newest export, how many records wait, since when; no person and no record."""
    with writing(made.engine) as connection:
        connection.execute(update(models.review).values(found_at=now(-2 * 86_400)))
    later = made.request()
    other = made.request("user:usr_2")
    with writing(made.engine) as connection:
        row = exports.get(connection, other)
        reviews.note(connection, row, [(Identity("made", "thing_id", "thing_8", tenant="ten_1"), "made/things")])
    found = json.loads(run("reviews", "open", "--json").stdout)
    assert [(one["export_id"], one["records"]) for one in found] == [(later, 2), (other, 1)]
    assert set(found[0]) == {"export_id", "records", "found_at"}
    for tenant in ("ten_1", "ten_2"):
        asked = ("reviews", "decide", reviewed, "made/things", "thing_9", "--tenant", tenant, "--as", "officer:olga")
        assert run(*asked, "--theirs", "--reason", "content").exit_code == 0
    assert other in run("reviews", "open").stdout
    assert later not in run("reviews", "open").stdout
    assert run("reviews", "open", "--as", "subject:usr_1").exit_code == 2

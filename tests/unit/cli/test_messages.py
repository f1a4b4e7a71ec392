"""Messages to people on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from factories import World
from sqlalchemy import insert, update

from portability.database import models
from portability.database.engine import now, writing

pytestmark = pytest.mark.slow

Run = Callable[..., Result]
FIELDS = {
    *("id", "export_id", "authorisation_id", "received_id", "kind", "channel", "state", "reason", "attempts"),
    *("created_at", "not_before", "sent_at"),
}


@pytest.fixture
def mailed(made: World) -> tuple[str, ...]:
    """Three exports whose first messages wait: since two hours, one hour, now; the oldest was deferred."""
    exports = tuple(made.request(f"user:usr_{number}") for number in range(3))
    deferred = {"reason": "mail_deferred", "attempts": 4, "not_before": now(600), "device": "Firefox on Linux"}
    with writing(made.engine) as connection:
        for number, export_id in enumerate(exports):
            values = {"created_at": now(-3600 * (2 - number))} | ({} if number else deferred)
            about = models.notification.c.export_id == export_id
            connection.execute(update(models.notification).where(about).values(**values))
    return exports


def _listed(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)  # type: ignore[no-any-return]  # JSON


def test_messages_that_wait_are_listed_the_longest_waiting_first(run: Run, mailed: tuple[str, ...]) -> None:
    """Without an option: with export, code and times of each; no person, no device and no language."""
    found = _listed(run("messages", "list", "--json"))
    assert [one["export_id"] for one in found] == [*mailed]
    first = found[0]
    assert set(first) == FIELDS
    assert (first["kind"], first["channel"], first["state"]) == ("acknowledged", "mail", "queued")
    assert (first["reason"], first["attempts"]) == ("mail_deferred", 4)
    assert first["created_at"] < first["not_before"]
    assert [one["not_before"] for one in found[1:]] == [None, None]
    shown = run("messages", "list").stdout
    assert mailed[0] in shown
    assert "mail_deferred" in shown
    assert {word for word in ("usr_", "Firefox") if word in shown + json.dumps(found)} == set()


def test_messages_that_have_ended_are_listed_the_newest_first(run: Run, made: World, mailed: tuple[str, ...]) -> None:
    """As the audit log has the newest at its end: what has failed at night comes before what failed last year."""
    assert _listed(run("messages", "list", "--state", "failed", "--json")) == []
    ended = {"state": "failed", "reason": "mail_refused"}
    with writing(made.engine) as connection:
        connection.execute(update(models.notification).values(**ended))
    found = _listed(run("messages", "list", "--state", "failed", "--json"))
    assert [one["export_id"] for one in found] == [*mailed[::-1]]
    assert _listed(run("messages", "list", "--json")) == []


@pytest.mark.parametrize("state", ["queued", "failed"])
def test_messages_are_listed_in_pages(run: Run, made: World, mailed: tuple[str, ...], state: str) -> None:
    """Each page names the next; every message is on one page. A cursor that no page gave is refused."""
    with writing(made.engine) as connection:
        connection.execute(update(models.notification).values(state=state))
    asked = ("messages", "list", "--state", state, "--limit", "2")
    page = run(*asked, "--json")
    assert "2 messages shown: --after " in page.stderr
    cursor = page.stderr.split("--after ")[1].split()[0]
    rest = run(*asked, "--after", cursor, "--json")
    assert rest.stderr == ""
    assert sorted(one["export_id"] for one in _listed(page) + _listed(rest)) == sorted(mailed)
    assert len(_listed(rest)) == 1
    assert "bad_input" in run(*asked, "--after", "x").output


def test_a_message_about_no_export_names_what_it_is_about(run: Run, made: World) -> None:
    """A consent, or a received transfer, by its id; the code of an address has neither."""
    common = {"channel": "mail", "state": "queued", "attempts": 0}
    about = {"consent_asked": "aut_1", "received_for_you": "rcv_1", "address_code": "cod_1"}
    with writing(made.engine) as connection:
        for number, (kind, occasion) in enumerate(about.items()):
            row = {**common, "id": f"ntf_{number}", "kind": kind, "occasion": occasion}
            connection.execute(insert(models.notification).values(**row, created_at=now(number)))
    found = _listed(run("messages", "list", "--json"))
    named = [(one["kind"], one["export_id"], one["authorisation_id"], one["received_id"]) for one in found]
    assert named == [
        ("consent_asked", None, "aut_1", None),
        ("received_for_you", None, None, "rcv_1"),
        ("address_code", None, None, None),
    ]


def test_a_person_does_not_see_messages_of_others(run: Run, mailed: tuple[str, ...]) -> None:
    """The list is of staff, officers and operators, as the other lists of all exports."""
    assert len(_listed(run("messages", "list", "--as", "officer:olga", "--json"))) == len(mailed)
    refused = run("messages", "list", "--as", "subject:usr_1")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "not_allowed" in refused.stderr

"""Links, decisions, recalls, mandates and the audit log on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from factories import World
from sqlalchemy import text, update

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.delivery import links
from portability.errors import LinkInvalid
from portability.requests import actors, approvals, request_log
from portability.requests.approvals import Cause
from portability.requests.policy import Actor
from portability.trust import audit

pytestmark = pytest.mark.slow

Run = Callable[..., Result]


@pytest.fixture
def made(made: World) -> World:
    """With all keys, as the embedded stack makes them."""
    return made.with_all_keys()


@pytest.fixture
def ready_export(made: World) -> str:
    identifier = made.request()
    made.advance_all()
    return identifier


def answer(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_link_is_printed_once_and_revoked(run: Run, made: World, ready_export: str) -> None:
    """JSON has id, url, audience and expires_at; a revoked link leads nowhere, and cannot be revoked again."""
    link = answer(run("link", ready_export, "--expires", "90m", "--json"))
    assert link.keys() == {"id", "url", "audience", "expires_at"}
    assert link["audience"] == "login"
    left = datetime.fromisoformat(link["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=89) < left <= timedelta(minutes=90)
    assert run("link", ready_export).stdout.startswith("http://localhost:8000/d/ey")
    assert answer(run("revoke", link["id"], "--json")) == {"id": link["id"]}
    listed = answer(run("links", ready_export, "--json"))
    assert [(row["id"] == link["id"], row["revoked_at"] is not None) for row in listed] == [
        (True, True),
        (False, False),
    ]
    token = link["url"].rsplit("/", 1)[1]
    with reading(made.engine) as connection, pytest.raises(LinkInvalid):
        links.resolve(connection, made.place.settings.keys, token)
    assert run("revoke", link["id"]).exit_code == 2


def test_a_link_ends_no_later_than_its_archive(run: Run, made: World, ready_export: str) -> None:
    """An archive is kept for 7 days: of one that is 4 days old a link for 30 days ends in 3."""
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(ended_at=now(-4 * 86_400)))
    link = answer(run("link", ready_export, "--expires", "30d", "--json"))
    left = datetime.fromisoformat(link["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=2, hours=23) < left <= timedelta(days=3)


@pytest.mark.parametrize("arguments", [("--expires", "soon"), ("--expires", "31d"), ("--for", "tenant_admin")])
def test_a_link_that_cannot_be_is_bad_input(run: Run, ready_export: str, arguments: tuple[str, str]) -> None:
    """Exit code 2, one line, nothing made."""
    done = run("link", ready_export, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize("command", ["link", "approve"])
def test_staff_get_nothing_out(run: Run, ready_export: str, command: str) -> None:
    """What they may see they may not have; what they may not see is not there."""
    done = run(command, ready_export, "--as", "staff:sue")
    assert (done.exit_code, "[not_allowed]" in done.stderr) == (2, True)
    assert "[unknown_export]" in run(command, ready_export, "--as", "subject:usr_2").stderr


def test_two_people_decide(run: Run, made: World) -> None:
    """`approve` lets it continue, `deny` ends it with a reason; who asked can do neither."""
    first, second = made.request("user:usr_1"), made.request("user:usr_2")
    with writing(made.engine) as connection:
        for identifier in (first, second):
            approvals.ask(connection, identifier, [Cause.SWITCH], actor=Actor("officer", "olga"))
    assert "[not_allowed]" in run("approve", first, "--as", "officer:olga").stderr
    assert answer(run("approve", first, "--as", "officer:otto", "--json"))["state"] == "queued"
    assert answer(run("deny", second, "--reason", "no mandate", "--as", "officer:otto", "--json"))["state"] == "denied"
    assert run("deny", second, "--reason", "again", "--as", "officer:otto").exit_code == 2


def test_an_operator_breaks_the_glass(run: Run, made: World) -> None:
    """With a reason, and no other role; without it the operator's own request waits. The doctor reports it."""
    identifier = made.request("user:usr_1")
    with writing(made.engine) as connection:
        approvals.ask(connection, identifier, [Cause.SWITCH], actor=actors.acting(made.place.settings, None))
    assert "[not_allowed]" in run("approve", identifier).stderr
    assert "[not_allowed]" in run("approve", identifier, "--break-glass", "").stderr
    assert "[reason_required]" in run("approve", identifier, "--break-glass", " ").stderr
    assert "[not_allowed]" in run("approve", identifier, "--break-glass", "ill", "--as", "officer:olga").stderr
    approved = answer(run("approve", identifier, "--break-glass", "the only officer is ill", "--json"))
    assert approved["state"] == "queued"
    (alone,) = answer(run("show", identifier, "--json"))["approved_alone"]
    assert alone["reason"] == "the only officer is ill"
    assert "without a second person by operator:" in run("show", identifier).stdout
    checks = {check["check"]: check for check in json.loads(run("doctor", "--json").stdout)["checks"]}
    assert checks["approvals"]["result"] == "exports that one person approved alone in the last week: 1"


def test_a_recall_deletes_at_once(run: Run, made: World, ready_export: str) -> None:
    """And its breach record is listed until it is closed with its outcome."""
    recall = answer(run("recall", ready_export, "--reason", "wrong address", "--json"))
    assert made.archive_keys() == []
    assert made.view(ready_export)["state"] == "recalled"
    assert [row["id"] for row in answer(run("recalls", "list", "--open", "--json"))] == [recall["id"]]
    answer(run("recalls", "close", recall["id"], "--outcome", "informed on the 3rd", "--json"))
    assert answer(run("recalls", "list", "--open", "--json")) == []
    assert answer(run("recalls", "list", "--json"))[0]["outcome"] == "informed on the 3rd"


def test_a_mandate_lets_one_ask_for_another(run: Run) -> None:
    """Recorded, used, listed, ended."""
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    given = ("--agent", "subject:usr_9", "--subject", "user:usr_1", "--profile", "access", "--issuer", "letter 12")
    identifier = answer(run("mandates", "add", *given, "--expires-at", until, "--json"))["id"]
    asked = ("request", "--profile", "access", "--subject", "user:usr_1", "--as", "subject:usr_9")
    assert "[not_allowed]" in run(*asked).stderr
    assert answer(run(*asked, "--mandate", identifier, "--json"))["state"] == "queued"
    answer(run("mandates", "end", identifier, "--json"))
    assert "[mandate_refused]" in run(*asked, "--mandate", identifier).stderr
    assert answer(run("mandates", "list", "--json"))[0]["ended_at"] is not None


def test_the_mandates_for_a_person_are_found(run: Run) -> None:
    """By the subject, with its tenant; a table lists profiles with commas."""
    until = ("--expires-at", "2126-03-31", "--json")
    power = ("--agent", "subject:usr_9", "--issuer", "letter 12", "--profile", "access", "--profile", "portability")
    for_user = answer(run("mandates", "add", "--subject", "user:usr_1", *power, *until))["id"]
    contact = ("--subject", "contact:con_1", "--tenant", "ten_x")
    for_contact = answer(run("mandates", "add", *contact, *power, *until))["id"]
    of_user = answer(run("mandates", "list", "--subject", "user:usr_1", "--json"))
    of_contact = answer(run("mandates", "list", *contact, "--json"))
    assert [[row["id"] for row in rows] for rows in (of_user, of_contact)] == [[for_user], [for_contact]]
    assert answer(run("mandates", "list", "--subject", "contact:con_1", "--tenant", "ten_y", "--json")) == []
    assert of_contact[0]["subject_kind"] == "contact"
    assert "access, portability" in run("mandates", "list").stdout
    assert "[bad_input]" in run("mandates", "list", "--tenant", "ten_x").stderr


@pytest.mark.parametrize("moment", ["soon", "2030-01-01T00:00:00", "2020-01-01T00:00:00Z"])
def test_a_mandate_ends_at_a_time(run: Run, moment: str) -> None:
    """With its zone, and in the future."""
    given = ("--agent", "subject:usr_9", "--subject", "user:usr_1", "--profile", "access", "--issuer", "letter 12")
    assert "[bad_date]" in run("mandates", "add", *given, "--expires-at", moment).stderr


def test_the_last_day_of_a_mandate_belongs_to_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A date is its whole day in the time zone of the deployment, as the hint of a refused time says."""
    monkeypatch.setenv("PORTABILITY_TIME_ZONE", "Asia/Jakarta")
    given = ("--agent", "subject:usr_9", "--subject", "user:usr_1", "--profile", "access", "--issuer", "letter 12")
    answer(run("mandates", "add", *given, "--expires-at", "2126-03-31", "--json"))
    assert answer(run("mandates", "list", "--json"))[0]["expires_at"] == "2126-03-31T17:00:00Z"


def test_the_audit_log_is_shown_and_verified(run: Run, made: World, ready_export: str, tmp_path: Path) -> None:
    """A kept head verifies a log that has grown; a change of its past is exit code 1, with the fault."""
    shown = answer(run("audit", "show", ready_export, "--json"))
    assert shown[0]["action"] == "request.accepted"
    kept = tmp_path / "head.jwt"
    kept.write_text(run("audit", "head").stdout)
    jwks = tmp_path / "jwks.json"
    jwks.write_text(run("keys", "jwks").stdout)
    made.request("user:usr_2")
    report = answer(run("audit", "verify", "--head", str(kept), "--jwks", str(jwks), "--json"))
    assert (report["ok"], report["faults"], report["outside_head"]) == (True, [], True)
    assert (report["exports"], report["objects"]) == (2, 1)
    with writing(made.engine) as connection:
        connection.execute(text("DROP TRIGGER audit_event_append_only_update"))
        connection.execute(text("UPDATE audit_event SET actor = 'nobody' WHERE id = 2"))
    done = run("audit", "verify", "--json")
    assert (done.exit_code, json.loads(done.stdout)["faults"]) == (1, [{"code": "edited", "event": 2}])
    stated = run("audit", "verify").stdout
    assert "NOT OK" in stated
    assert "no outside head was given" in stated


def test_a_part_of_the_audit_log_is_named_as_a_part(run: Run, made: World) -> None:
    """It says that there are more events, and where the next begin; the events of an action are found."""
    first, second = made.request("user:usr_1"), made.request("user:usr_2")
    done = run("audit", "show", "--limit", "1", "--json")
    (event,) = json.loads(done.stdout)
    assert f"1 event shown: --after {event['id']} shows the next" in " ".join(done.stderr.split())
    of_action = run("audit", "show", "--action", "request.accepted", "--limit", "2", "--json")
    assert [event["export_id"] for event in json.loads(of_action.stdout)] == [first, second]
    assert of_action.stderr == ""
    assert answer(run("audit", "show", second, "--action", "approval.break_glass", "--json")) == []


def test_a_mistyped_id_is_not_an_export_without_events(run: Run, made: World) -> None:
    """The reader of an empty list would conclude that nothing was done with it; a misspelt action is said, too."""
    identifier = made.request("user:usr_1")
    assert "[unknown_export]" in run("audit", "show", f"{identifier}x").stderr
    assert answer(run("audit", "show", identifier, "--after", "1000", "--json")) == []
    misspelt = run("audit", "show", "--action", "export.acepted", "--json")
    assert (misspelt.exit_code, json.loads(misspelt.stdout)) == (0, [])
    assert "no event has the action export.acepted" in misspelt.stderr


def test_an_invalid_stored_head_is_reported(run: Run, ready_export: str, tmp_path: Path) -> None:
    """Neither a token, nor a key set."""
    assert ready_export
    bad = tmp_path / "bad"
    bad.write_text("nothing")
    assert run("audit", "verify", "--head", str(bad)).exit_code == 1
    assert run("audit", "verify", "--head", str(bad), "--jwks", str(bad)).exit_code == 2


def test_staff_say_why_they_ask(run: Run, made: World) -> None:
    """Without a reason nothing is written."""
    asked = ("request", "--profile", "access", "--subject", "user:usr_1", "--as", "staff:sue")
    assert "[reason_required]" in run(*asked).stderr
    assert answer(run(*asked, "--reason", "ticket 7", "--json"))["state"] == "queued"
    with reading(made.engine) as connection:
        assert audit.events(connection)[-1]["actor"] == "staff:sue"


def test_the_log_is_verified_from_a_kept_head(run: Run, made: World, ready_export: str, tmp_path: Path) -> None:
    """Only later events are read, and the exports that they name compared; a head that is not in the log is refused."""
    assert ready_export
    first, other = tmp_path / "first.jwt", tmp_path / "other.jwt"
    first.write_text(run("audit", "head").stdout)
    verified = answer(run("audit", "verify", "--json"))["head"]["event"]
    made.request("user:usr_2")
    other.write_text(run("audit", "head").stdout)
    report = answer(run("audit", "verify", "--from", str(first), "--json"))
    assert (report["ok"], report["from_event"], report["outside_head"]) == (True, verified, True)
    assert (report["events"], report["exports"], report["objects"]) == (report["head"]["event"] - verified, 1, 0)
    assert f"1 event after event {verified}, 1 export" in run("audit", "verify", "--from", str(first)).stdout
    assert run("audit", "verify", "--from", str(first), "--head", str(other)).exit_code == 2
    with writing(made.engine) as connection:
        connection.execute(text("DROP TRIGGER audit_event_append_only_update"))
        connection.execute(text("UPDATE audit_event SET actor = 'x' WHERE id = 1"))  # before the head
    assert answer(run("audit", "verify", "--from", str(first), "--json"))["ok"]
    with writing(made.engine) as connection:
        connection.execute(text("UPDATE audit_event SET hash = 'x' WHERE id = :id"), {"id": verified})
    assert "[audit_differs]" in run("audit", "verify", "--from", str(first)).output


def test_the_request_log_is_printed_page_by_page(run: Run, made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON one document, as text a table for each page; without a request both are empty."""
    monkeypatch.setattr(request_log, "PAGE", 2)
    assert answer(run("requests", "--json")) == {"requests": []}
    asked = [made.request(f"user:usr_{number}") for number in range(5)]
    assert [row["id"] for row in answer(run("requests", "--json"))["requests"]] == asked[::-1]
    shown = run("requests").stdout
    assert shown.count("Requests") == 3
    assert all(identifier in shown for identifier in asked)

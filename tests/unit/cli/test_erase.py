"""`portability erase`, `holds`, `requests` and the notice period on the command line: what is refused says its rule."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from factories import World

from cli import erase
from portability.database.engine import reading, writing
from portability.requests import instructions
from portability.retention import erasures
from portability.storage.local import LocalStorage
from portability.trust import audit
from receiver.importer.database import opened
from receiver.ledger import pending_files, runs

Run = Callable[..., Result]
WHY = ("--reason", "ticket 7")
GROUND = ("--ground", "subject")
ADMIN = ("--as", "tenant_admin:adm@ten_1")
JANE = ("--subject", "user:usr_jane")


@pytest.fixture
def made(made: World) -> World:
    """With all keys, as the embedded stack makes them."""
    return made.with_all_keys()


def answer(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refused(done: Result, name: str, *words: str, code: int = 2) -> None:
    assert done.exit_code == code, done.output
    assert f"[{name}]" in done.output
    assert all(word in done.output for word in words)
    assert "usr_jane" not in done.output


@pytest.mark.slow
def test_an_erasure_from_looking_to_the_end(run: Run, made: World) -> None:
    """A dry run changes nothing; then it is done at once, attested, and reported without any person's id."""
    identifier = made.request("user:usr_jane")
    made.advance_all()
    dry = answer(run("erase", *JANE, *WHY, "--dry-run", "--json"))
    assert (dry["dry_run"], dry["exports"], dry["running"], dry["volumes"]) == (True, 1, 0, 1)
    assert (dry["refused"]["code"], dry["transfers"]) == ("not_delivered", [])
    assert dry["held_by"] == [{"export": identifier, "reason": "delivery"}]
    assert not answer(run("erase", *JANE, *WHY, *GROUND, "--dry-run", "--json"))["refused"]
    assert made.view(identifier)["state"] == "ready"
    shown_dry = run("erase", *JANE, *WHY, "--dry-run").stdout
    said = ("would erase 1 export with 1 volume", "[not_delivered]", "--ground", "is not delivered: delivery")
    assert [words for words in said if words not in shown_dry.replace("\n", " ")] == []

    refused(run("erase", *JANE, *WHY), "not_delivered", "--ground")
    done = answer(run("erase", *JANE, *WHY, *GROUND, "--json"))

    assert (done["state"], done["exports"], done["volumes"]) == ("done", 1, 1)
    shown = answer(run("show", identifier, "--json"))
    assert shown["erased_at"] is not None
    assert len(shown["attestations"]) == 1
    assert made.archive_keys() == []


def test_an_erasure_that_is_repeated_erases_nothing(run: Run, made: World) -> None:
    """It is done, for scripts, with no second erasure; a person who came back meanwhile is erased again."""
    made.request("user:usr_jane")
    command = ("erase", *JANE, *WHY, *GROUND, "--cancel-running")
    assert answer(run(*command, "--json"))["exports"] == 1
    with reading(made.engine) as connection:
        before = audit.events(connection)
    again = run(*command, "--json")
    assert "nothing of this subject is stored: it was erased before" in again.stderr
    said = answer(again)
    assert (said["id"], said["state"], said["exports"], said["journal_entries"]) == (None, "done", 0, 0)
    assert "nothing to erase" in run(*command).stdout
    with reading(made.engine) as connection:
        assert audit.events(connection) == before
    made.request("user:usr_jane")
    assert answer(run(*command, "--json"))["exports"] == 1


@pytest.mark.parametrize("option", [(), ("--dry-run",)])
def test_an_erasure_of_someone_unknown_says_so(run: Run, made: World, option: tuple[str, ...]) -> None:
    """It is done, for scripts; a mistyped id is noticed by who reads. Of a known person nothing is said."""
    made.request("user:usr_jane")
    mistyped = run("erase", "--subject", "user:usr_jnae", *WHY, *option)
    assert mistyped.exit_code == 0
    assert "of this subject is stored" in mistyped.stderr
    assert "usr_jnae" not in mistyped.output
    assert "no request of this subject" not in run("erase", *JANE, *WHY, "--dry-run").output


def test_what_runs_is_refused_or_cancelled(run: Run, made: World) -> None:
    """With the hint what to do; cancelled, the clock continues it."""
    made.request("user:usr_jane")
    refused(run("erase", *JANE, *WHY), "exports_running", "that have not ended: 1", "--cancel-running")
    held = made.claim()
    assert held is not None
    begun = run("erase", *JANE, *WHY, *GROUND, "--cancel-running")
    assert begun.exit_code == 0
    assert "the clock continues it" in begun.output
    assert "a cancelled export ends at its worker, and no Valkey is running" in begun.output.replace("\n", " ")
    refused(run("request", "--profile", "access", *JANE), "erasure_running")
    refused(run("holds", "add", *JANE, *WHY), "erasure_running")


@pytest.mark.slow
def test_holds(run: Run, made: World) -> None:
    """Added, listed by pseudonym, released; while one is active nothing is erased or attempted."""
    made.request("user:usr_jane")
    made.advance_all()
    hold = answer(run("holds", "add", *JANE, *WHY, "--until", "2126-01-01", "--json"))["id"]
    for arguments in (("--dry-run",), ()):
        refused(run("erase", *JANE, *WHY, *arguments), "on_legal_hold", hold, "Art. 17")
    (listed,) = answer(run("holds", "list", "--json"))
    assert (listed["id"], listed["stands"], listed["until"]) == (hold, True, "2126-01-02T00:00:00Z")
    assert listed["subject"].startswith("sub_")
    assert hold in run("holds", "list").stdout
    assert "usr_jane" not in run("holds", "list").stdout
    assert run("holds", "release", hold).exit_code == 0
    refused(run("holds", "release", hold), "unknown_hold")
    assert answer(run("erase", *JANE, *WHY, *GROUND, "--json"))["state"] == "done"


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("holds", "add", *JANE, *WHY, "--until", "2020-01-01"), "bad_date", "in the future"),
        (("holds", "add", *JANE, *WHY, "--until", "soon"), "bad_date", "until"),
        (("holds", "add", *JANE, "--reason", " "), "reason_required", "case"),
        (("holds", "add", "--subject", "contact:con_1", *WHY), "bad_subject", "tenant"),
        (("erase", "--subject", "contact:con_1", *WHY), "bad_subject", "tenant"),
        (("erase", *JANE, "--reason", " "), "reason_required", "erasure"),
        (("erase", "--subject", "jane", *WHY), "bad_subject", "kind"),
        (("request", "--profile", "access", *JANE, "--notice-ends-at", "2026-12-01"), "bad_input", "notice"),
    ],
)
def test_bad_input_names_its_rule(run: Run, arguments: tuple[str, ...], code: str, word: str) -> None:
    """One line, exit 2, nothing changed."""
    refused(run(*arguments), code, word)
    assert answer(run("holds", "list", "--json")) == []


@pytest.mark.parametrize(
    "role", ["subject:usr_jane", "staff:sue", "auditor:ann", "tenant_admin:adm@ten_1", "recipient:p"]
)
def test_who_may_not(run: Run, role: str) -> None:
    """Neither staff nor the subject: an officer or the operator carries out what the platform has decided."""
    for arguments in (("erase", *JANE, *WHY), ("holds", "add", *JANE, *WHY), ("holds", "list")):
        done = run(*arguments, "--as", role)
        assert (done.exit_code, "[not_allowed]" in done.output) == (2, True)
    assert run("holds", "add", *JANE, *WHY, "--as", "officer:olga").exit_code == 0


@pytest.mark.parametrize("tenant", ["ten_2", "ten_1.", "TEN_1"])
def test_an_instruction_of_another_tenant_is_refused(run: Run, tenant: str) -> None:
    """An administrator orders for their own company: neither added for another, nor withdrawn."""
    own = answer(run("instructions", "add", "--tenant", "ten_1", *ADMIN, "--json"))["id"]
    other = answer(run("instructions", "add", "--tenant", tenant, "--json"))["id"]
    refused(
        run("instructions", "add", "--tenant", tenant, *ADMIN),
        "not_allowed",
        "another tenant",
    )
    refused(run("instructions", "withdraw", other, *ADMIN), "unknown_instruction", "no instruction has the id")
    assert run("instructions", "withdraw", own, *ADMIN).exit_code == 0


def test_the_request_log(run: Run, made: World) -> None:
    """As a table for people, as JSON, and as the CSV that an authority is given."""
    denied = made.request("user:usr_jane")
    assert run("deny", denied, "--reason", "who are you?", "--basis", "identity", "--as", "officer:olga").exit_code == 0
    (denial,) = answer(run("requests", "--json"))["requests"]
    assert (denial["response"], denial["basis"], denial["denial"]) == ("denied", "identity", "who are you?")
    (row,) = csv.DictReader(io.StringIO(run("requests", "--csv").stdout, newline=""))
    assert (row["id"], row["basis"]) == (denied, "identity")
    assert denied in run("requests").stdout
    assert "[not_allowed]" in run("requests", "--as", "staff:sue").output


def test_a_company_s_notice(run: Run) -> None:
    """The deadline is shown from its end on."""
    today = datetime.now(UTC).date()
    begin, end = str(today - timedelta(days=20)), str(today - timedelta(days=5))
    asked = ("request", "--profile", "switch", "--subject", "tenant:ten_1", "--received-at", begin, "--json")
    plain = answer(run(*asked))
    extended = answer(run(*asked, "--notice-ends-at", end))
    assert (plain["notice_ends_at"], extended["notice_ends_at"]) == (None, f"{end}T00:00:00Z")
    due = [datetime.fromisoformat(one["due_at"]) for one in (plain, extended)]
    assert due[1] - due[0] == timedelta(days=15)
    refused(run(*asked[:-1], "--notice-ends-at", "2126-01-01"), "bad_date", "longer than the law allows")


def test_a_hold_lasts_to_the_end_of_its_last_day_where_the_deployment_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 January ends in New York at 5 o'clock of UTC on the next day; a time is kept as it is."""
    monkeypatch.setenv("PORTABILITY_TIME_ZONE", "America/New_York")
    for until in ("2126-01-01", "2126-01-01T12:00:00Z"):
        assert run("holds", "add", *JANE, *WHY, "--until", until).exit_code == 0
    listed = answer(run("holds", "list", "--json"))
    assert [hold["until"] for hold in listed] == ["2126-01-02T05:00:00Z", "2126-01-01T12:00:00Z"]


def test_an_erasure_without_the_platform_s_database_says_what_is_left(
    run: Run, made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has begun and is done here; the same command deletes the rest when that database answers."""
    made.request("user:usr_jane")
    monkeypatch.setenv("PORTABILITY_INBOX_INTO", "postgresql+psycopg://app@127.0.0.1:1/platform")
    failed = run("erase", *JANE, *WHY, *GROUND, "--cancel-running")
    refused(failed, "target_unavailable", "has begun", "journals of imports", "run the same command again", code=1)
    erasure = failed.stderr.split("erasure ")[1].split()[0]
    with reading(made.engine) as connection:
        assert erasures.get(connection, erasure)["state"] == "done"


def test_an_erasure_forgets_no_files_of_a_killed_import(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import has begun a batch with a file: only the storage says whether it is there, and deletes it."""
    into, storage = f"sqlite:///{tmp_path}/here.sqlite", LocalStorage(tmp_path / "files")
    with opened(into, make=True) as engine, engine.begin() as connection:
        import_id = runs.begin(connection, "user:usr_jane", runs.Source("https://a.example", "e1", 1, "sub_1"), 30)
        pending_files.note(connection, import_id, ["calls/recordings/a/a.wav"])
    storage.check()
    upload = storage.begin("calls/recordings/a/a.wav", media_type="audio/wav")
    upload.write(b"sound")
    upload.complete()
    monkeypatch.setenv("PORTABILITY_INBOX_INTO", into)
    with monkeypatch.context() as without:
        without.setattr(erase, "files_of", lambda _settings: None)
        refused(run("erase", *JANE, *WHY), "bad_input", "up to 1 of its files", "PORTABILITY_INBOX_FILES")
    refused(run("erase", *JANE, *WHY), "storage_unavailable", "PORTABILITY_INBOX_FILES", code=1)  # no folder
    forget = ("imports", "forget", "--into", into, "--as-user", "usr_jane")
    refused(run(*forget), "bad_input", "--files")
    assert len(list(storage.list())) == 1
    monkeypatch.setenv("PORTABILITY_INBOX_FILES", storage.url)
    assert run("erase", *JANE, *WHY).exit_code == 0
    assert list(storage.list()) == []
    assert answer(run(*forget, "--files", storage.url, "--json"))["entries"] == 0


def test_an_erasure_deletes_orders_about_a_user_as_staff(
    run: Run, made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only of a company that has no contact with this id, as its sources say; also if nothing else is stored."""
    with writing(made.engine) as connection:
        for tenant in ("ten_x", "ten_y"):
            instructions.add(connection, tenant, contact_id="usr_jane", exporters=None, actor="operator:test")
    asked: list[Any] = []

    def is_unknown(_context: object, *subject: Any) -> bool:
        asked.append(subject)
        return bool(subject == ("contact", "usr_jane", "ten_x"))

    monkeypatch.setattr(erase, "is_unknown", is_unknown)
    assert "companies have instructions about this id" in run("erase", *JANE, *WHY).stderr
    with reading(made.engine) as connection:
        left = [row["tenant"] for row in instructions.rows(connection)]
        logged = [event["action"] for event in audit.events(connection)]
    assert (left, asked) == (["ten_y"], [("contact", "usr_jane", tenant) for tenant in ("ten_x", "ten_y")])
    assert logged.count("erasure.ended") == 1
    assert "nothing to erase" in run("erase", *JANE, *WHY).stdout

"""The doctor is red where nothing would be exported: no process at work, a source that refuses, a shortened log."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import servers
from click.testing import CliRunner
from heartbeats import WORKER, report_processes
from sqlalchemy import delete, text, update
from workers import own_notice

from cli import doctor, journal_check
from cli.checks import Seen
from cli.context import Context
from cli.main import main
from demo.plan import SeedPlan
from demo.seed import seed
from exporters.reference import schema
from portability import queue
from portability.database import migrations, models
from portability.database.engine import open_engine, reading, writing
from portability.queue import CLOCK_KEY, VALKEY_URL_FILE, connect, has_clock, open_queue
from portability.settings import load_settings
from portability.storage.local import LocalStorage
from portability.trust import audit
from worker.clock import dispatch

Findings = Callable[..., Mapping[str, Mapping[str, Any]]]


@pytest.fixture(scope="module")
def filled_platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("platform")
    plan = SeedPlan(tenants=1, users=1, contacts=1, calls=1, chats=1, events=1, recordings=0)
    seed(f"sqlite:///{folder}/platform.sqlite", LocalStorage(folder / "recordings"), plan)
    return folder / "platform.sqlite"


@pytest.fixture
def source_file(tmp_path: Path, filled_platform: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Path:
    """The platform of a healthy embedded folder, whose worker and clock are at work."""
    monkeypatch.setattr(journal_check, "LATE", timedelta(hours=1))  # no clock ships what is recorded here
    monkeypatch.setenv("PORTABILITY_DIR", str(tmp_path))
    monkeypatch.setenv("PORTABILITY_NOTICE_DIR", str(own_notice(tmp_path / "notice")))
    (tmp_path / VALKEY_URL_FILE).write_text(redis_url)
    for purpose in ("archive", "audit"):
        assert CliRunner().invoke(main, ["keys", "new", "--purpose", purpose]).exit_code == 0
    report_processes(redis_url)
    return Path(shutil.copy(filled_platform, tmp_path / "platform.sqlite"))


@pytest.fixture
def findings(source_file: Path) -> Findings:
    """The doctor's checks by name; its exit code is that of their results."""
    del source_file

    def run(*options: str) -> Mapping[str, Mapping[str, Any]]:
        done = CliRunner().invoke(main, ["doctor", "--json", *options], catch_exceptions=False)
        document = json.loads(done.stdout)
        assert document["ok"] == all(check["ok"] for check in document["checks"])
        assert done.exit_code == (0 if document["ok"] else 1)
        return {check["check"]: check for check in document["checks"]}

    return run


def red(found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Codes of the checks that found a fault."""
    return {name: check["code"] for name, check in found.items() if not check["ok"]}


@pytest.mark.parametrize(("key", "check"), [(WORKER, "workers"), (CLOCK_KEY, "clock")])
def test_a_process_without_heartbeat_is_a_fault(findings: Findings, redis_url: str, key: str, check: str) -> None:
    """A worker or a clock that ended leaves a heartbeat that expires; nothing else is suspected."""
    assert red(findings()) == {}
    connect(redis_url).delete(key)
    found = findings()
    assert red(found) == {check: "not_running"}
    assert found[check]["hint"] == "start `portability up`"


def test_before_the_start_no_heartbeat_is_missed(findings: Findings, redis_url: str) -> None:
    """A release step runs before the processes: everything else is checked."""
    connect(redis_url).delete(WORKER, CLOCK_KEY)
    whole, before = findings(), findings("--before-start")
    assert red(whole) == {"workers": "not_running", "clock": "not_running"}
    assert (red(before), [*before]) == ({}, [name for name in whole if name not in red(whole)])


def test_a_queue_that_is_away_is_reported_once(findings: Findings, tmp_path: Path) -> None:
    """Where Redis does not answer, the heartbeats are unknown."""
    (tmp_path / VALKEY_URL_FILE).unlink()
    found = findings()
    assert red(found) == {"queue": "queue_unavailable"}
    assert {found[name]["result"] for name in ("workers", "clock")} == {"unknown: Redis does not answer"}


def test_a_redis_that_evicts_keys_is_named() -> None:
    """Without their heartbeats workers that run count as away: the line of the queue says why.

    Without a limit of memory nothing is evicted, whatever the policy.
    """
    with servers.valkey() as server, connect(server.url) as client:
        context = Context(lambda: load_settings(redis_url=server.url), json=False)
        client.config_set("maxmemory-policy", "allkeys-lru")
        unlimited = doctor.CHECKS["queue"](context)
        client.config_set("maxmemory", "100mb")
        limited = doctor.CHECKS["queue"](context)
        client.config_set("maxmemory-policy", "noeviction")
        kept = doctor.CHECKS["queue"](context)
    assert (unlimited, kept) == (None, None)
    assert isinstance(limited, Seen)
    assert (
        limited.result == "ok, but it evicts keys when its memory is full (allkeys-lru): heartbeats and wake-ups, too"
    )
    assert limited.hint == "set `maxmemory-policy noeviction`; see docs/operate.md"


def test_a_silent_redis_is_waited_for_once(findings: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections and never answers, like a frozen process: the checks that need it share one wait."""
    monkeypatch.setattr(queue, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (tmp_path / VALKEY_URL_FILE).write_text(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        assert red(findings()) == {"queue": "queue_unavailable"}
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


@pytest.mark.parametrize("is_migrated", [True, False])
def test_a_clock_that_works_has_a_heartbeat(tmp_path: Path, redis_url: str, *, is_migrated: bool) -> None:
    """Each turn that reached the database and Redis renews it; a clock that only runs has none."""
    engine, queue, stop = open_engine(f"sqlite:///{tmp_path}/control.sqlite"), open_queue(connect(redis_url)), Turns(2)
    if is_migrated:
        migrations.upgrade(engine)
    else:
        engine = open_engine(f"sqlite:///{tmp_path}/no/folder.sqlite")
    dispatch.run(engine, queue, load_settings(clock_seconds=40), stop)
    assert has_clock(queue) == is_migrated
    if is_migrated:
        assert 190 < queue.connection.ttl(CLOCK_KEY) <= 200


class Turns(threading.Event):
    """Stops a loop after some turns."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self._left = turns

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        self._left -= 1
        if self._left == 0:
            self.set()
        return self.is_set()


def test_a_source_that_refuses_is_named(findings: Findings, source_file: Path) -> None:
    """Tables that are missing: the first dataset is named, with the number of the others."""
    assert findings()["sources"]["result"].startswith("ok: ")
    engine = open_engine(f"sqlite:///{source_file}")
    with writing(engine) as connection:
        connection.execute(text("DROP TABLE contacts"))
    engine.dispose()
    found = findings()
    assert red(found) == {"sources": "source_refused"}
    assert "the same for" in found["sources"]["message"]


def test_a_right_that_is_missing_is_named(findings: Findings, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that reads all tables but one: the check of the database alone says ok."""
    role = f"reader_{secrets.token_hex(4)}"
    engine = open_engine(pg_url)
    schema.metadata.create_all(engine)
    with writing(engine) as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
    monkeypatch.setenv("PORTABILITY_SOURCE_URL", pg_url.replace("postgres@", f"{role}@"))
    assert red(findings()) == {}
    with writing(engine) as connection:
        connection.execute(text(f"REVOKE SELECT ON invoices FROM {role}"))  # noqa: S608  # a name made here
    found = findings()
    assert (red(found), found["platform database"]["ok"]) == ({"sources": "source_refused"}, True)
    assert found["sources"]["message"].startswith("invoices: ")
    assert "42501" in found["sources"]["message"]
    with writing(engine) as connection:
        connection.execute(text(f"DROP OWNED BY {role}; DROP ROLE {role}"))
    engine.dispose()


@pytest.fixture
def heads(tmp_path: Path, source_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where heads are kept; it has a head of a log that has grown since."""
    del source_file
    folder = tmp_path / "heads"
    folder.mkdir()
    monkeypatch.setenv("PORTABILITY_AUDIT_HEADS_DIR", str(folder))
    keep_head(folder / "first.jwt")
    append_event(tmp_path)
    return folder


def keep_head(path: Path) -> None:
    """Store the signed head of the log as it is now."""
    path.write_text(CliRunner().invoke(main, ["audit", "head"], catch_exceptions=False).stdout)


def append_event(folder: Path) -> None:
    """Add an event to the log."""
    engine = open_engine(load_settings(dir=folder).database)
    with writing(engine) as connection:
        audit.record(connection, "key.retired", actor="operator:test")
    engine.dispose()


def shorten(folder: Path) -> None:
    """Remove the newest event, as an older backup lacks it."""
    engine = open_engine(load_settings(dir=folder).database)
    with writing(engine) as connection:
        last = audit.events(connection)[-1]
        for (trigger,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            connection.execute(text(f"DROP TRIGGER {trigger}"))
        connection.execute(delete(models.audit_event).where(models.audit_event.c.id == last["id"]))
        connection.execute(update(models.audit_head).values(event_id=last["id"] - 1, hash=last["prev_hash"]))
    with reading(engine) as connection:
        assert audit.verify(connection).ok
    engine.dispose()


def test_a_log_that_has_grown_contains_its_heads(findings: Findings, heads: Path) -> None:
    """All files of the folder are compared; other files are ignored."""
    keep_head(heads / "second.jwt")
    (heads / "README").write_text("not a head")
    assert findings()["audit head"]["result"].startswith("ok: 2 kept heads")


@pytest.mark.parametrize("by_option", [True, False])
def test_a_head_that_is_newer_than_the_database_is_a_fault(
    findings: Findings, heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_option: bool
) -> None:
    """The database was restored from an older backup, or shortened: its own chain is consistent."""
    keep_head(heads / "second.jwt")
    shorten(tmp_path)
    options = ["--head", str(heads / "second.jwt")] if by_option else []
    if by_option:
        monkeypatch.delenv("PORTABILITY_AUDIT_HEADS_DIR")
    found = findings(*options)
    assert red(found) == {"audit head": "audit_differs"}
    assert "second.jwt is a head of event" in found["audit head"]["message"]
    assert "backup" in found["audit head"]["hint"]


def test_a_log_that_was_continued_differently_is_a_fault(findings: Findings, heads: Path, tmp_path: Path) -> None:
    """It has grown beyond the head since, with events of its own."""
    keep_head(heads / "second.jwt")
    shorten(tmp_path)
    append_event(tmp_path)
    append_event(tmp_path)
    found = findings()
    assert red(found) == {"audit head": "audit_differs"}
    assert "second.jwt" in found["audit head"]["message"]


def test_the_keys_beside_the_heads_decide(findings: Findings, heads: Path) -> None:
    """A person who can change the database can also change its keys: a JWK Set in the folder is used instead."""
    (heads / "jwks.json").write_text(CliRunner().invoke(main, ["keys", "jwks"]).stdout)
    assert red(findings()) == {}
    (heads / "jwks.json").write_text('{"keys": []}')
    assert red(findings()) == {"audit head": "signature_fault"}


def test_heads_that_are_missing_or_unreadable_are_reported(
    findings: Findings, heads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without a head is reported and tolerated; a file without a head, or a missing folder, is a fault."""
    (heads / "first.jwt").write_text("not a head")
    assert red(findings()) == {"audit head": "signature_fault"}
    (heads / "first.jwt").unlink()
    assert "not compared" in findings()["audit head"]["result"]
    monkeypatch.setenv("PORTABILITY_AUDIT_HEADS_DIR", str(heads / "nowhere"))
    assert red(findings()) == {"audit head": "bad_input"}
    monkeypatch.delenv("PORTABILITY_AUDIT_HEADS_DIR")
    assert "docs/audit.md" in findings()["audit head"]["hint"]

"""Real clocks are killed before and after each commit, and stopped at random moments: nothing twice, lost or stuck."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import forks
import pytest
from factories import World
from listener import Heard, Reply, listening
from postbox import Postbox, open_postbox
from sqlalchemy import ColumnElement, Select, Table, func, select, update
from strange_directory import install_directory
from transferring import Provider, authorised, encrypted, providing, sending_world
from workers import Deployment, until

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.feeds import intake as feed_intake
from portability.feeds.feeds import FeedTerms
from portability.requests import acceptance
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.schedules import intake as schedule_intake
from portability.trust import audit

SCHEDULE, FEED, EXPORT, NOTIFICATION = models.schedule, models.feed, models.export, models.notification
TRANSFER, WEBHOOK = models.transfer, models.webhook
DAY = 86_400
KILLED_AT = """
import itertools, os, signal, sys, threading
from sqlalchemy import event
from sqlalchemy.engine import Engine
from cli.main import main

at, is_after = int(sys.argv[1]), sys.argv[2] == "after"
commits, committed = itertools.count(1), []

def before_commit(_connection):
    if next(commits) == at:
        if not is_after:
            os.kill(os.getpid(), signal.SIGKILL)
        committed.append(threading.get_ident())

def before_next(_connection):
    if threading.get_ident() in committed:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "commit", before_commit)
event.listen(Engine, "begin", before_next)
sys.argv = ["portability", "clock"]
main()
"""


@dataclass
class Clockwork:
    """A deployment whose clock requests, sends, mails and expires; the test does what its workers do."""

    made: World
    box: Postbox
    other: Provider
    deployed: Deployment
    dates: Counter[str] = field(default_factory=Counter)
    """How many copies were due, by the id of a schedule or feed."""
    bodies: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """Of the webhooks that the recipient got, by their ids."""

    def begin(self) -> None:
        """Schedules of two people, and a feed that serves a consent."""
        settings = self.made.place.settings
        for identifier in ("usr_1", "usr_2"):
            wanted = acceptance.check(profile="access", subject=f"user:{identifier}", formats=("jsonl",))
            person = Actor("subject", identifier, issuer="https://login.example")
            with writing(self.made.engine) as connection:
                schedule_intake.begin(connection, settings, wanted, actor=person, auth=PRESENT)
        recipient = self.other.recorded(self.made)
        until_then = datetime.now(UTC) + timedelta(days=200)
        given: dict[str, Any] = {"subject": "user:usr_3", "actor": Actor("subject", "usr_3")}
        terms = FeedTerms(authorised(self.made, recipient, until=until_then, **given), every_days=1)
        wanted = acceptance.check(profile="portability", subject="user:usr_3", formats=("jsonl",))
        with writing(self.made.engine) as connection:
            begun: dict[str, Any] = {"actor": Actor("operator", "test"), "auth": PRESENT}
            self.dates[feed_intake.begin(connection, settings, wanted, terms, **begun)[0]] = 1
        self.work()

    def work(self) -> None:
        """What workers do; and leases that processes had have ended."""
        self.made.advance_all()
        encrypted(self.made)
        with writing(self.made.engine) as connection:
            for table in (NOTIFICATION, WEBHOOK):
                free = update(table).where(table.c.state == "queued")
                connection.execute(free.values(lease_until=None, not_before=None))

    def pass_by(self) -> None:
        """Let the next copies be due, and the oldest archives be over: announced, or deleted if they were."""
        self.work()
        of_person = (
            EXPORT.c.subject_id == SCHEDULE.c.subject_id,
            EXPORT.c.state != "ready",
            EXPORT.c.state != "expired",
        )
        idle = {SCHEDULE: ~select(EXPORT.c.id).where(*of_person).exists(), FEED: FEED.c.number > 0}
        with writing(self.made.engine) as connection:
            for table, is_idle in idle.items():
                for row in connection.execute(select(table).where(table.c.next_at > now(), is_idle)).mappings().all():
                    if table is SCHEDULE or row["number"] == self.dates[row["id"]]:
                        connection.execute(update(table).where(table.c.id == row["id"]).values(next_at=now()))
                        self.dates[row["id"]] += 1
            told = (NOTIFICATION.c.kind == "expiring", NOTIFICATION.c.state != "queued")
            connection.execute(update(NOTIFICATION).where(*told).values(created_at=now(-3 * DAY)))
            ready = select(EXPORT.c.id).where(EXPORT.c.state == "ready", EXPORT.c.channel == "schedule")
            old = connection.scalars(ready.order_by(EXPORT.c.created_at).limit(2)).all()
            connection.execute(update(EXPORT).where(EXPORT.c.id.in_(old)).values(ended_at=now(-8 * DAY)))

    def is_quiet(self) -> bool:
        """Whether neither the clock nor the workers have anything to do."""
        waiting = [
            _count(table, table.c.state.in_(("queued", "running", "closing")))
            for table in (NOTIFICATION, WEBHOOK, TRANSFER, EXPORT)
        ]
        waiting += [_count(table, table.c.next_at <= now()) for table in (SCHEDULE, FEED)]
        newest = select(TRANSFER.c.id).where(TRANSFER.c.export_id == FEED.c.export_id).exists()
        waiting.append(_count(FEED, ~newest))
        with reading(self.made.engine) as connection:
            return not any(connection.scalar(query) for query in waiting)

    def check(self) -> None:
        with reading(self.made.engine) as connection:
            schedules = connection.execute(select(SCHEDULE)).mappings().all()
            copies = select(EXPORT.c.subject_id).where(EXPORT.c.channel == "schedule")
            made = Counter(connection.scalars(copies))
            feeds = connection.execute(select(FEED.c.id, FEED.c.number)).all()
            archives = select(models.feed_archive.c.export_id).order_by(models.feed_archive.c.number)
            exported = connection.scalars(archives).all()
            sent = connection.scalars(select(TRANSFER.c.export_id).order_by(TRANSFER.c.created_at)).all()
            hooks = connection.execute(select(WEBHOOK.c.id, WEBHOOK.c.state)).all()
            messages = connection.execute(select(NOTIFICATION)).mappings().all()
            events = connection.execute(select(audit.LOG.c.action, audit.LOG.c.export_id)).all()
        assert min(self.dates.values()) > 0
        assert {row["subject_id"]: self.dates[row["id"]] for row in schedules} == made
        assert {feed.id: feed.number for feed in feeds} == {feed.id: self.dates[feed.id] for feed in feeds}
        assert exported == sent
        assert {hook.state for hook in hooks} == {"sent"}
        assert {hook.id: len(self.bodies[hook.id]) for hook in hooks} == {hook.id: 1 for hook in hooks}
        assert {row["state"] for row in messages} <= {"sent", "page"}
        mailed = {f"<{row['id']}@vlint.example>" for row in messages if row["state"] == "sent"}
        assert mailed <= set(self.box.ids) <= {f"<{row['id']}@vlint.example>" for row in messages}
        texts: dict[str, set[str]] = defaultdict(set)
        for message in self.box.taken:
            texts[str(message["Message-ID"])].add(str(message.get_body(("plain",))))
        assert {len(found) for found in texts.values()} == {1}
        once = Counter(event for event in events if event.action in {"export.ready", "export.expired"})
        assert set(once.values()) == {1}
        expired = {event.export_id for event in once if event.action == "export.expired"}
        assert expired <= {row["export_id"] for row in messages if row["kind"] == "expiring"}


def _count(table: Table, which: ColumnElement[bool]) -> Select[int]:
    return select(func.count()).select_from(table).where(which)


@pytest.fixture
def clockwork(
    pg_control_url: str, tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Clockwork]:
    install_directory(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    with open_postbox() as box, providing() as other:
        mail = {"smtp_url": box.url, "mail_from": "data@vlint.example"}
        shared: dict[str, Any] = {
            "database_url": pg_control_url,
            "redis_url": redis_url,
            "exports_per_month": 1000,
            **mail,
        }
        made = sending_world(tmp_path / "state", **shared).with_all_keys()
        quick = {"CLOCK_SECONDS": "0.1", "BACKOFF_SECONDS": "0", "DIRECTORY": "strange", "ALLOW_LOOPBACK": "1"}
        settings = {name.upper(): str(value) for name, value in shared.items()}
        storage = {"STORAGE_URL": (made.folder / "archives").as_uri()}
        work = Clockwork(made, box, other, Deployment(made.folder, settings | quick | storage))
        usual = other.server.reply

        def reply(heard: Heard) -> Reply:
            if "webhook-id" in heard.headers:
                work.bodies[heard.headers["webhook-id"]].add(heard.body)
            return usual(heard)

        other.server.reply = reply
        work.begin()
        yield work


def ended_well(work: Clockwork) -> None:
    """Two clocks end what is begun; nothing more follows."""
    clocks = [work.deployed.start("clock") for _ in range(2)]

    def is_over() -> bool:
        work.work()
        return work.is_quiet()

    until(is_over, "everything is done")
    for process in clocks:
        process.terminate()
        process.wait(60)
    work.check()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("stride", [6, pytest.param(1, marks=pytest.mark.system)])
def test_a_clock_that_is_killed_at_each_commit(clockwork: Clockwork, stride: int) -> None:
    """A mail whose answer was lost comes twice with one Message-ID, a webhook with one id; all else happens once."""
    for number, at in enumerate(range(1, 60, stride)):
        clockwork.pass_by()
        with clockwork.deployed.log.open("ab") as log:
            arguments = [str(at), ("before", "after")[number % 2]]
            process = forks.start(arguments, clockwork.deployed.environment, log, code=KILLED_AT)
        try:
            assert process.wait(10) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            process.kill()  # it has fewer commits
            process.wait(10)
    ended_well(clockwork)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rounds", [4, pytest.param(40, marks=pytest.mark.system)])
def test_two_clocks_that_are_stopped_again_and_again(clockwork: Clockwork, rounds: int) -> None:
    """Each is stopped within a step, while the other may do the same."""
    chance, pause = random.Random(7), Event()
    clocks = [clockwork.deployed.start("clock") for _ in range(2)]
    for _ in range(rounds):
        clockwork.pass_by()
        process = chance.choice(clocks)
        process.send_signal(signal.SIGSTOP)
        pause.wait(chance.random() / 2)
        process.send_signal(signal.SIGCONT)
        pause.wait(chance.random() / 10)
    for process in clocks:
        process.terminate()
        process.wait(60)
    ended_well(clockwork)


def test_a_request_that_ends_with_its_sender_is_not_heard() -> None:
    """A recipient refuses a webhook without its whole body, and a test that counts bodies does, too."""
    with listening() as recipient, socket.create_connection(("127.0.0.1", recipient.port), 60) as sender:
        sender.sendall(b"POST / HTTP/1.0\r\nwebhook-id: msg_1\r\nContent-Length: 5\r\n\r\nhal")
        sender.shutdown(socket.SHUT_WR)
        assert sender.recv(1) == b""
        assert recipient.heard == []

"""A worker that encrypts a transfer is killed before each of its steps; the next ends it, and nothing twice."""

from __future__ import annotations

import hashlib
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import forks
import pyrage
import pytest
from factories import World
from sqlalchemy import func, select, update
from transferring import Provider, authorised, encrypted, providing, ready, sending_world, started, view

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.storage import open_storage
from portability.transfers import sending
from portability.transfers import statement as statements
from portability.trust import audit
from worker.write.withdraw import withdraw_copies

TRANSFER, COPY = models.transfer, models.transfer_copy
WORKS = """
import itertools, os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from portability.database.engine import open_engine
from portability.settings import load_settings
from portability.storage import open_storage
from worker import transfer
from worker.context import WorkerContext

at, steps = int(sys.argv[1]), itertools.count(1)

def step(*_of_event):
    if next(steps) == at:
        os.kill(os.getpid(), signal.SIGKILL)

class Stepped:
    "A storage or an upload, whose calls are steps."
    def __init__(self, whole):
        self._whole = whole
    def __getattr__(self, name):
        found = getattr(self._whole, name)
        if not callable(found):
            return found
        def call(*arguments, **named):
            step()
            result = found(*arguments, **named)
            return Stepped(result) if name == "begin" else result
        return call

settings = load_settings()
event.listen(Engine, "begin", step)
event.listen(Engine, "commit", step)
place = WorkerContext(settings, open_engine(settings.database), Stepped(open_storage(os.environ["STORAGE"])), {})
while claim := transfer.claim(place.engine, "killed", 60):
    transfer.advance(place, claim)
"""


ENDS = """
import itertools, os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from portability.database.engine import open_engine, writing
from portability.settings import load_settings
from portability.transfers import sending

at, steps = int(sys.argv[1]), itertools.count(1)

def step(*_of_event):
    if next(steps) == at:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "before_cursor_execute", step)
event.listen(Engine, "commit", step)
with writing(open_engine(load_settings().database)) as connection:
    for transfer_id in sending.overdue(connection, 100):
        sending.expire(connection, transfer_id, actor="clock")
step()
"""


def forked(made: World, at: int, code: str, **more: str) -> bool:
    """A process that is killed before the nth step; returns whether it came so far."""
    settings = made.place.settings
    names = ("dir", "database_url", "allow_loopback")
    environment = {f"PORTABILITY_{name}".upper(): str(getattr(settings, name)) for name in names}
    done = forks.run_fork([str(at)], {**os.environ, **environment, **more}, seconds=60, code=code)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode != 0


def worked(made: World, storage: str, at: int) -> bool:
    """A worker that is killed before the nth step; returns whether it came so far."""
    is_killed = forked(made, at, WORKS, STORAGE=storage)
    with writing(made.engine) as connection:
        connection.execute(update(TRANSFER).where(TRANSFER.c.state == "queued").values(lease_until=now(-1)))
    return is_killed


ALL = [pytest.param(kind, 1, marks=pytest.mark.system) for kind in ("folder", "s3")]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("kind", "stride"), [("folder", 9), *ALL])
def test_a_transfer_survives_a_kill_before_each_step(
    pg_control_url: str, tmp_path: Path, kind: str, stride: int, request: pytest.FixtureRequest
) -> None:
    """Each volume has one copy that opens, and there is one offer: a link, a webhook and a message."""
    storage = f"file://{tmp_path}/archives" if kind == "folder" else request.getfixturevalue("s3_url")
    made = sending_world(tmp_path, volumes=2, database_url=pg_control_url, storage=open_storage(storage))
    with providing() as other:
        other.recorded(made)
        authorised(made, other.recipient, until=datetime.now(UTC) + timedelta(days=30))
        export_id = ready(made)
        for at in count(1, stride):
            transfer_id = started(made, export_id, other.recipient)
            is_killed = worked(made, storage, at)
            worked(made, storage, 0)
            check(made, other, transfer_id, at)
            with writing(made.engine) as connection:
                sending.revoke(connection, transfer_id, actor="subject:usr_1")
            withdraw_copies(made.engine, lambda: made.place.storage)
            if not is_killed:
                break
    assert at > 40


def check(made: World, other: Provider, transfer_id: str, at: int) -> None:
    assert view(made, transfer_id)["state"] == "offered", at
    with reading(made.engine) as connection:
        copies = sending.copies(connection, transfer_id)
        transfer = sending.get(connection, transfer_id)
        of_transfer = {
            table.name: connection.scalar(
                select(func.count()).select_from(table).where(table.c.transfer_id == transfer_id)
            )
            for table in (COPY, models.link, models.webhook)
        }
        told = select(func.count()).where(models.notification.c.occasion == transfer_id)
        events = Counter(
            connection.scalars(select(audit.LOG.c.action).where(audit.LOG.c.export_id == transfer["export_id"]))
        )
        volumes = connection.execute(select(models.volume).where(models.volume.c.state == "stored")).mappings().all()
        assert (of_transfer, connection.scalar(told)) == (
            {"transfer_copy": len(volumes), "link": 1, "webhook": 1},
            1,
        ), at
    assert len(volumes) > 1
    assert events["transfer.offered"] == events["transfer.started"], at
    assert {copy["plain_sha256"] for copy in copies} == {volume["sha256"] for volume in volumes}, at
    for copy in copies:
        plain = pyrage.decrypt(b"".join(made.place.storage.read(copy["object_key"])), [other.identity])
        assert hashlib.sha256(plain).hexdigest() == copy["plain_sha256"], at
    known = {row["object_key"] for row in (*copies, *volumes)}
    assert {key for key in made.archive_keys() if key.endswith((".zip", ".age"))} == known, at
    assert transfer["possession"] == statements.possession([copy["possession"] for copy in copies]), at


def test_an_end_and_its_message_survive_a_kill_together(pg_control_url: str, tmp_path: Path) -> None:
    """A person hears of each end once: the state, the message and the event are there, or none of them."""
    made = sending_world(tmp_path, database_url=pg_control_url)
    with providing() as other:
        authorised(made, other.recorded(made))
        transfer_id = started(made, ready(made), other.recipient)
        encrypted(made)
    with writing(made.engine) as connection:
        connection.execute(update(TRANSFER).values(expires_at=now(-1)))
    seen = []
    for at in count(1):
        is_killed = forked(made, at, ENDS)
        with reading(made.engine) as connection:
            message = (models.notification.c.occasion == transfer_id, models.notification.c.kind == "not_transferred")
            told = len(connection.scalars(select(models.notification.c.id).where(*message)).all())
            event = select(audit.LOG.c.action).where(audit.LOG.c.action == "transfer.expired")
            events = len(connection.scalars(event).all())
        seen.append((view(made, transfer_id)["state"], told, events))
        if not is_killed:
            break
    assert len(seen) > 8
    assert set(seen) == {("offered", 0, 0), ("expired", 1, 1)}

"""What people and workers do to one export at the same moment: nobody waits for somebody who waits for them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factories import MadeUpExporter, World, things, world
from simultaneous import in_threads
from sqlalchemy import Connection, select, update

from portability import approvals, audit, codes, exports, keys, links, models, notify, recalls, requests
from portability.approvals import Cause
from portability.db import open_engine, reading, writing
from portability.errors import BadInput
from portability.policy import Actor

ROUNDS = 30
THREADS = 4


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    made = world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url)
    with writing(made.engine) as connection:
        keys.ensure(connection, made.place.settings.keys, actor="operator:test")
    return made


def test_nobody_waits_in_a_circle(made: World, control_url: str) -> None:
    """No deadlock, whatever meets whatever; refusals are fine, and the audit log is one whole chain afterwards."""
    export_id = made.request("user:usr_1")
    made.advance_all()
    waiting = made.request("user:usr_2")
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        given = links.issue(connection, folder, export_id, audience="code", ttl_seconds=600, actor="operator:test")
        row = dict(links.resolve(connection, folder, given.token))

    def work(connection: Connection) -> None:
        """As a worker's checkpoint: export, slice, then the log and what people are told."""
        exports.lock(connection, export_id)
        connection.execute(update(models.slice).where(models.slice.c.export_id == export_id).values(attempts=0))
        audit.record(connection, "volume.failed", actor="worker", export_id=export_id)
        notify.queue(connection, notify.Kind.READY, export_id)

    def repeat(connection: Connection) -> None:
        wanted = requests.check(profile="access", subject="user:usr_2")
        requests.accept(connection, wanted, actor="operator:test")

    def hold(connection: Connection) -> None:
        approvals.ask(connection, waiting, [Cause.SWITCH], actor="staff:sue")

    def close(connection: Connection) -> None:
        """As a recall: export, then its links, which are opened again for the others here."""
        exports.lock(connection, export_id)
        links.revoke_all(connection, export_id, actor="operator:test")
        connection.execute(update(models.link).values(revoked_at=None))

    acts: list[Callable[[Connection], Any]] = [
        work,
        repeat,
        hold,
        lambda c: approvals.approve(c, waiting, actor=Actor("officer", "olga")),
        lambda c: approvals.may_fetch(c, export_id, actor="operator:root"),
        lambda c: links.issue(c, folder, export_id, audience="login", ttl_seconds=60, actor="operator:test"),
        lambda c: links.claim(c, row, 1, actor="link", claims_max=10_000, claim_seconds=60),
        close,
        lambda c: codes.send(c, folder, row),
        lambda c: codes.check(c, folder, row, "00000000"),
        lambda c: exports.cancel(c, export_id, actor="operator:test"),
        lambda c: recalls.recall(c, waiting, reason="x", actor="operator:test"),
    ]

    def hurry(number: int) -> int:
        engine, chance, refused = open_engine(control_url), random.Random(number), 0
        for _ in range(ROUNDS):
            try:
                with writing(engine) as connection:
                    chance.choice(acts)(connection)
            except BadInput:
                refused += 1
        engine.dispose()
        return refused

    refused = in_threads(THREADS, hurry)
    with reading(made.engine) as connection:
        assert audit.verify(connection).ok
        done = len(connection.execute(select(models.audit_event.c.id)).all())
    assert sum(refused) < THREADS * ROUNDS
    assert done > THREADS

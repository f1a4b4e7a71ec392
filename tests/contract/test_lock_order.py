"""Simultaneous actions of people and workers on one export: never two that wait for each other."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from factories import World
from simultaneous import in_threads
from sqlalchemy import Connection, update

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import open_engine, reading, writing
from portability.delivery import codes, links
from portability.messages import outbox
from portability.requests import acceptance, approvals, exports
from portability.requests.approvals import Cause
from portability.requests.policy import Actor
from portability.retention import recalls
from portability.trust import audit

ROUNDS = 30
THREADS = 4


def test_there_is_no_deadlock(made: World, control_url: str) -> None:
    """No deadlock for any combination; refusals are allowed, and the audit log is one complete chain afterwards."""
    export_id = made.request("user:usr_1")
    made.advance_all()
    waiting = made.request("user:usr_2")
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        given = links.issue(connection, folder, export_id, audience="code", ttl_seconds=600, actor="operator:test")
        row = dict(links.resolve(connection, folder, given.token))

    def work(connection: Connection) -> None:
        """Like a worker's checkpoint: export, slice, then the log and the messages."""
        exports.lock(connection, export_id)
        connection.execute(update(models.slice).where(models.slice.c.export_id == export_id).values(attempts=0))
        audit.record(connection, "volume.failed", actor="worker", export_id=export_id)
        outbox.queue(connection, outbox.MessageKind.READY, export_id)

    def repeat(connection: Connection) -> None:
        wanted = acceptance.check(profile="access", subject="user:usr_2")
        acceptance.accept(connection, wanted, actor=Actor("operator", "test"))

    def hold(connection: Connection) -> None:
        approvals.ask(connection, waiting, [Cause.SWITCH], actor=Actor("staff", "sue"))

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
        lambda c: approvals.may_fetch(c, export_id, actor=Actor("operator", "root")),
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
    audit.chain_all(made.engine)
    with reading(made.engine) as connection:
        assert audit.verify(connection).ok
        done = len(audit.events(connection))
    assert sum(refused) < THREADS * ROUNDS
    assert done > THREADS

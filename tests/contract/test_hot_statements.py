"""Hot statements on PostgreSQL: each of them reads an index, however many exports have ended (docs/capacity.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from factories import World
from long_history import fill, recorded, scanned

from portability.database.engine import reading, undone, writing
from portability.people import subject_locks
from portability.queue import WakeUps, connect, open_queue
from portability.requests import acceptance, exports, intake, request_log
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.requests.request_log import Scope
from portability.trust import audit
from worker.claim import claims
from worker.clock import dispatch, expiry, purge

ENDED = 20_000
"""Exports that have ended: enough for the planner to prefer an index."""


def _accept(made: World, _queue: WakeUps) -> None:
    wanted = acceptance.check(profile="access", subject="user:usr_old7")
    with writing(made.engine) as connection:
        actor = Actor("subject", "usr_old7")
        intake.take(connection, made.place.settings, wanted, actor=actor, auth=PRESENT)


def _read_log(made: World, _queue: WakeUps) -> None:
    with reading(made.engine) as connection:
        for scope in (Scope(), Scope(subject_ref="sub_old7"), Scope(tenant="ten_1")):
            _rows, following = request_log.page(connection, scope, limit=3)
            if following:
                request_log.page(connection, scope, after=following, limit=3)


def _read_desk(made: World, _queue: WakeUps) -> None:
    with reading(made.engine) as connection:
        request_log.by_due_date(connection, Scope())
        request_log.counts(connection, Scope())
        exports.recent(connection)
        audit.events(connection, export_id="old7")


def _claim(made: World, _queue: WakeUps) -> None:
    assert claims.claim(made.engine, "test", 60)


def _dispatch(made: World, queue: WakeUps) -> None:
    assert dispatch.dispatch(made.engine, queue) == 2


def _expire(made: World, _queue: WakeUps) -> None:
    expiry.announce(made.engine, made.place.settings)
    expiry.expire(made.engine, made.place.settings)


def _purge(made: World, _queue: WakeUps) -> None:
    assert purge.purge(made.engine, 24) == 0


def _chain(made: World, _queue: WakeUps) -> None:
    audit.chain_all(made.engine)
    with reading(made.engine) as connection:
        subject_locks.check_not_erasing(connection, "user", "usr_old7", None)


HOT: tuple[Callable[[World, WakeUps], None], ...] = (
    *(_accept, _read_log, _read_desk, _claim, _dispatch, _expire, _purge, _chain),
)
"""What happens at each request, claim, page and round of the clock."""


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_no_hot_statement_reads_a_growing_table_from_one_end_to_the_other(made: World, redis_url: str) -> None:
    """Twenty thousand exports have ended, two are queued: EXPLAIN of each statement names indexes only."""
    fill(made.engine, ENDED)
    for number in (1, 2):
        made.request(f"user:usr_{number}")
    found: list[tuple[str, str, object]] = []
    for act in HOT:
        with undone(made.engine), recorded(made.engine) as statements:
            act(made, open_queue(connect(redis_url)))
        found += [(act.__name__, *each) for each in statements]
    with reading(made.engine) as connection:
        slow = {(name, statement) for name, statement, given in found if scanned(connection, statement, given)}
    assert slow == set()
    assert {name for name, *_ in found} == {act.__name__ for act in HOT}

"""Hot statements on PostgreSQL: each of them reads an index, however many exports have ended (docs/capacity.md)."""

from __future__ import annotations

from functools import partial
from itertools import product

import pytest
from factories import World
from long_history import HOT, fill_archives, fill_history, rows_read, scanned, statements_of
from past_records import STEPS, fill_past
from sqlalchemy import select, update

from portability import metrics
from portability.database import models
from portability.database.engine import reading, undone, writing
from portability.queue import connect, open_queue
from portability.requests import acceptance, intake
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.signals import unanswered
from portability.trust import audit
from worker.write import left
from worker.write.withdraw import withdraw_copies

REF = select(models.subject_ref.c.ref)
ENDED = 10_000
"""Exports that have ended: enough for the planner to prefer an index."""


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_no_hot_statement_reads_a_growing_table_from_one_end_to_the_other(made: World, redis_url: str) -> None:
    """Ten thousand exports have ended, two are queued: EXPLAIN of each statement names indexes only."""
    fill_history(made.engine, ENDED)
    for number in (1, 2):
        made.request(f"user:usr_{number}")
    found: list[tuple[str, str, object]] = []
    for act in HOT:
        with undone(made.engine), statements_of(made.engine) as statements:
            act(made, open_queue(connect(redis_url)))
        found += [(act.__name__, *each) for each in statements]
    with reading(made.engine) as connection:
        slow = {(name, statement) for name, statement, given in found if scanned(connection, statement, given)}
    assert slow == set()
    assert {name for name, *_ in found} == {act.__name__ for act in HOT}


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_a_hot_statement_reads_few_rows_however_often_it_ran(made: World, redis_url: str) -> None:
    """Also in a process that has run it twelve times: its plans may be others than at first.

    A fifth of the exports failed and were erased: PostgreSQL expects thousands of requests without an answer.
    """
    fill_history(made.engine, ENDED)
    for number in (1, 2):
        made.request(f"user:usr_{number}")
    read: dict[str, list[int]] = {act.__name__: [] for act in HOT}
    with connect(redis_url) as redis:
        for act, _time in product(HOT, range(12)):
            redis.flushdb()
            read[act.__name__].append(rows_read(made.engine, partial(act, made, open_queue(redis))))
    assert {name: rows for name, rows in read.items() if max(rows) > 500} == {}


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_no_step_of_a_process_reads_records_of_the_past(made: World) -> None:
    """Almost all rows are of archives that are kept, and of transfers, feeds, consents, codes ... that are over.

    Marks of what is left in storage are as a clock has set them.
    """
    for fill in (fill_history, fill_archives, fill_past):
        fill(made.engine, ENDED // 2)
    read = {step.__name__: [rows_read(made.engine, partial(step, made)) for _time in range(7)] for step in STEPS}
    assert {name: rows for name, rows in read.items() if max(rows) > 300} == {}
    # Transfers that ended before they had copies: no clock has anything to delete for them.
    with writing(made.engine) as connection:
        connection.execute(update(models.transfer).values(emptied=False))
    assert left.transfers(made.engine)
    assert withdraw_copies(made.engine, lambda: made.place.storage) == 0
    assert left.transfers(made.engine) == []


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_the_metrics_read_no_request_that_failed(made: World) -> None:
    """Two thousand failed, and wait for a person who retries or cancels them: each scrape read them three times."""
    fill_history(made.engine, ENDED)
    with writing(made.engine) as connection:
        connection.execute(update(models.export).where(models.export.c.state == "failed").values(erased_at=None))
    unanswered.count(made.engine)
    with made.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE export")
    read = [rows_read(made.engine, partial(metrics.collect, made.engine)) for _time in range(7)]
    assert max(read) < 100
    with reading(made.engine) as connection:
        (failed,) = (one.number for one in unanswered.groups(connection))
    assert failed == 2_000


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_a_request_is_accepted_by_nine_statements(made: World) -> None:
    """Its person asks for the first time. The second request returns the same export, and needs 6 statements.

    A connection's first request reads the deployment's salt, too.
    """
    _ask(made, "usr_first")
    with statements_of(made.engine) as first:
        _ask(made, "usr_new")
    with statements_of(made.engine) as second:
        _ask(made, "usr_new")
    assert [statement.split()[0] for statement, _given in first].count("INSERT") == 6
    assert (len(first), len(second)) == (9, 6)
    with reading(made.engine) as connection:
        events = [event for event in audit.events(connection) if event["action"].startswith("request.")]
        refs = connection.scalars(REF).all()
    actors = [event["actor"] for event in events]
    assert (len(refs), len({*actors})) == (2, 2)
    assert actors[1:] == [actors[1]] * 2
    assert {*actors} == {f"subject:{ref}" for ref in refs}


def _ask(made: World, who: str) -> None:
    wanted, actor = acceptance.check(profile="access", subject=f"user:{who}"), Actor("subject", who)
    with writing(made.engine) as connection:
        intake.take(connection, made.place.settings, wanted, actor=actor, auth=PRESENT)

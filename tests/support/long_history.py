"""A control database with many exports that have ended, what happens there all the time, and its statements."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from claiming import claim_next
from factories import World
from sqlalchemy import Connection, Engine, event

from portability import metrics
from portability.database.engine import reading, undone, writing
from portability.desk import colleagues, notes, views
from portability.people import subject_locks
from portability.people.directory import NoDirectory
from portability.queue import WakeUps
from portability.report import counts as report_counts
from portability.report import figures
from portability.report.disclosure import ReportPrecision
from portability.requests import acceptance, desk_queue, estimates, exports, intake, request_log, timelines
from portability.requests.desk_queue import DeskList, DeskSort, DeskView
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.requests.request_log import Scope
from portability.schedules.schedules import standing
from portability.signals import history_counts
from portability.trust import audit, audit_search
from portability.trust.audit_search import EventFilter
from worker.clock import dispatch, expiry, purge, schedules

GROWING = frozenset({"export", "slice", "audit_event", "notification", "subject_ref", "desk_note", "schedule"})
"""Tables with rows of exports that have ended."""
ROWS = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
CHILDREN = 100_000
"""The newest exports have children; those of older exports were deleted with what they say of a person."""
FILL = (
    """INSERT INTO export (id, profile, subject_kind, subject_id, subject_ref, formats, require_complete, channel,
      requested_by, received_at, due_at, created_at, began_at, ended_at, state, complete, volume_counter, revision)
    SELECT n || 'old', 'access', 'user', 'usr_old' || n, 'sub_' || n || 'old', '["jsonl"]', false, 'api',
      'subject:sub_old', at, at + interval '30 days', at, at, at + interval '1 hour',
      (ARRAY['expired', 'expired', 'expired', 'cancelled', 'failed'])[1 + n %% 5], true, 1, 1
    FROM (SELECT n, now() - interval '1 year' + n * (interval '11 months' / %(count)s::int) AS at
      FROM generate_series(1, %(count)s::int) n) made""",
    "UPDATE export SET erased_at = now(), error_code = 'x' WHERE state = 'failed'",
    """INSERT INTO subject_ref (digest, ref)
    SELECT 'old' || n, 'sub_' || n || 'old' FROM generate_series(1, %(count)s::int) n""",
    """INSERT INTO slice (export_id, number, tenant, state, large, version, fence, attempts, created_at, claimed_at)
    SELECT id, 0, '', 'done', false, 2, 1, 0, created_at, began_at FROM export
    WHERE rtrim(id, 'old')::int > %(childless)s""",
    """INSERT INTO notification (id, export_id, kind, occasion, channel, state, attempts, created_at)
    SELECT 'ntf_' || id, id, 'ready', '1.1', 'mail', 'sent', 1, created_at FROM export
    WHERE rtrim(id, 'old')::int > %(childless)s""",
    """INSERT INTO audit_event (id, at, actor, action, export_id, detail, prev_hash, hash)
    SELECT n, now() - interval '1 year', 'worker', 'export.ready', n || 'old', '{}', 'p' || n, 'h' || n
    FROM generate_series(1, %(count)s::int) n""",
    """INSERT INTO desk_note (id, export_id, about, text, written_by, written_at)
    SELECT 'nte_' || id, id, 'person', 'x', 'staff:sam', created_at FROM export
    WHERE rtrim(id, 'old')::int > %(childless)s OR id = '7old'""",
    """INSERT INTO schedule (id, profile, subject_kind, subject_id, subject_ref, formats, tell_tenants, created_at,
      created_by, export_id, next_at, ended_at)
    SELECT 'sch_' || id, profile, subject_kind, subject_id, subject_ref, formats, false, created_at, requested_by, id,
      CASE WHEN n %% 4 = 0 THEN now() + interval '1 month' END, CASE WHEN n %% 4 > 0 THEN now() END
    FROM (SELECT *, rtrim(id, 'old')::int AS n FROM export) made WHERE n > %(childless)s OR n IN (4, 8)""",
    "UPDATE schedule SET next_at = now() WHERE subject_id = 'usr_old8'",
    "UPDATE audit_head SET event_id = %(count)s, hash = 'h' || %(count)s::int",
    "UPDATE journal SET shipped_id = %(count)s",
)

ARCHIVES = (
    """INSERT INTO export (id, profile, subject_kind, subject_id, subject_ref, formats, require_complete, channel,
      requested_by, received_at, due_at, created_at, began_at, ended_at, state, complete, volume_counter, revision)
    SELECT n || 'new', 'access', 'user', 'usr_new' || n, 'sub_' || n || 'new', '["jsonl"]', false, 'api',
      'subject:sub_new', at, at + interval '30 days', at, at, at, 'ready', true, 1, 1
    FROM (SELECT n, now() AS at FROM generate_series(1, %(count)s::int) n) made""",
    """INSERT INTO volume (id, export_id, number, fence, state, object_key, upload_id, closing, name, began_at)
    SELECT rtrim(id, 'new')::int, id, 1, 1, 'stored', id || '/1', '', true, 'archive', began_at FROM export
    WHERE state = 'ready'""",
)


def fill_history(engine: Engine, count: int) -> None:
    """Insert exports that ended in the last year with an event each, the newest with all children; PostgreSQL only."""
    with engine.begin() as connection:
        for statement in FILL:
            connection.exec_driver_sql(statement, {"count": count, "childless": max(0, count - CHILDREN)})
    history_counts.count(engine)  # as a clock has done
    report_counts.count(engine, UTC)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def fill_archives(engine: Engine, count: int) -> None:
    """Insert ready exports with a stored volume each; PostgreSQL only."""
    with engine.begin() as connection:
        for statement in ARCHIVES:
            connection.exec_driver_sql(statement, {"count": count})
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def rows_read(engine: Engine, act: Callable[[], object]) -> int:
    """Return the number of rows that PostgreSQL reads from tables for an act, which is rolled back."""
    with undone(engine):
        # What earlier transactions read may not be added up yet, and counts here too.
        before = _counted(engine)
        act()
        return _counted(engine) - before


def _counted(engine: Engine) -> int:
    with reading(engine) as connection:
        return int(connection.exec_driver_sql(ROWS).scalar() or 0)


@contextmanager
def statements_of(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements of the block, with their parameters."""
    found: list[tuple[str, Any]] = []

    def remember(_connection: object, _cursor: object, statement: str, parameters: Any, *_others: object) -> None:
        found.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", remember)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", remember)


def scanned(
    connection: Connection, statement: str, parameters: Any, growing: Collection[str] = GROWING
) -> Sequence[str]:
    """Return the growing tables that PostgreSQL would read from one end to the other for a statement."""
    if not statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
        return []
    once = parameters[0] if isinstance(parameters, list) else parameters
    (plan,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", once).scalars().one()
    return [name for name in _scanned(plan["Plan"]) if name in growing]


def _scanned(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for part in node.get("Plans", ()):
        yield from _scanned(part)


def _accept(made: World, _queue: WakeUps) -> None:
    wanted = acceptance.check(profile="access", subject="user:usr_old7")
    with writing(made.engine) as connection:
        actor = Actor("subject", "usr_old7")
        intake.take(connection, made.place.settings, wanted, actor=actor, auth=PRESENT)


def _read_log(made: World, _queue: WakeUps) -> None:
    with reading(made.engine) as connection:
        for scope in (Scope(), Scope(subject_ref="sub_7old"), Scope(tenant="ten_1")):
            _rows, following = request_log.page(connection, scope, limit=3)
            if following:
                request_log.page(connection, scope, after=following, limit=3)


def _read_desk(made: World, _queue: WakeUps) -> None:
    with reading(made.engine) as connection:
        request_log.counts(connection, Scope())
        exports.recent(connection)
        exports.recent(connection, is_unanswered=True)
        audit.events(connection, export_id="7old")
        assert timelines.page(connection, "7old")[0]


def _search(made: World, _queue: WakeUps) -> None:
    with reading(made.engine) as connection:
        for view in (*DeskView, "failed", "ready"):
            for sort in DeskSort:
                desk_queue.page(connection, Scope(), DeskList(view, sort, "sam"), limit=3)
        for text in ("7old", "sub_7old", "usr_old7", "T-4711"):
            desk_queue.find(connection, Scope(), text, ["ann@mail.example"])
        desk_queue.others(connection, Scope(), {"subject_ref": "sub_7old", "id": "7old"})
        assert len(notes.page(connection, exports.get(connection, "7old"))[0]) == 1
        views.of(connection, " sam", with_team=True)
        colleagues.listed(connection)
        estimates.typical(connection, "access", "user", "sub_7old")
        for wanted in (EventFilter(), EventFilter("sam"), EventFilter("usr_old7"), EventFilter("7old"), OF_A_DAY):
            audit_search.page(connection, wanted)
            audit_search.has_older(connection, wanted.person)
        audit_search.actions(connection)


OF_A_DAY = EventFilter(
    action="export.denied", since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 11, 2, tzinfo=UTC)
)


def _claim(made: World, _queue: WakeUps) -> None:
    assert claim_next(made.engine, "test", 60)


def _dispatch(made: World, queue: WakeUps) -> None:
    assert dispatch.dispatch(made.engine, queue) == 2


def _expire(made: World, _queue: WakeUps) -> None:
    expiry.announce(made.engine, made.place.settings)
    expiry.expire(made.engine, made.place.settings)


def _purge(made: World, _queue: WakeUps) -> None:
    assert purge.purge(made.engine, 24) == 0


def _request_scheduled(made: World, _queue: WakeUps) -> None:
    assert schedules.request_due(made.engine, made.place.settings, NoDirectory()) == 1
    with reading(made.engine) as connection:
        assert standing(connection, ("user", "usr_old4", None))


def _measure(made: World, _queue: WakeUps) -> None:
    metrics.collect(made.engine)


def _report(made: World, _queue: WakeUps) -> None:
    with reading(made.engine) as connection:
        figures.report(connection, UTC, None, None, ReportPrecision.EXACT)


def _chain(made: World, _queue: WakeUps) -> None:
    audit.chain_all(made.engine)
    with reading(made.engine) as connection:
        subject_locks.check_not_erasing(connection, "user", "usr_old7", None)


HOT: tuple[Callable[[World, WakeUps], None], ...] = (
    *(_accept, _read_log, _read_desk, _search, _claim, _dispatch, _expire, _purge, _measure, _report),
    *(_chain, _request_scheduled),
)
"""What happens at each request, claim, page and round of the clock."""

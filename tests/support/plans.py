"""What PostgreSQL reads for each statement of the product that a test runs, in a database with a long history.

A statement passes if a condition of an index leads to its rows, or if an index has them in its order and few are read.
Plans of a planner with a choice, and how many rows they read, are in tests/contract/test_hot_statements.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from long_history import fill_archives, fill_history
from migrated import migrate
from past_records import fill_past
from repository import PACKAGES, ROOT
from servers.databases import Postgres
from sqlalchemy import Connection, Delete, Engine, Executable, Insert, Select, Table, Update, event
from sqlalchemy.exc import DataError, StatementError
from sqlalchemy.sql import visitors
from sqlalchemy.sql.selectable import CompoundSelect

from portability.database import models
from portability.database.engine import open_engine

FEW = frozenset(
    {
        *("deployment", "journal", "audit_head", "recipient", "sender", "source_map", "source_secret", "source_check"),
        *("colleague", "desk_view", "signing_key", "incident", "turn"),
        *("audit_unchained", "earlier_revision", "feed_step", "lost_event"),
    }
)
"""Tables that grow with partners, sources, keys and staff, and those whose rows go when the work with them is done."""
GROWING = frozenset(models.metadata.tables) - FEW
WHOLE: Mapping[str, str] = {
    "portability/signals/history_counts.py:counted": "a clock counts for the metrics, at most a hundredth of its time",
    "portability/report/counts.py:counted": "the same for the report",
    "portability/signals/unanswered.py:count": "the same for the requests that failed",
    "portability/people/sessions.py:people_behind_one_address": "counts only while all sessions have one address",
    "portability/people/sessions.py:end_all": "after a loss of commits",
    "portability/delivery/codes.py:end_all": "after a loss of commits",
    "portability/journal/comparison.py:read": "after a start, a failover or a restore",
    "portability/journal/reconcile.py:reconcile": "after a loss of commits",
    "portability/requests/audit_comparison.py:compare": "`portability audit verify` compares all records",
    "portability/trust/chain_events.py:walk": "verifies the audit log in pages",
    "portability/trust/audit.py:events": "`portability audit log` filters all events; those of an export have an index",
    "portability/trust/audit.py:chained": "as its callers",
    "portability/requests/request_log.py:page": "a page is as long as asked for",
    "portability/requests/desk_queue.py:find": "SQLite has no index of words; PostgreSQL has (test_hot_statements.py)",
    "portability/requests/exports.py:recent": "`portability list` of one state",
    "portability/requests/instructions.py:rows": "`portability instructions list` lists all",
    "portability/requests/referrals.py:rows": "`portability referrals list` lists all",
    "portability/feeds/feeds.py:listed": "`portability feeds list` lists all",
    "portability/requests/mandates.py:rows": "`portability mandates list` lists all",
    "portability/retention/legal_holds.py:rows": "`portability erase holds` lists all",
    "portability/retention/recalls.py:rows": "`portability recall list` lists all",
    "portability/signals/lost_keys.py:find": "a hundredth of the time, and while a file of a key is not usable",
    "portability/transfers/authorisations.py:of": "lists all consents only for an operator",
    "portability/messages/recipient_notices.py:rows": "`portability recipients notices` lists all",
    "portability/retention/erasure_holds.py:subjects": "of all subjects it names every archive that was not fetched",
    "portability/transfers/recipient_removal.py:remove": "an operator removes a recipient",
    "worker/clock/lost_volumes.py:find": "the sweep compares all volumes with storage, in pages",
    "worker/clock/orphans.py:find": "the same in the other direction",
    "portability/requests/desk_queue.py:page": "archives that are kept, in an order of choice (test_hot_statements.py)",
    "portability/feeds/undelivered.py:settle": "marks in pages, each archive once",
    "worker/write/left.py:mark": "marks in pages, each export and transfer once",
    "worker/write/left.py:exports": "what is left is read in pages; only that (test_hot_statements.py)",
    "worker/write/withdraw.py:withdraw_copies": "reads the copies that it deletes",
}
"""Functions that read many rows, and why; each statement below them may."""
COMMANDS, DOCTOR = "cli/", "cli/doctor.py"
"""A command that a person runs now and then may list what there is. The doctor looks at deployments under load."""
MOST_ROWS = 300
ROWS = 3_000
"""Of each growing table."""
FILLING = frozenset({"fill_history", "fill_archives", "fill_past"})
"""They run statements of the product on whole tables."""
MIGRATIONS = ROOT / "portability" / "database" / "migrations" / "env.py"
ENGINE = ROOT / "portability" / "database" / "engine.py"


@dataclass(frozen=True, slots=True)
class RunStatement:
    """A statement as the product ran it."""

    functions: Sequence[str]
    """Of the product on the stack, the nearest first: `portability/requests/exports.py:recent`."""
    statement: Executable
    parameters: Mapping[str, Any]


class _Planned(Exception):  # it carries an answer
    def __init__(self, plan: Mapping[str, Any]) -> None:
        super().__init__()
        self.plan = plan


@contextmanager
def watching() -> Iterator[list[RunStatement]]:
    """Yield the list into which the statements come that the product runs on growing tables, each once."""
    known = set[str]()
    found: list[RunStatement] = []

    def note(*executing: Any) -> None:
        _connection, _cursor, text, _parameters, context, _many = executing
        statement = getattr(context, "invoked_statement", None)
        # An INSERT may copy the rows of a SELECT.
        reading = statement.select if isinstance(statement, Insert) else statement
        if text in known or not isinstance(reading, Select | CompoundSelect | Update | Delete):
            return
        functions = _functions()
        if not functions:
            return
        known.add(text)
        if not WHOLE.keys() & {*functions} and _tables(reading) & GROWING:
            found.append(RunStatement(functions, reading, dict(context.compiled_parameters[0])))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def long_history(server: Postgres) -> Iterator[Engine]:
    """Yield a database in which almost everything is over."""
    name = server.create_database()
    engine = open_engine(server.url(name))
    migrate(engine)
    for fill in (fill_history, fill_archives, fill_past):
        fill(engine, ROWS)
    yield engine
    engine.dispose()
    server.drop_database(name)


def fault(engine: Engine, run: RunStatement) -> str:
    """Return what PostgreSQL reads too much of for a statement; empty: it reads few rows."""
    many = {table: rows for table, rows in _read(engine, run).items() if rows > MOST_ROWS}
    text = run.statement.compile(dialect=engine.dialect) if many else ""  # type: ignore[attr-defined]  # a statement
    return f"{' < '.join(run.functions)} reads {many} of {ROWS}: {text}" if many else ""


def _read(engine: Engine, run: RunStatement) -> Mapping[str, int]:
    """Return how many rows of each growing table PostgreSQL reads to which no condition of an index leads."""
    with engine.connect() as connection, connection.begin() as whole:
        try:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plan = _plan(connection, run)
        except DataError:
            return {}  # SQLite takes values that PostgreSQL refuses
        finally:
            whole.rollback()
    found: dict[str, int] = {}
    for table, rows in _scans(plan):
        found[table] = found.get(table, 0) + rows
    return {table: rows for table, rows in found.items() if table in GROWING}


def _plan(connection: Connection, run: RunStatement) -> Mapping[str, Any]:
    """Run a statement as an EXPLAIN of itself."""

    def explain(_connection: object, _cursor: object, text: str, parameters: Any, *_others: object) -> tuple[str, Any]:
        return f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {text}", parameters

    def answer(_connection: object, cursor: Any, *_others: object) -> None:
        (((plan,),),) = cursor.fetchall()
        raise _Planned(plan["Plan"])

    event.listen(connection, "before_cursor_execute", explain, retval=True)
    event.listen(connection, "after_cursor_execute", answer)
    try:
        try:
            connection.execute(run.statement)
        except StatementError as error:
            if "bind parameter" not in str(error):
                raise
            connection.execute(run.statement, dict(run.parameters))
    except _Planned as planned:
        return planned.plan
    raise AssertionError(f"not explained: {run.statement}")


def _scans(node: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    table = node.get("Relation Name")
    # How many rows a condition of an index leads to is a matter of the values in the test that came first.
    if table and node["Node Type"].endswith("Scan") and not _is_led(node):
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        yield table, int((node["Actual Rows"] + removed) * node["Actual Loops"])
    for part in node.get("Plans", ()):
        yield from _scans(part)


def _is_led(scan: Mapping[str, Any]) -> bool:
    """Return whether a condition of an index leads to the rows of a scan."""
    bitmaps = [part for part in scan.get("Plans", ()) if part["Node Type"].startswith("Bitmap")]
    return "Index Cond" in scan or any(map(_is_led, bitmaps))


def _tables(statement: Any) -> set[str]:
    tables = (one for one in visitors.iterate(statement) if isinstance(one, Table))
    return {one.name for one in tables if one.metadata is models.metadata}


def _functions() -> Sequence[str]:
    """The functions of the product on the stack, the nearest first; none of a test, a migration, or a command."""
    found: list[str] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        package = path.relative_to(ROOT).parts[0] if path.is_relative_to(ROOT) else ""
        if path == MIGRATIONS:
            return ()
        if package in PACKAGES and path != ENGINE:
            found.append(f"{path.relative_to(ROOT)}:{frame.f_code.co_name}")
        if package == "tests" and (not found or frame.f_code.co_name in FILLING):
            return ()
        frame = frame.f_back
    commands = [function for function in found if function.startswith(COMMANDS)]
    is_looked_at = not commands or any(function.startswith(DOCTOR) for function in commands)
    return found[:6] if is_looked_at else ()

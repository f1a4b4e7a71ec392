"""The platform lives on while it is read: rows come and go, and its replica cancels queries."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from random import Random

from psycopg import sql

from chaos.faults import Hit
from chaos.rows import Look
from chaos.stack import ChaosStack

CHANGING = ("messages", "transcripts", "tickets", "routing_scores", "activities")
"""Tables of the tenant whose rows come and go."""
PARENTS = {"messages": "conversation_id", "transcripts": "call_id"}
"""Files of these rows are named by what they belong to."""
ADDED = "added_"
"""Begins the ids of rows that were inserted."""
CHANGES, EACH_SECONDS = 12, 0.05
CONFLICTS_SECONDS = 2.0


def rows_change(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
    """Rows are deleted and inserted, one after the other, while the exports read."""
    _repeat(stack, CHANGES, partial(_change, stack, chance))
    return Hit()


def standby_conflicts(stack: ChaosStack, _look: Look, _chance: Random) -> Hit | None:
    """The platform's log locks tables and removes row versions: its replica cancels the queries that need them."""
    assert stack.databases is not None
    before, until = stack.databases.conflicts(), time.monotonic() + CONFLICTS_SECONDS
    _conflict(stack, before, until)
    return Hit()


def _repeat(stack: ChaosStack, times: int, act: Callable[[], None]) -> None:
    act()
    if times > 1:
        stack.later(EACH_SECONDS, partial(_repeat, stack, times - 1, act))


def _conflict(stack: ChaosStack, before: int, until: float) -> None:
    assert stack.databases is not None
    with stack.databases.change_platform() as session:
        session.execute("create table if not exists churn (i int)")
        session.execute("insert into churn values (1)")
        session.execute("delete from churn")
        session.execute("vacuum churn")
        for table in CHANGING:
            with session.transaction():
                session.execute(_statement("lock table {table} in access exclusive mode", {"table": table}))
    if time.monotonic() < until:
        stack.later(0, partial(_conflict, stack, before, until))
    else:
        stack.happened.counts["queries cancelled by the replica"] += stack.databases.conflicts() - before


_CHOOSE = "select id, {parent} from {table} t where position(chr(10) in t::text) = 0 order by md5(id || %s) limit 1"
"""Not a row of several lines: in a table, its lines could not be distinguished from those of others."""
_COPY = (
    "insert into {table} select (jsonb_populate_record(t, jsonb_build_object('id', %s::text))).* "
    "from {table} t where id = %s"
)
_TAKE = "with gone as (delete from {table} where id = %s returning *) insert into {gone} select * from gone"


def _change(stack: ChaosStack, chance: Random) -> None:
    """Delete one row, which comes back after the seed, and insert one like it, which goes then."""
    assert stack.databases is not None
    table, salt = chance.choice(CHANGING), str(chance.random())
    copied = f"{ADDED}{secrets.token_hex(6)}"
    names = {"table": table, "gone": f"gone_{table}", "parent": PARENTS.get(table, "id")}
    with stack.databases.change_platform() as session, session.transaction():
        session.execute(_statement("create table if not exists {gone} (like {table})", names))
        found = session.execute(_statement(_CHOOSE, names), [salt]).fetchone()
        if found is None:
            return
        session.execute(_statement(_COPY, names), [copied, found[0]])
        session.execute(_statement(_TAKE, names), [found[0]])
    stack.happened.varying |= {copied, *found}
    stack.happened.counts["rows that came or went"] += 2


def _statement(words: str, names: Mapping[str, str]) -> sql.Composed:
    return sql.SQL(words).format(**{name: sql.Identifier(word) for name, word in names.items()})


def undo(stack: ChaosStack) -> None:
    """Make the platform what it was."""
    assert stack.databases is not None
    if not stack.happened.varying:
        return
    with stack.databases.change_platform() as session:
        for table in CHANGING:
            names = {"table": table, "gone": f"gone_{table}"}
            session.execute(_statement("create table if not exists {gone} (like {table})", names))
            session.execute(_statement("insert into {table} select * from {gone}", names))
            session.execute(_statement("delete from {table} where starts_with(id, %s)", names), [ADDED])
            session.execute(_statement("drop table {gone}", names))
    stack.databases.platform.catch_up()

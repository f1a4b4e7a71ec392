from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simultaneous import in_threads
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, event, insert, select, text
from sqlalchemy.exc import DatabaseError, StatementError

from portability.database.engine import UtcTime, now, open_engine, reading, writing
from portability.errors import DatabaseUnavailable
from portability.trust import audit

MOMENTS = Table("moments", MetaData(), Column("id", Integer, primary_key=True), Column("at", UtcTime))
ZONES = st.timezones() | st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))
TIMES = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES)  # noqa: DTZ001  # hypothesis adds zones


@pytest.fixture
def control_url(empty_url: str) -> str:
    """Not migrated: that is what these tests are about."""
    return empty_url


@pytest.fixture
def moments(control_engine: Engine) -> Engine:
    with writing(control_engine) as connection:
        MOMENTS.create(connection)
    return control_engine


def kept(connection: Connection, *times: datetime | None) -> list[datetime | None]:
    """The times as the database gives them back, in its order."""
    connection.execute(MOMENTS.delete())
    connection.execute(insert(MOMENTS), [{"at": moment} for moment in times])
    return list(connection.scalars(select(MOMENTS.c.at).order_by(MOMENTS.c.at)))


def test_times_come_back_as_they_went_in_and_in_their_order(moments: Engine) -> None:
    """Any zone, any year, to the microsecond: aware UTC comes back, and the database's order is that of time."""
    with writing(moments) as connection:

        @given(st.lists(TIMES, min_size=1, max_size=5))
        def check(times: list[datetime]) -> None:
            found = kept(connection, *times)
            # Python calls no two times of different zones equal while a clock is set back (PEP 495): compare in UTC.
            assert found == sorted(moment.astimezone(UTC) for moment in times)
            assert all(moment is not None and moment.tzinfo is UTC for moment in found)

        check()


def test_no_time_stays_none(moments: Engine) -> None:
    """NULL is NULL."""
    with writing(moments) as connection:
        assert kept(connection, None) == [None]


def test_a_time_without_zone_is_refused(moments: Engine) -> None:
    """A naive time means another moment on every machine: it never reaches a row."""
    with writing(moments) as connection, pytest.raises(StatementError, match="without time zone"):
        kept(connection, datetime(2026, 11, 24))  # noqa: DTZ001  # the point of the test


@pytest.mark.usefixtures("own_statements")
def test_a_statement_with_the_clock_is_compiled_once(moments: Engine) -> None:
    """For any number of seconds, and with the right number each time."""
    hits: list[str] = []

    def note(*arguments: Any) -> None:
        hits.append(arguments[4].cache_hit.name)

    event.listen(moments, "after_cursor_execute", note)
    with reading(moments) as connection:
        ago, ahead = (connection.execute(select(now(), now(seconds))).one() for seconds in (-60, 3600))
    assert hits[-2:] == ["CACHE_MISS", "CACHE_HIT"]
    assert [round((there - here).total_seconds()) for here, there in (ago, ahead)] == [-60, 3600]


@pytest.mark.parametrize("seconds", [-3600, -0.5, 0, 0.25, 60, 86_400])
def test_the_databases_clock_moves_both_ways(moments: Engine, seconds: float) -> None:
    """`now(seconds)` is that far from now, and compares with stored times of the same column type."""
    with writing(moments) as connection:
        stamp, moved = connection.execute(select(now(), now(seconds))).one()
        assert abs((moved - stamp).total_seconds() - seconds) < 0.2
        kept(connection, datetime.now(UTC) + timedelta(seconds=seconds))
        later = connection.scalar(select(MOMENTS.c.at > now(seconds - 5)))
        earlier = connection.scalar(select(MOMENTS.c.at < now(seconds + 5)))
        assert (bool(later), bool(earlier)) == (True, True)


def test_the_databases_clock_continues_within_a_transaction(moments: Engine) -> None:
    """A lease that is compared late in a transaction is compared with the present, not with its beginning."""
    with writing(moments) as connection:
        first = connection.scalar(select(now()))
        while connection.scalar(select(now())) == first:
            pass


def test_reading_cannot_write_on_postgresql(pg_control_url: str) -> None:
    """A reading transaction is READ ONLY there: a mistake is refused, not hidden."""
    engine = open_engine(pg_control_url)
    with pytest.raises(DatabaseError, match="read-only"), reading(engine) as connection:
        audit.record(connection, "nothing", actor="operator:test")
    engine.dispose()


def test_a_server_that_takes_no_writes_is_unavailable(pg_control_url: str) -> None:
    """A replica that is not promoted yet: a writer waits, as while no server answers."""
    engine = open_engine(pg_control_url)
    with pytest.raises(DatabaseUnavailable, match="ReadOnlySqlTransaction"), writing(engine) as connection:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY; DELETE FROM turn")
    engine.dispose()


def test_a_database_that_is_set_to_read_only_takes_no_writes(pg_url: str) -> None:
    """Also not on a connection that has read: who sets it moves the database, or has no room, and would lose them."""
    engine = open_engine(pg_url)
    with writing(engine) as connection:
        connection.execute(text("create table kept (id int)"))
        name = connection.scalar(text("select quote_ident(current_database())"))
        connection.execute(text(f"alter database {name} set default_transaction_read_only = on"))
    engine.dispose()  # it is of new sessions
    with reading(engine) as connection:
        connection.execute(text("select 1"))
    with pytest.raises(DatabaseUnavailable, match="ReadOnlySqlTransaction") as raised, writing(engine) as connection:
        connection.execute(text("insert into kept values (1)"))
    assert "read only" in raised.value.hint
    engine.dispose()


def test_a_connection_that_is_gone_is_unavailable(pg_url: str) -> None:
    """Whatever class the driver's error has: without a result of the server it is an InternalError."""
    engine = open_engine(pg_url)

    def lose(cursor: psycopg.Cursor[Any], *_query: object) -> None:
        cursor.connection.pgconn.finish()
        raise psycopg.InternalError("got no result from the query")

    event.listen(engine, "do_execute", lose)
    with pytest.raises(DatabaseUnavailable, match="InternalError"), reading(engine) as connection:
        connection.execute(text("SELECT 1"))
    engine.dispose()


@pytest.mark.parametrize("open_transaction", [reading, writing])
def test_a_connection_that_breaks_at_once_is_unavailable(
    pg_url: str, open_transaction: Callable[[Engine], AbstractContextManager[Connection]]
) -> None:
    """A pooler accepts a client, and cuts it when it finds no server: the driver notices before any statement."""
    engine = open_engine(pg_url)
    event.listen(engine, "connect", lambda driver, _record: driver.pgconn.finish())
    with pytest.raises(DatabaseUnavailable, match="OperationalError"), open_transaction(engine) as connection:
        connection.execute(text("SELECT 1"))
    engine.dispose()


def test_a_damaged_file_of_sqlite_is_named(tmp_path: Path) -> None:
    """As after a copy was put over it beside its log: neither the URL nor an upgrade helps, but a restore does."""
    path = tmp_path / "control.sqlite"
    path.write_bytes(b"no database, and long enough to be looked at" * 100)
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(DatabaseUnavailable, match="SQLITE_NOTADB") as raised, reading(engine):
        pass
    assert "stop all processes, then restore" in raised.value.hint
    engine.dispose()


def test_a_machine_that_is_gone_without_a_word_is_noticed(pg_url: str) -> None:
    """The operating system watches a connection: half a minute passes, not a quarter of an hour. The URL decides."""
    for more, idle_seconds in (("", "10"), ("?keepalives_idle=77", "77")):
        engine = open_engine(pg_url + more)
        with reading(engine) as connection:
            seen = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]  # it is open
        engine.dispose()
        assert (seen["keepalives_idle"], seen["tcp_user_timeout"]) == (idle_seconds, "30000")


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_event SET actor = 'nobody'", "DELETE FROM audit_event", "TRUNCATE audit_event"]
)
def test_the_audit_log_can_only_grow(migrated_engine: Engine, statement: str) -> None:
    """The database itself refuses to change or delete an event, for every user."""
    if statement.startswith("TRUNCATE") and migrated_engine.dialect.name == "sqlite":
        statement = "DELETE FROM audit_event WHERE true"
    with writing(migrated_engine) as connection:
        audit.record(connection, "export.ready", actor="worker", detail={"volumes": 1})
    with pytest.raises((DatabaseError, DatabaseUnavailable)) as raised, writing(migrated_engine) as connection:
        connection.execute(text(statement))
    assert "append-only" in f"{raised.value} {raised.value.__cause__}"
    with reading(migrated_engine) as connection:
        assert [event["actor"] for event in audit.events(connection)] == ["worker"]


def test_an_event_is_in_the_transaction_of_its_change(migrated_engine: Engine) -> None:
    """What is rolled back has not happened."""

    def fail() -> None:
        with writing(migrated_engine) as connection:
            audit.record(connection, "export.ready", actor="worker")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with reading(migrated_engine) as connection:
        assert audit.events(connection) == []


def test_events_come_in_order_and_by_time(migrated_engine: Engine) -> None:
    """In the order in which they were written; `since` counts from the database's clock."""
    with writing(migrated_engine) as connection:
        for export_id in ("a", "b", "a"):
            audit.record(connection, f"seen.{export_id}", actor="worker", export_id=export_id)
        assert [event["export_id"] for event in audit.events(connection)] == ["a", "b", "a"]
        assert len(audit.events(connection, export_id="a")) == 2
        assert len(audit.events(connection, since=datetime.now(UTC) - timedelta(minutes=1))) == 3
        assert audit.events(connection, since=datetime.now(UTC) + timedelta(minutes=1)) == []


def test_a_database_in_use_by_another_is_waited_for(control_url: str, migrated_engine: Engine) -> None:
    """Writers take turns and none fails, also those that read first: SQLite's deferred BEGIN would."""

    def write(number: int) -> None:
        own = open_engine(control_url)
        for _ in range(10):
            with writing(own) as connection:
                audit.events(connection)
                audit.record(connection, "written", actor=f"worker:{number}")
        own.dispose()

    in_threads(4, write)
    with reading(migrated_engine) as connection:
        assert len(audit.events(connection)) == 40

"""The database of a section: an engine and files of its own, with time limits, and the lag of a replica."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from exporters.sql.cut_values import watch_cut_values
from exporters.sql.faults import reading
from exporters.sql.quoted_names import name_parameters
from portability.api import FileStore, SharedState, Sources
from portability.api.errors import BadSetting, SourceUnavailable
from portability.database.engine import open_engine
from portability.database.sessions import SETTINGS

POSTGRESQL, MYSQL, SQLITE = "postgresql", "mysql", "sqlite"
DRIVERS: Mapping[str, tuple[str, str]] = {
    "postgresql": (POSTGRESQL, "postgresql+psycopg"),
    "mysql": (MYSQL, "mysql+pymysql"),
    "mariadb": (MYSQL, "mysql+pymysql"),
    "sqlite": (SQLITE, "sqlite"),
}
"""By the backend that a URL names: the kind of database, and the driver that reads it."""
CONNECT_SECONDS = 10
SORTED_BYTES = 16_384
"""Bytes of a text of the order by which MariaDB sorts; its default is 1024."""
SETTINGS_MYSQL = (
    "time_zone = '+00:00'",  # TIMESTAMP is given in the zone of the session
    "sql_select_limit = 18446744073709551615",  # of rows: the others would be missing without an error
    "group_concat_max_len = 4294967295",  # of bytes of such a column of a view
    "max_error_count = 65535",  # of warnings that are kept: one may say that a value was cut
    "sql_quote_show_create = 1",  # the library reads names in quotes
    "sql_big_selects = 1",  # else a server with `max_join_size` refuses the catalogue and large tables
    # Of keys that begin with the same bytes it would sort only these: rows would be missing, others come twice.
    f"max_sort_length = {SORTED_BYTES}",
    "sort_buffer_size = GREATEST(@@SESSION.sort_buffer_size, 2097152)",  # room for several such keys
)
"""Settings of a session with MariaDB or MySQL, whatever the server has by default."""
ALL_ROWS = "/*M!100304 , system_versioning_asof = DEFAULT, max_recursive_iterations = 4294967295 */"
"""Further settings, from MariaDB 10.3 on: tables with system versioning have the rows of now, not of another time, and
recursive views those of all steps."""
REPLICA_POSTGRESQL = text(
    "select case when not pg_catalog.pg_is_in_recovery() then 0"
    # A primary that writes nothing has nothing to replay, as long as the replica is connected to it.
    " when pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn()"
    " and exists (select 1 from pg_catalog.pg_stat_wal_receiver) then 0"
    " else extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) end"
)


@dataclass(frozen=True, slots=True)
class SectionSources:
    """What a section of the file of sources reads: a database and files of its own."""

    database: Engine
    connections: Sources
    own_files: FileStore | None = None

    @property
    def files(self) -> FileStore:
        """Return the section's files. Raises BadSetting if it names none."""
        if self.own_files is None:
            raise BadSetting("a dataset has files, and the section has no `files`", hint="see docs/maps.md")
        return self.own_files

    @property
    def control(self) -> Engine:
        """Return the control database."""
        return self.connections.control

    @property
    def shared(self) -> SharedState:
        """Return what all workers share."""
        return self.connections.shared

    @property
    def seconds(self) -> float:
        """Return the time limit of one call."""
        return self.connections.seconds


def kind_of(url: str, key: str) -> tuple[str, URL]:
    """Return the kind of a database, and its URL with the driver. Raises BadSetting, which does not repeat the URL."""
    try:
        target = make_url(url)
        kind, driver = DRIVERS[target.get_backend_name()]
    except (ArgumentError, KeyError, ValueError):  # ValueError: a port is not a number
        known = ", ".join(sorted({driver for _, driver in DRIVERS.values()}))
        raise BadSetting(f"{key} is not the URL of a database", hint=f"a URL begins with one of {known}") from None
    return kind, target.set(drivername=driver)


def open_database(kind: str, url: URL, statement_seconds: int) -> Engine:
    """Open the engine of a source; it connects when it is used. Each statement has a time limit, except on SQLite."""
    engine = _opened(kind, url, statement_seconds)
    name_parameters(engine.dialect)
    return engine


def _opened(kind: str, url: URL, statement_seconds: int) -> Engine:
    target = url.render_as_string(hide_password=False)
    if kind == POSTGRESQL:
        engine = open_engine(target, read_only=True)
        return with_settings(engine, {"statement_timeout": f"{statement_seconds}s"})
    if kind == SQLITE:
        return open_engine(target, read_only=True)
    # The driver sets the mode before the library looks at it, to quote names.
    options = {"connect_timeout": CONNECT_SECONDS, "charset": "utf8mb4", "sql_mode": ""}
    if "read_timeout" not in url.query:
        # By itself the driver waits for ever for a server that accepts the connection and says nothing.
        options["read_timeout"] = statement_seconds + CONNECT_SECONDS
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=options)
    event.listen(engine, "connect", partial(_limit_mysql, statement_seconds))
    watch_cut_values(engine)
    return engine


def with_settings(engine: Engine, settings: Mapping[str, str]) -> Engine:
    """Return the engine, with further settings in each of its transactions; both share their connections."""
    known = engine.get_execution_options().get(SETTINGS, {})
    return engine.execution_options(**{SETTINGS: {**known, **settings}})


def check_lag(engine: Engine, source: str, seconds_max: float) -> None:
    """Raise SourceUnavailable if the server is a replica that is further behind, or SourceRefused if it hides it."""
    with reading(engine, f"{source}: lag of the replica", single=True) as connection:
        seconds = _lag(connection)
    if seconds is None:
        raise SourceUnavailable(
            f"{source}: the lag of the replica is unknown: it replays nothing, or the account may not see it",
            hint="on MariaDB grant REPLICA MONITOR (SLAVE MONITOR), or leave `lag_seconds` out",
        )
    if seconds > seconds_max:
        raise SourceUnavailable(f"{source}: the replica is {seconds:.0f} s behind, {seconds_max:g} s are allowed")


def _lag(connection: Connection) -> float | None:
    if connection.dialect.name == POSTGRESQL:
        found = connection.scalar(REPLICA_POSTGRESQL)
        return None if found is None else float(found)
    if connection.dialect.name == SQLITE:
        return 0
    row = connection.execute(text("SHOW SLAVE STATUS")).mappings().first()
    if row is None:
        return 0
    behind = row.get("Seconds_Behind_Source", row.get("Seconds_Behind_Master"))
    return None if behind is None else float(behind)


def _limit_mysql(statement_seconds: int, connection: Any, _record: object) -> None:  # noqa: ANN401  # the driver's own
    limit = (
        f"max_statement_time = {statement_seconds} {ALL_ROWS}"
        if "mariadb" in connection.get_server_info().lower()
        else f"max_execution_time = {statement_seconds * 1000}"
    )
    with connection.cursor() as cursor:
        # Otherwise rows may be missing that another transaction deletes and then keeps.
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute(f"SET SESSION {', '.join(SETTINGS_MYSQL)}, {limit}")

"""PgBouncer in transaction mode before both databases: each transaction runs on another connection of the server."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import servers
from archives import export_json
from simultaneous import in_threads
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import ProgrammingError
from workers import deployment, until

from cli.checks import Seen
from cli.context import Context
from cli.pooler_check import poolers
from demo.plan import SeedPlan
from demo.seed import seed
from exporters.sql import faults
from portability.api.errors import BadSetting, SourceRefused
from portability.database import migrations, models
from portability.database.engine import open_engine, reading, writing
from portability.requests import exports
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage
from portability.trust import audit

CONNECTIONS = 4
"""Fewer than the clients of the smallest deployment."""
OpenPooler = Callable[..., servers.Pooler]


@pytest.fixture
def pooler(open_pooler: OpenPooler) -> servers.Pooler:
    """Transaction mode, without prepared statements: as PgBouncer was before version 1.21."""
    return open_pooler(connections=CONNECTIONS)


@pytest.fixture
def database(pg_url: str) -> str:
    """The name of an empty database."""
    return pg_url.rsplit("/", 1)[1]


def write_times_its_own_way(url: str) -> None:
    """Make the database write times as a server in another country may do it."""
    engine = open_engine(url)
    for setting in ("TimeZone = 'Asia/Jakarta'", "DateStyle = 'German'"):
        with writing(engine) as connection:
            connection.execute(text(f"ALTER DATABASE {engine.url.database} SET {setting}"))
    engine.dispose()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("prepared", "setting"), [(0, None), pytest.param(100, "1", marks=pytest.mark.system)])
def test_a_large_export_is_made_through_a_pooler(
    tmp_path: Path,
    pg_server: servers.Postgres,
    open_pooler: OpenPooler,
    redis_url: str,
    prepared: int,
    setting: str | None,
) -> None:
    """In slices and volumes, by two workers, with fewer connections than clients: complete, verified, log intact."""
    control, platform = pg_server.create_database(), pg_server.create_database()
    write_times_its_own_way(pg_server.url(platform))
    pooler = open_pooler(connections=CONNECTIONS, prepared=prepared)
    settings = {
        "DATABASE_URL": pooler.url(control),
        "SOURCE_URL": pooler.url(platform),
        "REDIS_URL": redis_url,
        "STORAGE_URL": (tmp_path / "archives").as_uri(),
        "RECORDINGS_URL": (tmp_path / "recordings").as_uri(),
        "VOLUME_BYTES": str(1 << 20),
        "SLICE_BYTES": str(1 << 18),
        "ALLOW_FETCH": "1",
    }
    settings |= {} if setting is None else {"PREPARED_STATEMENTS": setting}
    plan = SeedPlan(tenants=1, users=3, contacts=80, calls=160, chats=80, recordings=2)
    report = seed(settings["SOURCE_URL"], open_storage(settings["RECORDINGS_URL"]), plan)
    with deployment(tmp_path / "deployment", workers=2, **settings) as running:
        running.run("keys", "new", "--purpose", "audit")
        asked = running.json("request", "--profile", "switch", "--subject", f"tenant:{report.examples.tenant}")["id"]
        engine = open_engine(settings["DATABASE_URL"])

        def has_ended() -> bool:
            with reading(engine) as connection:
                return exports.get(connection, asked)["ended_at"] is not None

        until(has_ended, "the export ends", seconds=200)
        view = running.json("show", asked)
        volumes = [Path(p) for p in running.json("fetch", asked, "--to", str(tmp_path / "fetched"))["archives"]]
        jwks = tmp_path / "jwks.json"
        jwks.write_text(running.run("keys", "jwks").stdout)
        verified = running.json("verify", *map(str, volumes), "--jwks", str(jwks))
        log = running.json("audit", "verify")
        found = {one["check"]: one for one in running.json("doctor", expect=(0, 1))["checks"]}
        with reading(engine) as connection:
            parts = connection.execute(select(models.slice.c.number).where(models.slice.c.export_id == asked)).all()
        engine.dispose()
        said = running.log.read_text()
    assert (view["state"], view["complete"]) == ("ready", True)
    assert (verified["ok"], verified["volumes"]) == (True, len(volumes))
    assert len(volumes) == len(export_json(volumes)["volumes"]) >= 3
    assert len(parts) >= 3
    assert log["ok"]
    assert [name for name in ("poolers", "sources", "workers", "clock") if not found[name]["ok"]] == []
    assert found["workers"]["result"] == "ok: 2"
    # No attempt was lost on the way.
    assert not [line for line in said.splitlines() if '"volume.failed"' in line]
    assert "PreparedStatement" not in said


def test_migrations_run_once_through_a_pooler(pooler: servers.Pooler, database: str) -> None:
    """Machines that upgrade at the same time wait for each other: the lock is that of the transaction."""

    def upgrade(_number: int) -> tuple[str | None, str]:
        engine = open_engine(pooler.url(database))
        try:
            return migrations.upgrade(engine)
        finally:
            engine.dispose()

    done = in_threads(4, upgrade)
    assert sorted(done, key=str) == sorted([(None, migrations.head()), *[(migrations.head(),) * 2] * 3], key=str)


def test_the_log_is_one_chain_through_a_pooler(pooler: servers.Pooler, database: str) -> None:
    """Events of several processes are appended one after the other, as without a pooler."""
    url = pooler.url(database)
    first = open_engine(url)
    migrations.upgrade(first)

    def append(number: int) -> None:
        engine = open_engine(url)
        for _ in range(20):
            with writing(engine) as connection:
                audit.record(connection, "request.accepted", actor=f"operator:{number}")
            audit.chain_all(engine)
        engine.dispose()

    in_threads(6, append)
    with reading(first) as connection:
        verdict = audit.verify(connection)
    first.dispose()
    assert (verdict.ok, verdict.events) == (True, 120)


def session_state(connection: Connection) -> tuple[str, ...]:
    """What a transaction may do and how it writes times."""
    names = ("transaction_read_only", "TimeZone", "DateStyle")
    return tuple(connection.execute(select(*(text(f"current_setting('{name}')") for name in names))).one())


@pytest.mark.parametrize("single", [True, False])
def test_a_source_is_read_in_the_same_form_through_a_pooler(
    pooler: servers.Pooler, pg_url: str, database: str, *, single: bool
) -> None:
    """READ ONLY, UTC and ISO 8601 hold in every transaction, and in no transaction of another client."""
    write_times_its_own_way(pg_url)
    source = PlatformSources(load_settings(source_url=pooler.url(database))).database
    other = open_engine(pooler.url(database))
    for _ in range(10):
        with faults.reading(source, "test", single=single) as connection:
            assert session_state(connection) == ("on", "UTC", "ISO, DMY")
        with writing(other) as connection:
            assert session_state(connection) == ("off", "Asia/Jakarta", "German, DMY")
    for engine in (source, other):
        engine.dispose()


@pytest.mark.parametrize("single", [True, False])
def test_a_source_is_never_written(pooler: servers.Pooler, database: str, *, single: bool) -> None:
    """The database refuses, even to a role that may write: also the only statement of a message."""
    source = PlatformSources(load_settings(source_url=pooler.url(database))).database
    with (
        pytest.raises(SourceRefused, match="25006"),
        faults.reading(source, "test", single=single) as connection,
    ):
        connection.execute(text("CREATE TABLE written (id int)"))
    with pytest.raises(Exception, match="read-only"), source.begin() as connection:
        connection.execute(text("CREATE TABLE written (id int)"))
    source.dispose()


def prepared_names(engine: Engine) -> list[str]:
    """The prepared statements that this process asks for, after enough executions of one statement."""
    query = text(f"SELECT count(*) AS c_{secrets.token_hex(4)}, :x")
    for _ in range(10):
        with reading(engine) as connection:
            connection.execute(query, {"x": "1"})
    with engine.connect() as connection:
        return [name.decode() for name in connection.connection.dbapi_connection._prepared._names.values()]  # type: ignore[union-attr]  # the driver's own


@pytest.mark.parametrize(
    ("through", "prepared", "expected"),
    [(False, None, 1), (False, False, 0), (True, None, 0), (True, False, 0), (True, True, 1)],
)
def test_statements_are_prepared_where_that_works(
    pg_url: str, open_pooler: OpenPooler, *, through: bool, prepared: bool | None, expected: int
) -> None:
    """By default not through a pooler, which may not support it; the setting decides if there is one."""
    url = open_pooler(prepared=50).url(pg_url.rsplit("/", 1)[1]) if through else pg_url
    engine = open_engine(url, prepared=prepared)
    assert len(prepared_names(engine)) == expected
    engine.dispose()


def test_a_wrong_setting_is_refused_by_the_pooler(pooler: servers.Pooler, database: str) -> None:
    """Prepared statements that are switched on against a PgBouncer without them: two clients use the same name."""
    engines = [open_engine(pooler.url(database), prepared=True) for _ in range(2)]
    prepared_names(engines[0])
    with pytest.raises(ProgrammingError, match="already exists"):
        prepared_names(engines[1])
    for engine in engines:
        engine.dispose()


def said_of_pooler(folder: Path, url: str, **settings: object) -> Seen:
    """What the doctor says of a pooler before the control database; the source is SQLite."""
    return poolers(Context(lambda: load_settings(dir=folder, database_url=url, **settings), json=False))


def test_the_doctor_names_what_stands_before_a_database(
    tmp_path: Path, pg_url: str, database: str, open_pooler: OpenPooler
) -> None:
    """Nothing, a pooler of sessions, or one of transactions; with it whether statements are prepared."""
    assert (
        said_of_pooler(tmp_path, f"sqlite:///{tmp_path}/control.sqlite").result
        == "not needed: neither the control database nor the reference platform is on PostgreSQL"
    )
    assert said_of_pooler(tmp_path, pg_url).result == "ok: no pooler"
    sessions = open_pooler(mode="session").url(database)
    assert said_of_pooler(tmp_path, sessions).result == "ok: a pooler of sessions before PORTABILITY_DATABASE_URL"
    for prepared, setting, said in ((0, None, "without"), (0, False, "without"), (50, True, "with")):
        url = open_pooler(prepared=prepared).url(database)
        seen = said_of_pooler(tmp_path, url, prepared_statements=setting)
        expected = f"ok: a pooler of transactions before PORTABILITY_DATABASE_URL, {said} prepared statements"
        assert (seen.result, seen.hint) == (expected, "")


def test_the_doctor_compares_a_pooler_in_use(tmp_path: Path, pooler: servers.Pooler, database: str) -> None:
    """Also where other clients take connections in between."""
    stop = threading.Event()

    def work(_number: int) -> None:
        with psycopg.connect(pooler.url(database).replace("+psycopg", ""), prepare_threshold=None) as client:
            while not stop.is_set():
                client.execute("SELECT 1")
                client.commit()

    with ThreadPoolExecutor(6) as others:
        running = [others.submit(work, number) for number in range(6)]
        try:
            results = [said_of_pooler(tmp_path, pooler.url(database)).result for _ in range(5)]
        finally:
            stop.set()
        assert [one.result() for one in running] == [None] * 6
    assert set(results) == {"ok: a pooler of transactions before PORTABILITY_DATABASE_URL, without prepared statements"}


def test_the_doctor_names_what_does_not_fit(
    tmp_path: Path, pg_url: str, database: str, open_pooler: OpenPooler
) -> None:
    """Each fault is one line, with the setting of the pooler or of this software that has to be changed."""
    plain = open_pooler().url(database)
    with pytest.raises(BadSetting, match="before PORTABILITY_DATABASE_URL does not support") as unprepared:
        said_of_pooler(tmp_path, plain, prepared_statements=True)
    with pytest.raises(BadSetting, match="before PORTABILITY_SOURCE_URL does not support"):
        said_of_pooler(tmp_path, pg_url, source_url=plain, prepared_statements=True)
    with pytest.raises(BadSetting, match="another connection") as by_statement:
        said_of_pooler(tmp_path, open_pooler(mode="statement").url(database))
    with pytest.raises(BadSetting, match="refuses the `options`") as refused:
        said_of_pooler(tmp_path, f"{plain}?options=-c%20statement_timeout%3D60s")
    ignoring = open_pooler(ignore_startup_parameters="options").url(database)
    ignored = said_of_pooler(tmp_path, f"{ignoring}?options=-c%20statement_timeout%3D60s")
    hints = [unprepared.value.hint, by_statement.value.hint, refused.value.hint, ignored.hint]
    expected = ["max_prepared_statements", "pool_mode = transaction", "ALTER ROLE", "ALTER ROLE"]
    assert all(part in (hint or "") for part, hint in zip(expected, hints, strict=True))


def test_the_doctor_does_not_blame_the_pooler_of_a_database_that_is_down(tmp_path: Path) -> None:
    """Its own check reports it."""
    assert "not compared" in said_of_pooler(tmp_path, "postgresql+psycopg://postgres@127.0.0.1:1/none").result

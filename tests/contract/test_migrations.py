"""Migrations of the control database: they make what the models say, lead on from every release, and only grow."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from factories import MadeUpExporter, World, dataset, things, world
from repository import ROOT
from simultaneous import in_processes, in_threads
from sqlalchemy import Engine, MetaData, select, text

from portability.database import migrations, models
from portability.database.engine import open_engine, reading, writing
from portability.errors import DatabaseUnavailable
from portability.trust import audit

# Indexes of expressions exist on PostgreSQL only, where they are compared.
pytestmark = [
    pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index"),
    pytest.mark.usefixtures("migrating"),
]
VERSIONS = Path(migrations.__file__).parent / "versions"
RELEASED = {
    "0001_first_schema.py": "fdb669b2a0df0d0b0d9c4267e5444e85cb35a74e263130c05c0fb7cdd3ad2068",
}
"""SHA-256 of each migration that a release has run somewhere: a release adds its own, and no line changes."""
EXPORTS_OF_0_1_0 = {"user:usr_1": "ready", "user:usr_2": "running", "user:usr_3": "queued"}

UPGRADE = """
from portability.database import migrations
from portability.database.engine import open_engine
engine = open_engine(sys.argv[1])
begin()
print(*migrations.upgrade(engine))
"""


@pytest.fixture
def control_url(empty_url: str) -> str:
    """Not migrated: that is what these tests are about."""
    return empty_url


@pytest.fixture
def engine(control_engine: Engine) -> Engine:
    migrations.upgrade(control_engine)
    return control_engine


def test_migrations_make_what_the_models_say(engine: Engine) -> None:
    """Alembic finds no difference in tables, columns, types, keys and indexes."""
    assert _differences(engine) == []


def test_an_upgrade_is_safe_to_run_twice(control_engine: Engine) -> None:
    """The second run finds nothing to do and changes no row."""
    assert migrations.upgrade(control_engine) == (None, migrations.head())
    with reading(control_engine) as connection:
        salt = connection.scalar(select(models.deployment.c.pairwise_salt))
    assert migrations.upgrade(control_engine) == (migrations.head(), migrations.head())
    with reading(control_engine) as connection:
        assert connection.scalars(select(models.deployment.c.pairwise_salt)).all() == [salt]


def test_an_upgrade_is_safe_from_several_threads(control_url: str) -> None:
    """One does it, the others wait and find it done."""

    def upgrade(_number: int) -> tuple[str | None, str]:
        engine = open_engine(control_url)
        try:
            return migrations.upgrade(engine)
        finally:
            engine.dispose()

    befores = [before for before, _after in in_threads(2, upgrade)]
    assert sorted(befores, key=str) == [migrations.head(), None]


def test_an_upgrade_is_safe_from_several_processes(control_url: str) -> None:
    """Several machines may release at once."""
    head = migrations.head()
    assert sorted(in_processes(3, UPGRADE, control_url)) == [f"{head} {head}"] * 2 + [f"None {head}"]


def test_a_database_that_is_not_migrated_is_refused(control_engine: Engine) -> None:
    """The error of a worker that starts on an empty or old database says what to run."""
    with pytest.raises(DatabaseUnavailable, match="revision none") as raised:
        migrations.check_current(control_engine)
    assert "db upgrade" in raised.value.hint
    migrations.upgrade(control_engine)
    migrations.check_current(control_engine)


@pytest.mark.parametrize(
    ("revision", "message", "hint"),
    [
        ("0007", "older than version 0.1.0", "use an empty database"),
        ("0001", "older than version 0.1.0", "use an empty database"),
        ("9999_later", "this version does not know", "run that version"),
    ],
)
def test_a_database_that_no_migration_begins_at_is_refused(
    control_engine: Engine, revision: str, message: str, hint: str
) -> None:
    """A database from before 0.1.0, or of a newer version, is named with what to do, and nothing in it changes."""
    migrations.upgrade(control_engine)
    with writing(control_engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    for refused in (migrations.upgrade, migrations.check_current):
        with pytest.raises(DatabaseUnavailable, match=message) as raised:
            refused(control_engine)
        assert revision in str(raised.value)
        assert hint in raised.value.hint
    assert not migrations.is_behind(control_engine)
    with reading(control_engine) as connection:
        assert connection.scalars(text("SELECT version_num FROM alembic_version")).all() == [revision]


@pytest.fixture
def released(control_url: str) -> Engine:
    """The database of version 0.1.0, as that release left it: no code of the migrations has made it."""
    engine = open_engine(control_url)
    dump = (ROOT / "tests" / "data" / f"schema-0.1.0.{engine.dialect.name}.sql").read_text()
    if engine.dialect.name == "sqlite":
        connection = sqlite3.connect(control_url.removeprefix("sqlite:///"))
        connection.executescript(dump)
        connection.close()
    else:
        with psycopg.connect(control_url.replace("+psycopg", "")) as session:
            session.execute(dump.encode())
    return engine


def test_a_database_of_0_1_0_is_upgraded(released: Engine) -> None:
    """Its schema becomes that of the models, and its rows stay: exports, volumes, and a complete audit log."""
    before = _counts(released)
    migrations.upgrade(released)
    assert _differences(released) == []
    after = _counts(released)
    assert {name: after[name] for name in before} == before
    with reading(released) as connection:
        verdict = audit.verify(connection)
        export = models.export.c
        rows = connection.execute(select(export.subject_kind, export.subject_id, export.state)).all()
    assert (verdict.ok, verdict.events) == (True, before["audit_event"])
    assert {f"{kind}:{identifier}": state for kind, identifier, state in rows} == EXPORTS_OF_0_1_0


def test_exports_of_0_1_0_continue_after_an_upgrade(released: Engine, control_url: str, tmp_path: Path) -> None:
    """The export that was half-way ends with all its records, as the export does that no worker had begun."""
    exporter = MadeUpExporter(things(3000), batch_records=20, datasets=(dataset("first"), dataset("second")))
    made: World = world(tmp_path, {"made": exporter}, database_url=control_url, volume_bytes=65_536, piece_bytes=8000)
    with reading(released) as connection:
        identifiers = connection.scalars(select(models.export.c.id)).all()
        stored = connection.execute(select(models.volume.c.object_key, models.volume.c.bytes)).all()
    assert stored
    for key, size in stored:
        upload = made.place.storage.begin(key)
        upload.write(bytes(size))
        upload.complete()
    made.advance_all()
    for identifier in identifiers:
        view = made.view(identifier)
        assert (view["state"], view["complete"]) == ("ready", True)
        assert [line["records"] for line in view["datasets"]] == [3000, 3000]


def test_code_of_0_1_0_runs_on_the_newest_schema(released: Engine) -> None:
    """Every table and column of 0.1.0 is there, and what is new in its tables may be left out by an INSERT."""
    older, newer = MetaData(), MetaData()
    older.reflect(released)
    migrations.upgrade(released)
    newer.reflect(released)
    for table in older.sorted_tables:
        columns = newer.tables[table.name].columns
        assert set(table.columns.keys()) <= set(columns.keys()), table.name
        added = [column for column in columns if column.name not in table.columns]
        assert [c.name for c in added if not (c.nullable or c.server_default)] == [], table.name
        assert [c.name for c in table.columns if c.nullable and not columns[c.name].nullable] == [], table.name


def test_a_released_migration_never_changes() -> None:
    """Its file is what the release ran: a deployment that has run it never runs it again."""
    files = {path.name: path.read_bytes() for path in VERSIONS.glob("*.py")}
    assert {name: hashlib.sha256(files.get(name, b"")).hexdigest() for name in RELEASED} == RELEASED


def test_migrations_are_one_line() -> None:
    """Each migration follows its predecessor, those of releases come first, its revision is the name of its file."""
    directory = ScriptDirectory(str(VERSIONS.parent))
    scripts = [*directory.walk_revisions()][::-1]
    names = [Path(script.path).name for script in scripts]
    assert [f"{script.revision}.py" for script in scripts] == names == sorted(names)
    assert names[: len(RELEASED)] == [*RELEASED]
    assert [script.down_revision for script in scripts] == [None, *(script.revision for script in scripts[:-1])]


def _counts(engine: Engine) -> dict[str, int]:
    tables = MetaData()
    tables.reflect(engine)
    with reading(engine) as connection:
        return {table.name: len(connection.execute(select(table)).all()) for table in tables.sorted_tables}


def _differences(engine: Engine) -> list[tuple[Any, ...]]:
    """What Alembic finds between the database and the models, comments aside: they are for readers of the code."""
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        found = compare_metadata(context, models.metadata)
    flat = [part for difference in found for part in (difference if isinstance(difference, list) else [difference])]
    return [difference for difference in flat if difference[0] != "modify_comment"]

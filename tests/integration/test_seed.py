from __future__ import annotations

import hashlib
import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from faults import FaultyStorage
from sqlalchemy import Table, delete, func, select

from cli.seed import seed as command
from demo import hostile
from demo.load import canary
from demo.plan import SeedPlan
from demo.seed import seed
from exporters.reference import schema
from portability.api.errors import StorageFull
from portability.api.storages import Storage
from portability.database.engine import open_engine
from portability.errors import BadSource
from portability.storage import open_storage

PLAN = SeedPlan(users=24, contacts=50, calls=60, chats=60, recordings=4, recording_seconds=(1.5, 3), events=150, seed=7)
TABLES = [schema.metadata.tables[name] for name in sorted(schema.metadata.tables)]
CHILDREN = {
    "call_id": schema.calls,
    "conversation_id": schema.conversations,
    "contact_id": schema.contacts,
    "company_id": schema.companies,
    "agent_id": schema.agents,
}

Rows = list[dict[str, Any]]


@pytest.fixture(params=["folder", "s3"])
def seeded_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    url: str = (tmp_path / "files").as_uri() if request.param == "folder" else request.getfixturevalue("s3_url")
    return open_storage(url)


@pytest.fixture
def files(tmp_path: Path) -> Storage:
    return open_storage((tmp_path / "files").as_uri())


def rows_of(url: str, table: Table) -> Rows:
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(table).order_by(table.c.id)).mappings()]
    finally:
        engine.dispose()


def everything(url: str) -> dict[str, Rows]:
    return {table.name: rows_of(url, table) for table in TABLES}


def digests(files: Storage) -> dict[str, str]:
    return {stored.key: hashlib.sha256(b"".join(files.read(stored.key))).hexdigest() for stored in files.list()}


def test_both_databases_hold_the_same(tmp_path: Path, pg_url: str) -> None:
    """One plan gives the same rows to the microsecond and the last digit, and the same bytes of sound."""
    sqlite_url, one, two = f"sqlite:///{tmp_path / 'p.sqlite'}", tmp_path / "one", tmp_path / "two"
    seed(sqlite_url, open_storage(one.as_uri()), PLAN)
    seed(pg_url, open_storage(two.as_uri()), PLAN)
    assert everything(sqlite_url) == everything(pg_url)
    assert digests(open_storage(one.as_uri())) == digests(open_storage(two.as_uri())) != {}


def test_a_second_run_changes_nothing(empty_url: str, files: Storage) -> None:
    """Rows and files that are there are left as they are, and the report says so."""
    first = seed(empty_url, files, PLAN)
    before = everything(empty_url), list(files.list())
    second = seed(empty_url, files, PLAN)
    assert (everything(empty_url), list(files.list())) == before
    assert first.tables == second.tables == {name: len(rows) for name, rows in before[0].items()}
    assert (first.added, second.added) == (sum(first.tables.values()), 0)


def test_rows_that_are_missing_come_beside_those_that_are_there(empty_url: str) -> None:
    """COPY refuses a whole chunk because of one existing row; its other rows are still written."""
    seed(empty_url, None, PLAN)
    before = everything(empty_url)
    lost = [row["id"] for row in before["messages"][1::2]]
    engine = open_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(delete(schema.messages).where(schema.messages.c.id.in_(lost)))
    engine.dispose()
    assert seed(empty_url, None, PLAN).added == len(lost) > 0
    assert everything(empty_url) == before


def test_two_plans_stand_side_by_side(tmp_path: Path) -> None:
    """Another plan adds its own rows and does not change those of the first plan."""
    url = f"sqlite:///{tmp_path / 'p.sqlite'}"
    first = seed(url, None, PLAN)
    second = seed(url, None, SeedPlan(seed=8))
    together = {name: first.tables.get(name, 0) + rows for name, rows in second.tables.items()}
    assert together == {name: len(rows) for name, rows in everything(url).items() if rows}


def test_the_report_counts_what_is_there(empty_url: str, files: Storage) -> None:
    """Tables, recordings and bytes are those of the database and the store; progress ends at its total."""
    progress_reports: list[tuple[int, int]] = []
    report = seed(empty_url, files, PLAN, progress=lambda done, total: progress_reports.append((done, total)))
    assert report.tables == {name: len(rows) for name, rows in everything(empty_url).items()}
    assert report.recordings == PLAN.recordings
    assert report.bytes == sum(stored.bytes for stored in files.list("recordings/"))
    assert progress_reports == sorted(progress_reports)
    assert progress_reports[-1][0] == progress_reports[-1][1]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    folder = tmp_path_factory.mktemp("seeded")
    url = f"sqlite:///{folder / 'p.sqlite'}"
    seed(url, open_storage((folder / "files").as_uri()), PLAN)
    return everything(url)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_no_column_is_always_null(seeded: dict[str, Rows], table: Table) -> None:
    """An empty column would prove nothing about its export."""
    filled = {name for row in seeded[table.name] for name, value in row.items() if value is not None}
    assert filled == set(table.columns.keys())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_what_must_never_leave_is_a_canary(seeded: dict[str, Rows], table: Table) -> None:
    """Each value of each forbidden column can be recognised anywhere; no other column has one."""
    forbidden = [column.name for column in table.columns if schema.NEVER in column.info]
    found = {name: sorted(row[name] for row in seeded[table.name]) for name in forbidden}
    for name, values in found.items():
        expected = [canary(table.name, name, number) for number in range(1, len(values) + 1)]
        assert all(any(mark in value for value in values) for mark in expected)
    allowed = [str(value) for row in seeded[table.name] for name, value in row.items() if name not in forbidden]
    assert not any("CANARY" in value for value in allowed)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_links_stay_within_the_tenant(seeded: dict[str, Rows], table: Table) -> None:
    """What a row points to is there, and belongs to the same tenant."""
    for name, target in CHILDREN.items():
        if name not in table.c or "tenant_id" not in table.c:
            continue
        known = {(row["id"], row["tenant_id"]) for row in seeded[target.name]}
        pointers = {(row[name], row["tenant_id"]) for row in seeded[table.name] if row[name] is not None}
        assert pointers <= known


def test_the_examples_have_something_everywhere(seeded: dict[str, Rows], tmp_path: Path) -> None:
    """People who try an export of an example see every table that fits it."""
    report = seed(f"sqlite:///{tmp_path / 'p.sqlite'}", None, PLAN)
    about = {
        "user_id": report.examples.user,
        "contact_id": report.examples.contact,
        "tenant_id": report.examples.tenant,
    }
    for table in TABLES:
        rows = seeded[table.name]
        for name, value in about.items():
            if name in table.c:
                assert any(row[name] == value for row in rows), (table.name, name)
    calls = {row["id"] for row in seeded["calls"] if row["contact_id"] == report.examples.contact}
    assert any(row["call_id"] in calls for row in seeded["recordings"])


def test_hard_cases_are_there(seeded: dict[str, Rows]) -> None:
    """Unmatched calls with a number, empty subjects beside NULL, digits beyond a float, a value of 1 MiB."""
    assert any(row["contact_id"] is None and row["caller_number"] for row in seeded["calls"])
    assert any(row["caller_number"] is None for row in seeded["calls"])
    assert {"", None} <= {row["subject"] for row in seeded["conversations"]}
    texts = [row["text"] for row in seeded["messages"]]
    assert {"", None, *hostile.TEXTS} <= set(texts)
    assert max(len((text or "").encode()) for text in texts) == hostile.HUGE_BYTES
    assert any(len(row["annual_revenue"].as_tuple().digits) > 17 for row in seeded["companies"])
    assert any(row["created_at"].microsecond for row in seeded["calls"])
    assert any(row["user_id"] is None and row["email"] for row in seeded["inquiries"])
    assert any((row["custom"] or {}).get("ledger", 0) > 2**53 for row in seeded["contacts"])


def test_json_columns_have_null_and_not_json_null(tmp_path: Path, pg_url: str) -> None:
    """An absent JSON value is SQL's NULL on both databases."""
    for url in (f"sqlite:///{tmp_path / 'p.sqlite'}", pg_url):
        seed(url, None, PLAN)
        engine = open_engine(url)
        with engine.connect() as connection:
            absent = connection.execute(select(func.count()).where(schema.contacts.c.tags.is_(None))).scalar_one()
            json_null = connection.exec_driver_sql("select count(*) from contacts where cast(tags as text) = 'null'")
            assert (absent > 0, json_null.scalar_one()) == (True, 0)
        engine.dispose()


def test_rows_describe_their_files(seeded_storage: Storage, tmp_path: Path) -> None:
    """Bytes and SHA-256 of every row are those of its file, and each recording is a WAV file of its length."""
    url = f"sqlite:///{tmp_path / 'p.sqlite'}"
    seed(url, seeded_storage, PLAN)
    recordings, attachments = rows_of(url, schema.recordings), rows_of(url, schema.attachments)
    assert {row["storage_key"] for row in (*recordings, *attachments)} == {
        stored.key for stored in seeded_storage.list()
    }
    for row in (*recordings, *attachments):
        body = b"".join(seeded_storage.read(row["storage_key"]))
        assert (row["bytes"], row["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    for row in recordings:
        with wave.open(io.BytesIO(b"".join(seeded_storage.read(row["storage_key"])))) as sound:
            assert sound.getnframes() / sound.getframerate() == row["seconds"]
            assert 1.5 <= row["seconds"] <= 3


def test_recordings_of_a_given_size(tmp_path: Path, files: Storage) -> None:
    """One length means that every recording has exactly this length: 44 bytes of header and 2 bytes a sample."""
    plan = SeedPlan(calls=5, recordings=5, recording_seconds=(2.5, 2.5), recording_rate_hz=16_000)
    report = seed(f"sqlite:///{tmp_path / 'p.sqlite'}", files, plan)
    assert {stored.bytes for stored in files.list("recordings/")} == {44 + 80_000}
    assert (report.recordings, report.bytes) == (5, 5 * 80_044)


def test_without_a_store_there_are_no_files_and_no_rows_about_them(tmp_path: Path) -> None:
    """A row never refers to a file that was not written; a later run with a store adds both."""
    url = f"sqlite:///{tmp_path / 'p.sqlite'}"
    report = seed(url, None, PLAN)
    assert (report.recordings, report.bytes) == (0, 0)
    assert rows_of(url, schema.recordings) == rows_of(url, schema.attachments) == []
    assert seed(url, open_storage((tmp_path / "files").as_uri()), PLAN).recordings == PLAN.recordings


def test_a_run_that_broke_off_is_finished_by_the_next(tmp_path: Path, files: Storage) -> None:
    """Nothing is lost or doubled, and no open upload stays behind."""
    url, other = f"sqlite:///{tmp_path / 'p.sqlite'}", f"sqlite:///{tmp_path / 'other.sqlite'}"
    with pytest.raises(StorageFull):
        seed(url, FaultyStorage(files, fail_at_write=3, error=StorageFull), PLAN)
    assert list(files.uploads()) == []
    seed(url, files, PLAN)
    seed(other, open_storage((tmp_path / "others").as_uri()), PLAN)
    assert everything(url) == everything(other)


def test_a_database_that_is_not_there_is_reported_without_its_password(files: Storage) -> None:
    """The error names the fault and the setting, and repeats nothing of the URL."""
    with pytest.raises(BadSource) as raised:
        seed("postgresql+psycopg://somebody:secret-word@127.0.0.1:1/none", files, PLAN)
    assert "secret-word" not in f"{raised.value} {raised.value.hint}"


def test_a_file_that_is_no_database_is_reported(tmp_path: Path, files: Storage) -> None:
    """It is left as it is."""
    path = tmp_path / "p.sqlite"
    path.write_bytes(b"this is not a database, and long enough to be examined" * 100)
    before = path.read_bytes()
    with pytest.raises(BadSource):
        seed(f"sqlite:///{path}", files, PLAN)
    assert path.read_bytes() == before


class TestCommand:
    @pytest.fixture(autouse=True)
    def _keeps_environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
        monkeypatch.setenv("PORTABILITY_DIR", str(tmp_path / "unused"))
        yield
        assert not (tmp_path / "unused").exists()

    def test_machines_get_json(self, tmp_path: Path) -> None:
        """The document has the promised fields, and the folder holds database and files."""
        small = ["--calls", "3", "--chats", "3", "--recordings", "2", "--recording-seconds", "1"]
        ran = CliRunner().invoke(command, ["--dir", str(tmp_path / "d"), "--json", *small])
        document = json.loads(ran.stdout)
        assert ran.exit_code == 0
        assert (document["recordings"], document["bytes"]) == (2, 2 * 16_044)
        assert document["tables"]["calls"] == 3
        assert document["examples"].keys() == {"user", "contact", "contact_tenant", "tenant"}
        assert len(rows_of(f"sqlite:///{tmp_path / 'd' / 'platform.sqlite'}", schema.calls)) == 3

    def test_people_get_a_table_and_what_to_ask_for(self, tmp_path: Path) -> None:
        """Ids can be copied into the next command."""
        ran = CliRunner().invoke(command, ["--dir", str(tmp_path / "d"), "--no-files", "--events", "0"])
        assert ran.exit_code == 0
        assert "--subject user:usr_" in ran.stdout
        assert "organisations" in ran.stdout
        assert not (tmp_path / "d" / "recordings").exists()

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            (["--users", "0"], "bad_input"),
            (["--recording-seconds", "long"], "bad_input"),
            (["--source-url", "mysql://u:secret-word@h/d"], "bad_setting"),
            (["--recordings-url", "ftp://h/d"], "bad_setting"),
        ],
    )
    def test_bad_input_ends_in_one_line(self, tmp_path: Path, wrong: list[str], code: str) -> None:
        """Exit code 2, a code, and no secret."""
        ran = CliRunner().invoke(command, ["--dir", str(tmp_path / "d"), *wrong])
        assert ran.exit_code == 2
        assert f"[{code}]" in ran.stderr
        assert ran.stderr.count("\n") == 1
        assert "secret-word" not in ran.output

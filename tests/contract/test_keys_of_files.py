"""The key of a row's file in a database: types of its column, and what of it reaches the archive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from archives import export_json, members
from factories import world
from source_accounts import ROWS, owner_and_reader
from sqlalchemy import create_engine, text

from exporters.maps.reading import MapText
from exporters.sql.mapped.databases import SectionSources, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter, MappedSection
from exporters.sql.mapped.kind import kind
from portability.api import BLOCK_BYTES, Selection, SubjectKind
from portability.api.errors import SourceRefused
from portability.storage import open_storage
from portability.storage.source_files import StorageFiles
from portability.testing import SampleSources, sample_subject
from portability.testing.source_keys import SOURCE_KEYS

MAP = ROWS.replace("fields.id", 'file = { key = "stored" }\nfields.id')
UUID = "0b8f4c0e-6f1c-4d7e-9f56-0a4a3f6c1b2d"
STRANGE = (
    "s3://bucket/+49301234567.wav",
    "https://files.example.test/+49301234567.wav?sig=1",
    "file:///srv/recordings/+49301234567.wav",
    "/srv/recordings/+49301234567.wav",
    "recordings/+49301234567.wav",
    "calls\\+49301234567.wav",
    "../+49301234567.wav",
    "+49301234567",
    "+49301234567.wav/",
    "",
    None,
)
"""Keys that are not the path of a file below the folder."""


@pytest.fixture
def with_folder(tmp_path: Path) -> Iterator[Callable[[str], MappedExporter]]:
    """Opens the database at an address, with the files of a folder."""
    with ExitStack() as engines:

        def open_source(url: str) -> MappedExporter:
            backend, address = kind_of(url, "url")
            engine = open_database(backend, address, 60)
            engines.callback(engine.dispose)
            files = StorageFiles(open_storage((tmp_path / "recordings").as_uri()))
            sources = SectionSources(engine, SampleSources(engine, files), files)
            return MappedExporter(MappedSection("shop", kind.parse(MapText("shop.toml", MAP)), backend, sources))

        yield open_source


def make_orders(owner: str, column_type: str, keys: dict[int, object]) -> None:
    """Make the table of the map, with these keys by the ids of their rows."""
    engine = create_engine(owner)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"create table orders (id integer primary key, who varchar(40), stored {column_type})"
        )
        rows = [{"id": number, "key": key} for number, key in keys.items()]
        connection.execute(text("insert into orders values (:id, 'usr_1', :key)"), rows)
    engine.dispose()


def store_beside(folder: Path, key: str, body: bytes) -> None:
    """Write a file as another program does."""
    path = folder / "recordings" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


@pytest.mark.parametrize(
    ("database", "column_type", "key"),
    [
        *((database, "varchar(80)", "Call 12 (Müller).wav") for database in ("postgresql", "mysql", "sqlite")),
        *((database, "char(30)", "+49 301.wav") for database in ("postgresql", "mysql", "sqlite")),
        *((database, "bigint", "4711") for database in ("postgresql", "mysql", "sqlite")),
        *((database, "uuid", UUID) for database in ("postgresql", "mysql", "sqlite")),
        ("mysql", "varchar(80) character set latin1", "Müller=1&2.wav"),
        ("sqlite", "", "0012"),
    ],
)
def test_a_key_may_have_any_type_that_writes_a_name(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    with_folder: Callable[[str], MappedExporter],
    database: str,
    column_type: str,
    key: str,
) -> None:
    """Texts, padded texts, numbers and UUIDs: a file that is there is not reported as missing."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    make_orders(owner, column_type, {1: int(key) if column_type == "bigint" else key})
    store_beside(tmp_path, key, b"sound")
    exporter = with_folder(reader)
    (batch,) = exporter.export(sample_subject(SubjectKind.USER, "usr_1"), exporter.datasets[0], Selection())
    assert batch.gaps == ()
    assert [(file.name, b"".join(file.open(0))) for file in batch.files] == [("1.bin", b"sound")]


@pytest.mark.parametrize(
    ("database", "column_type"), [("postgresql", "bytea"), ("mysql", "varbinary(80)"), ("sqlite", "blob")]
)
def test_a_key_in_bytes_is_refused_in_advance(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    with_folder: Callable[[str], MappedExporter],
    database: str,
    column_type: str,
) -> None:
    """Before, each file was reported as missing."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    make_orders(owner, column_type, {1: b"1.wav"})
    exporter = with_folder(reader)
    with pytest.raises(SourceRefused, match=r"'stored' of orders is \S+: it names no file"):
        list(exporter.export(sample_subject(SubjectKind.USER, "usr_1"), exporter.datasets[0], Selection()))


def test_no_key_reaches_the_archive_the_logs_or_the_database(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    with_folder: Callable[[str], MappedExporter],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Files are named by their records, with an extension from a list; what is missing is named by its record, too."""
    caplog.set_level(logging.DEBUG)
    owner, reader = owner_and_reader(request, "sqlite", tmp_path)
    keys = dict(enumerate([*SOURCE_KEYS, *STRANGE], start=1))
    make_orders(owner, "varchar(400)", dict(keys))
    for number, key in enumerate(SOURCE_KEYS, start=1):
        store_beside(tmp_path, key, b"RIFF    WAVE" + bytes([number]))
    made = world(tmp_path / "made", {"shop": with_folder(reader)})
    identifier = made.request("user:usr_1")
    made.advance_all()
    paths = made.fetch(identifier)

    assert made.verify(paths).ok
    found = {name: body for name, body in members(paths) if name.startswith("data/shop/orders/")}
    expected = {f"data/shop/orders/{number}.wav" for number in range(1, len(SOURCE_KEYS) + 1)}
    assert {found[name][-1] for name in expected} == set(range(1, len(SOURCE_KEYS) + 1))
    assert expected == found.keys()
    document = export_json(paths)
    reasons = {gap["what"]: gap["reason"] for gap in document["gaps"] if gap["exporter"] == "shop"}
    of_strange = [reasons[f"orders/{number}"] for number in range(len(SOURCE_KEYS) + 1, len(keys) + 1)]
    assert of_strange == [
        *(["source_refused"] * 4),
        *("missing", "missing", "source_refused", "missing", "source_refused", "missing", "missing"),
    ]
    stored = b"".join(path.read_bytes() for path in (tmp_path / "made").rglob("*") if path.is_file())
    told = caplog.text.encode() + b"".join(body for _name, body in members(paths)) + stored
    for key in ("49301234567", "Müller", "10:15:00.mp3", "日本", "50%25", "a=b&c", "gnp.exe"):
        assert key.encode() not in told, key


def change_at_block(folder: Path, change: Callable[[Path], object]) -> Callable[..., Iterator[bytes]]:
    """Read as `StorageFiles.read` does, and change the file once, when its first block has been read."""
    usual, left = StorageFiles.read, [change]

    def read(files: StorageFiles, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        for block in usual(files, key, offset, etag=etag):
            yield block
            if offset == 0 and len(block) == BLOCK_BYTES and left:
                left.pop()(folder / "recordings" / key)

    return read


def rename_over(path: Path) -> None:
    """Replace a file as careful programs do."""
    fresh = path.with_name("fresh")
    fresh.write_bytes(b"b" * (3 << 20))
    fresh.rename(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.write_bytes(b"b" * (3 << 20)), "changed"),
        (lambda path: path.write_bytes(b"b" * (1 << 20)), "changed"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "changed"),
        (rename_over, None),
        (lambda path: path.unlink(), None),
    ],
)
def test_a_file_that_is_replaced_while_it_is_read_says_so(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    with_folder: Callable[[str], MappedExporter],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    reason: str | None,
) -> None:
    """Written over: a gap `changed`, for a retry. Replaced by another file, or deleted: it is read to its end."""
    owner, reader = owner_and_reader(request, "sqlite", tmp_path)
    make_orders(owner, "varchar(400)", {1: "a b.wav"})
    store_beside(tmp_path, "a b.wav", b"a" * (3 << 20))
    monkeypatch.setattr(StorageFiles, "read", change_at_block(tmp_path, change))
    made = world(tmp_path / "made", {"shop": with_folder(reader)})
    identifier = made.request("user:usr_1")
    made.advance_all()
    paths = made.fetch(identifier)

    gaps = [(gap["what"], gap["reason"], gap["retryable"]) for gap in export_json(paths)["gaps"]]
    assert gaps == ([("orders/1.bin", reason, True)] if reason else [])
    (body,) = (body for name, body in members(paths) if name == "data/shop/orders/1.bin")
    assert body == b"a" * len(body)
    assert len(body) == (3 << 20) or reason is not None


def test_a_file_that_is_deleted_before_it_is_read_is_missing(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    with_folder: Callable[[str], MappedExporter],
) -> None:
    """It is not refused: no right is missing."""
    owner, reader = owner_and_reader(request, "sqlite", tmp_path)
    make_orders(owner, "varchar(400)", {1: "a b.wav", 2: "c d.wav"})
    for key in ("a b.wav", "c d.wav"):
        store_beside(tmp_path, key, b"sound")
    exporter = with_folder(reader)
    (batch,) = exporter.export(sample_subject(SubjectKind.USER, "usr_1"), exporter.datasets[0], Selection())
    (tmp_path / "recordings" / "c d.wav").unlink()
    with pytest.raises(SourceRefused) as fault:
        list(batch.files[1].open(0))
    assert fault.value.reason == "missing"
    assert list(batch.files[0].open(0)) == [b"sound"]

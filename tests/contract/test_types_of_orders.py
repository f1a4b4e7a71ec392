"""Columns of each type that can give the order of reading: each row comes once, or the map is refused at its check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from column_values import COLUMNS, COUNT, LITERALS, TYPES_OF, WORDS
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import create_engine

from exporters.sql import catalogue, pages, rows
from exporters.sql.proposal.remarks import obstacles
from portability.api import JSON, BadInput, Selection, SubjectKind
from portability.api.errors import SourceRefused
from portability.testing import sample_subject

REFUSED = [
    *(("postgresql", one) for one in ("real", '"char"', "letter", "pair", "pair[]", "hstore", "regtype", "chosen")),
    *(("mysql", one) for one in ("float", f"enum({WORDS})", "set('a', 'b', 'c')")),
    *(("mysql", f"{one} collate utf8mb4_nopad_bin") for one in ("char(9)",)),
    *(("mysql", f"varchar(9) collate {one}") for one in ("big5_chinese_ci", "latin7_general_cs", "cp1250_czech_cs")),
]
"""A number of single precision is compared as a double; `"char"`, and a word of a list, as a text, not as it is sorted.

Rows, `hstore` and names of types cannot be compared with their texts. Some collations of MariaDB sort otherwise than
they compare.
"""
MORE_TYPES = (
    "create extension if not exists hstore",
    'create domain letter as "char"',
    "create type pair as (one integer, other text)",
    "create domain chosen as listed",
)
PAGES = {
    ("postgresql", "smallint"): ["-32768", "-32767", "32767"],
    ("postgresql", "integer"): ["-2147483648", "-2147483647", "2147483647"],
    ("postgresql", "bigint"): ["-9223372036854775808", "-9223372036854775807", "9223372036854775807"],
    ("mysql", "varchar(9) character set cp932"): ["'a'", "x'81e0'", "x'8790'", "'~'", "'表'"],
    ("mysql", "varchar(9) character set sjis"): ["'a'", r"x'5c'", "'~'", "'表'"],
    ("mysql", "char(9) character set ascii"): ["'a'", "x'80'", "x'fe'", "'?'", "'?!'"],
    ("mysql", "varchar(9) character set swe7"): ["'a'", "'ö'", "'z'"],
    ("mysql", "varchar(9) character set armscii8"): ["'a'", "x'a4'", "')'", "x'ff'", "'-'", "'z'"],
    ("mysql", "varchar(9) collate utf8mb4_nopad_bin"): ["'a'", r"'a\t'", "'a '", "'a  '", "'ä'", "' '", "''"],
    ("sqlite", "datetime"): ["1", "1.5", "'2026-01-01'", "x'00'", "'ä'", "9e999"],
    ("sqlite", "text"): ["'a'", "cast(x'e4' as text)", "x'e4'", "cast(x'6100' as text)", "'z'", "'ä'"],
}
"""Values by database and type, each of which is the key of the last row of a page."""


def ordered_table(
    request: pytest.FixtureRequest, folder: Path, database: str, column: str, values: Sequence[str]
) -> str:
    """Make the table, and return its address for an account that can only read."""
    owner, reader = owner_and_reader(request, database, folder)
    made = create_engine(owner)
    with made.begin() as connection:
        for statement in (*TYPES_OF.get(database, ()), *(MORE_TYPES if database == "postgresql" else ())):
            connection.exec_driver_sql(statement)
        columns = f"id integer not null unique, who varchar(20), k {column}"
        connection.exec_driver_sql(f"create table orders ({columns}, primary key (k, id), unique (k))")
        for number, value in enumerate(values):
            row = f"{number}, 'usr_1', {value}"
            connection.exec_driver_sql(f"insert into orders values ({row})")  # noqa: S608  # of this test alone
    made.dispose()
    return reader


@pytest.mark.parametrize("order", ['order = ["k"]', 'order = ["k", "id"]'])
@pytest.mark.parametrize(("database", "column"), [(name, one) for name, columns in COLUMNS.items() for one in columns])
def test_each_row_comes_once(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, column: str, order: str
) -> None:
    """As a whole, resumed after the first batch, and cut into three: the same rows in the same order."""
    values = [LITERALS[COLUMNS[database][column]](number) for number in range(COUNT)]
    source = ordered_table(request, tmp_path, database, f"{column} not null", values)
    exporter, engine = mapped_source(source, ROWS + order)
    exporter.prepare()
    subject, dataset = sample_subject(SubjectKind.USER, "usr_1"), exporter.datasets[0]

    def numbers(selection: Selection, after: str | None = None) -> list[JSON]:
        batches = exporter.export(subject, dataset, selection, after=after)
        return [one["id"] for batch in batches for one in batch.records]

    first = next(iter(exporter.export(subject, dataset, Selection())))
    resumed = [*(one["id"] for one in first.records), *numbers(Selection(), first.cursor)]
    parts = exporter.slices(subject, dataset, Selection(), 3)
    cut = [number for part in parts for number in numbers(Selection(slice=part))]
    whole = numbers(Selection())
    engine.dispose()

    assert sorted(whole, key=str) == sorted(range(COUNT), key=str)
    assert (len(parts), len(first.records) < COUNT) == (3, True)
    assert resumed == cut == whole


@pytest.mark.parametrize("order", ['order = ["k"]', 'order = ["k", "id"]'])
@pytest.mark.parametrize(("database", "column"), PAGES)
def test_reading_continues_after_each_key(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    database: str,
    column: str,
    order: str,
) -> None:
    """As the database stores it: an archive may have the same text for two keys. Slices begin at each of them, too."""
    values = PAGES[database, column]
    monkeypatch.setattr(pages, "FIRST_ROWS", (1,) * (len(values) + 1))
    monkeypatch.setattr(pages, "BATCH_BYTES", 1)
    source = ordered_table(request, tmp_path, database, f"{column} not null", values)
    exporter, engine = mapped_source(source, ROWS + order)
    subject, dataset = sample_subject(SubjectKind.USER, "usr_1"), exporter.datasets[0]
    slices = exporter.slices(subject, dataset, Selection(), len(values))
    found: list[JSON] = []
    for piece in (None, *slices):
        batches = exporter.export(subject, dataset, Selection(slice=piece))
        found += [one["id"] for batch in islice(batches, 2 * len(values)) for one in batch.records]
    engine.dispose()
    assert (sorted(found, key=str), len(slices)) == (sorted([*range(len(values))] * 2, key=str), len(values))


@pytest.mark.parametrize("column", ["varchar(9) character set cp932", "varchar(9) character set sjis"])
def test_a_key_that_two_rows_have_in_an_archive_is_stored(
    request: pytest.FixtureRequest, tmp_path: Path, column: str
) -> None:
    """A record is not taken for deleted because another is read as the same text."""
    values = PAGES["mysql", column]
    source = ordered_table(request, tmp_path, "mysql", f"{column} not null", values)
    exporter, engine = mapped_source(source, f'{ROWS}fields.k = {{ text = "Key." }}\nkey = ["k"]\norder = ["id"]')
    subject, dataset = sample_subject(SubjectKind.USER, "usr_1"), exporter.datasets[0]
    (batch,) = exporter.export(subject, dataset, Selection())
    keys = [(one["k"],) for one in batch.records]
    assert exporter.existing(dataset, keys) == {*keys}
    (again,) = exporter.export(subject, dataset, Selection(keys=keys))
    engine.dispose()
    assert len(again.records) == len(values)


def test_a_key_by_which_mariadb_does_not_sort_is_refused(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Beside the same text without characters of code 0 at its end, it may come first or last."""
    column = "varchar(9) collate utf8mb4_nopad_bin not null"
    source = ordered_table(request, tmp_path, "mysql", column, ["'a'", r"'a\0'"])
    exporter, engine = mapped_source(source, f'{ROWS}order = ["k"]')
    batches = exporter.export(sample_subject(SubjectKind.USER, "usr_1"), exporter.datasets[0], Selection())
    with pytest.raises(SourceRefused, match="code 0, by which utf8mb4_nopad_bin does not sort"):
        list(batches)
    engine.dispose()


def test_an_export_that_does_not_go_on_ends(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the cause is: a page that begins with the key after which it should begin is refused."""
    monkeypatch.setattr(rows, "within", lambda *_: iter(()))
    source = ordered_table(request, tmp_path, "sqlite", "integer not null", [*map(str, range(COUNT))])
    exporter, engine = mapped_source(source, f'{ROWS}order = ["k"]')
    batches = exporter.export(sample_subject(SubjectKind.USER, "usr_1"), exporter.datasets[0], Selection())
    monkeypatch.setattr(pages, "FIRST_ROWS", (1,) * COUNT)
    with pytest.raises(SourceRefused, match="orders: the rows after a key begin with this key again"):
        list(islice(batches, COUNT))
    engine.dispose()


@pytest.mark.parametrize(("database", "column"), REFUSED, ids=lambda value: value.partition("(")[0])
def test_what_gives_no_order_is_refused(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, column: str
) -> None:
    """Rows would come twice or not at all, without a word: a check says so, and a proposal leaves it out."""
    source = ordered_table(request, tmp_path, database, f"{column} not null", [])
    exporter, engine = mapped_source(source, f'{ROWS}order = ["k"]')
    with pytest.raises(BadInput, match=r"'k' is [\w\" \[\]]+: its order is not that of its values as they are read"):
        exporter.prepare()
    with engine.connect() as connection:
        table = catalogue.read(connection).tables["orders"]
    assert ["gives no order" in one for one in obstacles(replace(table, key=("k",)))] == [True]
    engine.dispose()

"""Columns of each type that can be a key: a record is found by the key that an archive has of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from column_values import COLUMNS, LITERALS, TYPES_OF
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import Engine, create_engine

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Dataset, RecordKey, Selection, SubjectKind
from portability.api.times import rfc3339
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "usr_ann")
OUTBOX = """
[changes]
datasets = ["orders"]
[changes.outbox]
table = "outbox"
at = "at"
"""
WRITTEN = {
    "postgresql": ("k::text", "jsonb_build_array(who, k)::text"),
    "mysql": ("cast(k as char)", "json_array(who, k)"),
    "sqlite": ("cast(k as text)", "json_array(who, k)"),
}
"""How a trigger writes a key of one column into the outbox, and one of two, by database."""
FIELDS: Mapping[str, str] = {
    "integer": "integer",
    "positive": "integer",
    "decimal": "decimal",
    "double": "number",
    "time": "datetime",
    "date": "date",
}
"""Types of fields by the kind of values; the others are texts."""
NO_NUMBERS = frozenset({("postgresql", "numbered"), ("postgresql", "oid"), ("mysql", "bit(8)")})
"""Columns whose numbers a map exports as texts."""
CASES = [
    (database, column, kind)
    for database, columns in COLUMNS.items()
    for column, values in columns.items()
    if values not in {"bytea", "bytes"}
    for kind in dict.fromkeys((FIELDS.get(values, "string"), "string"))
    if kind == "string" or ((database, column) not in NO_NUMBERS and (database, kind) != ("sqlite", "decimal"))
]
STATED = [case for case in CASES if case[2] in {"string", "integer"}]
"""Those that entries can name."""
UNSURE = frozenset({"decimal", "double", "time", "date", "clock", "address", "interval", "bits", "place", "label"})
"""Values whose texts depend on the session that writes them, or whose types are not known."""
WHO = ("usr_ann", "usr_ann", "usr_ann", "usr_bob")


@dataclass(frozen=True, slots=True)
class KeyedSource:
    """Orders of two people whose key is a column of some type, and their outbox."""

    exporter: MappedExporter
    owner: Engine
    written: str
    """The expression with which a trigger writes a key into the outbox."""

    @property
    def dataset(self) -> Dataset:
        return self.exporter.datasets[0]

    def keys(self, who: str, selection: Selection | None = None) -> list[RecordKey]:
        """Return the keys of a person's records, as an archive has them."""
        subject = sample_subject(SubjectKind.USER, who)
        batches = list(self.exporter.export(subject, self.dataset, selection or Selection()))
        assert [gap for batch in batches for gap in batch.gaps] == []
        return [tuple(record[name] for name in self.dataset.key) for batch in batches for record in batch.records]

    def run(self, *statements: str) -> None:
        with self.owner.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


EVERYTHING = None
"""The answer of a source that cannot tell its changes: everything is compared."""
MakeSource: TypeAlias = Callable[[str, str, str], KeyedSource]


def earlier() -> dict[str, str | None]:
    """The position of a minute ago: every entry of the test is later."""
    return {"at": rfc3339(datetime.now(UTC) - timedelta(minutes=1))}


@pytest.fixture(params=[("k",)], ids=["one"])
def keyed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeSource]:
    """Makes a table with four orders, of which the last is another person's."""
    opened: list[Engine] = []

    def of(database: str, column: str, kind: str) -> KeyedSource:
        owner, reader = owner_and_reader(request, database, tmp_path)
        made, literal = create_engine(owner), LITERALS[COLUMNS[database][column]]
        opened.append(made)
        time = "timestamptz" if database == "postgresql" else "datetime"
        with made.begin() as connection:
            for statement in (
                *TYPES_OF.get(database, ()),
                f"create table orders (id integer not null unique, who varchar(20), k {column} not null, unique (k))",
                f"create table outbox (table_name varchar(20), row_key varchar(200), at {time})",
                *(f"insert into orders values ({n}, '{WHO[n]}', {literal(n)})" for n in range(4)),  # noqa: S608  # of this test alone
            ):
                connection.exec_driver_sql(statement)
        names = ", ".join(f'"{name}"' for name in request.param)
        fields = f'fields.who = {{ text = "Account." }}\nfields.k = {{ type = "{kind}", text = "Key." }}\n'
        changes = OUTBOX if kind in {"string", "integer"} else ""
        exporter, engine = mapped_source(reader, f'{ROWS}{fields}key = [{names}]\norder = ["id"]\n{changes}')
        opened.append(engine)
        exporter.prepare()
        return KeyedSource(exporter, made, WRITTEN[database][len(request.param) - 1])

    yield of
    for engine in opened:
        engine.dispose()


@pytest.mark.parametrize(("database", "column", "kind"), CASES)
def test_a_record_of_another_person_is_not_deleted(keyed: MakeSource, database: str, column: str, kind: str) -> None:
    """What a person no longer receives was deleted only if the table does not store it."""
    source = keyed(database, column, kind)
    stored = [*source.keys("usr_ann"), *source.keys("usr_bob")]
    assert len(set(stored)) == 4
    assert set(source.exporter.existing(source.dataset, stored)) == set(stored)
    source.run("delete from orders where id = 1")
    assert set(source.exporter.existing(source.dataset, stored)) == {*stored[:1], *stored[2:]}


@pytest.mark.parametrize("keyed", [("who", "k")], indirect=True)
@pytest.mark.parametrize("database", WRITTEN)
@pytest.mark.parametrize(("column", "kind"), [("smallint", "integer"), ("date", "date"), ("char(40)", "string")])
def test_a_record_with_a_key_of_two_fields_is_not_deleted(
    keyed: MakeSource, database: str, column: str, kind: str
) -> None:
    """The same for a key of two fields."""
    if (database, column) == ("sqlite", "char(40)"):
        column = "varchar(40)"
    test_a_record_of_another_person_is_not_deleted(keyed, database, column, kind)


@pytest.mark.parametrize("keyed", [("k",), ("who", "k")], indirect=True, ids=["one", "two"])
@pytest.mark.parametrize(("database", "column", "kind"), STATED)
def test_an_entry_names_the_key_of_an_archive(keyed: MakeSource, database: str, column: str, kind: str) -> None:
    """As the database writes it; if it may be another key in an archive, everything is compared."""
    source = keyed(database, column, kind)
    entries = f"select 'orders', {source.written}, current_timestamp from orders where id in (0, 2)"  # noqa: S608  # as above
    source.run(f"insert into outbox {entries}")
    mine, theirs = source.keys("usr_ann"), source.keys("usr_bob")
    stated = source.exporter.changed(ANN, source.dataset, earlier(), 100)
    assert (stated is None) is (COLUMNS[database][column] in UNSURE or column in {"oid", ""})
    assert stated is None or set(stated) == {mine[0], mine[2]}
    found = [source.keys("usr_ann", Selection(keys=(key,))) for key in (*mine, *theirs)]
    assert found == [*([key] for key in mine), []]


@pytest.mark.parametrize("database", ["postgresql", "mysql"])
@pytest.mark.parametrize("entry", ["null", "'all of them'", "'[]'"])
def test_an_entry_that_names_no_record_may_mean_any(keyed: MakeSource, database: str, entry: str) -> None:
    """Everything is compared."""
    source = keyed(database, "uuid", "string")
    source.run(f"insert into outbox values ('orders', {entry}, current_timestamp)")  # noqa: S608  # as above
    assert source.exporter.changed(ANN, source.dataset, earlier(), 100) == EVERYTHING


@pytest.mark.parametrize("database", ["postgresql", "mysql"])
def test_an_entry_may_name_a_uuid_in_upper_case(keyed: MakeSource, database: str) -> None:
    """It is the same key, which an archive has in lower case."""
    source = keyed(database, "uuid", "string")
    entry = f"select 'orders', upper({source.written}), current_timestamp from orders where id = 0"  # noqa: S608  # as above
    source.run(f"insert into outbox {entry}")
    assert source.exporter.changed(ANN, source.dataset, earlier(), 100) == {source.keys("usr_ann")[0]}

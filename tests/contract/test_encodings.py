"""Texts in each encoding of a table: they are exported exactly, and addresses name their person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import Engine, create_engine

from portability.api import JSON, Identity, Selection, SubjectKind
from portability.api.errors import SourceRefused
from portability.testing import sample_subject

MAP = (
    ROWS.replace('{ column = "who", identities = ["user_id"] }', '{ column = "who", identities = ["email"] }')
    + """
fields.who = { text = "Address." }
fields.k = { text = "Text." }
key = ["k"]
order = ["id"]
"""
)
ADDRESS, TEXT = "j\u00fcrgen@mail.example", "Gr\u00fc\u00dfe \u00a7"
ReadTexts: TypeAlias = Callable[[str, str], tuple[list[JSON], list[JSON], Collection[tuple[JSON, ...]]]]
"""Returns the texts of both people, and the keys that the table stores."""
COLUMNS = ("latin1", "cp1250", "utf16", "ucs2", "utf8mb3", "utf8mb4", "latin1 collate latin1_bin")
SQLITE = ("UTF-8", "UTF-16le", "UTF-16be")
DATABASES = ("UTF8", "LATIN1", "WIN1252", "SQL_ASCII")
PERSON = sample_subject(SubjectKind.USER, "usr_1", Identity("account", "email", ADDRESS, verified=True))
OTHER = sample_subject(SubjectKind.USER, "usr_2", Identity("account", "email", "jurgen@mail.example", verified=True))


@pytest.fixture
def read_texts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReadTexts]:
    """Makes a table with a person's row in this encoding, that of the database or of its columns."""
    opened: list[Engine] = []

    def read(database: str, encoding: str) -> tuple[list[JSON], list[JSON], Collection[tuple[JSON, ...]]]:
        owner, reader = owner_and_reader(request, database, tmp_path, encoding)
        of_column = f"character set {encoding}" if database == "mysql" else ""
        made = create_engine(owner, connect_args={"client_encoding": "utf8"} if database == "postgresql" else {})
        with made.begin() as connection:
            if database == "sqlite":
                connection.exec_driver_sql(f"pragma encoding = '{encoding}'")
            columns = f"who varchar(60) {of_column}, k varchar(60) {of_column}"
            connection.exec_driver_sql(f"create table orders (id integer primary key, {columns}, unique (k))")
            for row in (f"1, '{ADDRESS}', '{TEXT}'", f"2, '{ADDRESS.replace('ü', 'u')}', 'x'"):
                connection.exec_driver_sql(f"insert into orders values ({row})")  # noqa: S608  # of this test alone
        exporter, engine = mapped_source(reader, MAP)
        opened.extend([made, engine])
        exporter.prepare()
        dataset = exporter.datasets[0]
        mine, theirs = (
            [one["k"] for batch in exporter.export(subject, dataset, Selection()) for one in batch.records]
            for subject in (PERSON, OTHER)
        )
        return mine, theirs, exporter.existing(dataset, [(TEXT,), ("x",), ("y",)])

    yield read
    for engine in opened:
        engine.dispose()


@pytest.mark.parametrize(
    ("database", "encoding"),
    [
        *(("mysql", one) for one in COLUMNS),
        *(("postgresql", one) for one in DATABASES),
        *(("sqlite", one) for one in SQLITE),
    ],
)
def test_a_text_and_an_address_are_those_of_the_person(read_texts: ReadTexts, database: str, encoding: str) -> None:
    """A letter has other bytes in another encoding, and is the same letter; another letter is another person."""
    mine, theirs, stored = read_texts(database, encoding)
    assert (mine, theirs) == ([TEXT], ["x"])
    assert set(stored) == {(TEXT,), ("x",)}


@pytest.mark.parametrize("encoding", SQLITE)
def test_an_id_of_a_person_in_any_encoding(request: pytest.FixtureRequest, tmp_path: Path, encoding: str) -> None:
    """An id chooses its rows in a database of SQLite whose texts are UTF-16, and an id of other case chooses none."""
    owner, reader = owner_and_reader(request, "sqlite", tmp_path)
    made = create_engine(owner)
    with made.begin() as connection:
        connection.exec_driver_sql(f"pragma encoding = '{encoding}'")
        connection.exec_driver_sql("create table orders (id integer primary key, who text collate nocase)")
        connection.exec_driver_sql(
            "insert into orders values (1, 'j\u00fc\U0001f600'), (2, 'J\u00fc\U0001f600'), (3, 'x')"
        )
    made.dispose()
    exporter, engine = mapped_source(reader, ROWS)
    batches = exporter.export(sample_subject(SubjectKind.USER, "j\u00fc\U0001f600"), exporter.datasets[0], Selection())
    assert [record["id"] for batch in batches for record in batch.records] == [1]
    assert exporter.existing(exporter.datasets[0], [(1,), (4,)]) == {(1,)}
    engine.dispose()


def test_a_text_without_an_encoding_is_refused(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Bytes that are not UTF-8 in a database that names no encoding: they may mean anything, and nothing is guessed."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path, "SQL_ASCII")
    made = create_engine(owner, connect_args={"client_encoding": "utf8"})
    with made.begin() as connection:
        connection.exec_driver_sql("create table orders (id integer primary key, who text, k text unique)")
        connection.exec_driver_sql(r"insert into orders values (1, 'jan@mail.example', E'\xfc')")
    made.dispose()
    exporter, engine = mapped_source(reader, MAP)
    exporter.prepare()
    person = sample_subject(SubjectKind.USER, "usr_1", Identity("account", "email", "jan@mail.example", verified=True))
    with pytest.raises(SourceRefused, match=r"orders: the database refuses the query .*22021"):
        list(exporter.export(person, exporter.datasets[0], Selection()))
    engine.dispose()

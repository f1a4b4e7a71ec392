"""A small CRM with a schema of its own, on SQLite, PostgreSQL and MariaDB, and its map `crm.toml`.

Two companies: `org_a` and `org_b`. Ann is `con_1` at org_a and `con_3` at org_b. `con_2` at org_a is another person,
whose address MariaDB's usual collation takes for Ann's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import servers
from sqlalchemy import Engine, create_engine, text

from exporters.maps.reading import MapText
from exporters.sql.mapped.databases import SectionSources, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter, MappedSection
from exporters.sql.mapped.kind import kind
from portability.testing import MemoryFiles, SampleSources

MAP = Path(__file__).with_name("crm.toml")
TASKS = 700
"""More than the first pages of a dataset have, and more than a chunk."""
TYPES: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        **dict.fromkeys(("uuid", "time", "json", "decimal", "text"), "text"),
        "bool": "boolean",
        "double": "double",
    },
    "postgresql": {
        "uuid": "uuid",
        "time": "timestamptz",
        "json": "jsonb",
        "decimal": "numeric",
        "bool": "boolean",
        "double": "double precision",
        "text": "text",
    },
    "mysql": {
        "uuid": "char(36)",
        "time": "datetime(6)",
        "json": "json",
        "decimal": "decimal(30, 4)",
        "bool": "tinyint(1)",
        "double": "double",
        "text": "varchar(200)",
    },
}
DDL = """
create table contacts (id {text} primary key, org_id {text} not null, email {text}, email_verified_at {time},
 token {text});
create table accounts (id integer primary key, org_id {text} not null, name {text}, contact_id {text});
create table deals (id {uuid} primary key, org_id {text} not null, name {text}, amount {decimal}, likely {double},
 is_open {bool}, closes_on date, custom {json}, account_id integer, owner_id {text}, is_sample {bool} not null,
 offer_key {text}, offer_bytes integer, retained_until {time}, legal_hold {bool}, created_at {time} not null,
 updated_at {time}, deleted_at {time});
create table deal_contacts (id integer primary key, deal_id {uuid} not null, contact_id {text} not null);
create table tasks (id integer primary key, org_id {text} not null, deal_id {uuid}, text {text})
"""
Row: TypeAlias = tuple[str | int | float | None, ...]
MOMENT = "2026-01-02 03:04:05.600000"
DEALS = {number: f"00000000-0000-4000-8000-00000000000{number}" for number in range(1, 8)}
"""Of Ann at org_a: 1 (by two links and by her company), 5 (by her company), 6 (by a link; deleted, past its period).
2 is another contact's, 3 is a sample, 4 is of org_b although a link names con_1, 7 is of con_3."""


@dataclass(frozen=True, slots=True)
class CrmDatabase:
    """The filled database."""

    url: str
    """With the right to write, for the test."""
    reader: str
    """The URL of the source."""

    def engine(self) -> Engine:
        return create_engine(self.url)

    def put(self, name: str, rows: Sequence[Row]) -> None:
        """Insert rows, each with all columns of the table."""
        engine = self.engine()
        mark = "?" if engine.dialect.name == "sqlite" else "%s"
        statement = f"insert into {name} values ({', '.join([mark] * len(rows[0]))})"  # noqa: S608  # a name of DDL
        with engine.begin() as connection:
            connection.exec_driver_sql(statement, list(rows))
        engine.dispose()

    def run(self, *statements: str) -> None:
        engine = self.engine()
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()


def fill(url: str, reader: str) -> CrmDatabase:
    """Make and fill the tables."""
    crm = CrmDatabase(url, reader)
    engine = crm.engine()
    types = TYPES[engine.dialect.name]
    engine.dispose()
    crm.run(*(statement.format(**types) for statement in DDL.split(";")))
    for table, rows in _rows().items():
        crm.put(table, rows)
    return crm


def filled_on(kind_of_server: str, request: pytest.FixtureRequest, folder: Path) -> CrmDatabase:
    """Return the filled CRM on `sqlite`, `postgresql` or `mysql`; its reader has no right to write."""
    if kind_of_server == "sqlite":
        url = f"sqlite:///{folder / 'crm.db'}"
        return fill(url, url)
    if kind_of_server == "mysql":
        maria: servers.MariaDB = request.getfixturevalue("mariadb_server")
        name = maria.create_database()
        return fill(maria.url(name), maria.url(name, name, password="reader"))
    server: servers.Postgres = request.getfixturevalue("pg_server")
    name = server.create_database()
    made = fill(server.url(name), server.url(name).replace("postgres@", f"reader_{name}@"))
    made.run(f"create role reader_{name} login", f"grant select on all tables in schema public to reader_{name}")
    return made


def _rows() -> Mapping[str, Sequence[Row]]:
    contacts = [
        ("con_1", "org_a", "ann@example.test", MOMENT, "secret"),
        ("con_2", "org_a", "ÄNN@example.test", MOMENT, "secret"),
        ("con_3", "org_b", "ANN@Example.test", MOMENT, "secret"),
        ("con_4", "org_b", "ann@example.test", None, "secret"),
    ]
    links = [(1, "con_1"), (1, "con_1"), (2, "con_2"), (3, "con_1"), (4, "con_1"), (6, "con_1"), (7, "con_3")]
    tasks = [(number, "org_a", DEALS[1], f"Task {number}") for number in range(TASKS)]
    return {
        "contacts": contacts,
        "accounts": [(1, "org_a", "Ann Ltd", "con_1"), (2, "org_a", "Other", "con_2")],
        "deals": [_deal(number, key) for number, key in DEALS.items()],
        "deal_contacts": [(place, DEALS[deal], contact) for place, (deal, contact) in enumerate(links)],
        "tasks": [*tasks, (1000, "org_a", DEALS[2], "of another person")],
    }


def _deal(number: int, key: str) -> Row:
    org, account = ("org_b" if number in {4, 7} else "org_a"), (1 if number in {1, 5} else None)
    offer = ("offer", 5) if number == 1 else (None, None)
    past = MOMENT if number == 6 else None
    created = f"2026-01-0{number} 00:00:00.000000"
    values = (f"{number}.5000", 0.25, True, "2026-05-06", f'{{"a": {number}}}')
    rest = (account, "usr_9", number == 3, *offer, past, False, created, None, past)
    return (key, org, f"Deal {number}", *values, *rest)


def open_crm(crm: CrmDatabase, *, changed: str | None = None, lag_seconds: float | None = None) -> MappedExporter:
    """Open the CRM as a source, by its own map or by the text `changed`."""
    found = kind.parse(MapText(MAP.name, MAP.read_text() if changed is None else changed))
    backend, url = kind_of(crm.reader, "url")
    database = open_database(backend, url, found.form.session.statement_seconds)
    files = MemoryFiles({"offer": b"offer"})
    sources = SectionSources(database, SampleSources(database, files), files)
    return MappedExporter(MappedSection("crm", found, backend, sources, lag_seconds))

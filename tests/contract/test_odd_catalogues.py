"""Databases with names, types and partitions of their own: the draft is a map, and the check can be satisfied."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import servers
from source_accounts import execute_all, mapped_sources, owner_and_reader

from exporters.maps.reading import MapText
from exporters.sql.mapped.databases import SectionSources, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter, MappedSection
from exporters.sql.mapped.kind import kind
from exporters.sql.proposal.draft import draft
from exporters.sql.proposal.propose import propose
from portability.api import Selection, SubjectKind
from portability.database.engine import READING
from portability.testing import MemoryFiles, SampleSources, sample_subject

SCHEMA = """
create type address as (street text, zip text);
create table "Guest" ("guest no" text primary key, "E-mail" text, place point, home address, tags text[], flags bit(3));
create table "order" (house text, nr integer, "guest no" text references "Guest", primary key (house, nr));
create table stay (id integer, night date not null, "guest no" text references "Guest", primary key (id, night))
 partition by range (night);
create table stay_2025 partition of stay for values from ('2025-01-01') to ('2026-01-01');
create table stay_2026 partition of stay for values from ('2026-01-01') to ('2027-01-01');
create schema "v1.2"; create table "v1.2".job (id integer); create table "v1.2"."job.log" (id integer);
insert into "Guest" values ('g1', 'ann@example.test', '(1,2)', row('Road 1', '10115'), '{a,b}', '101');
insert into "order" values ('north', 1, 'g1');
insert into stay values (1, '2025-12-31', 'g1'), (2, '2026-01-01', 'g1');
"""


class OddDatabase(NamedTuple):
    """The database above, and its address for an account that can only read."""

    server: servers.Postgres
    name: str
    url: str

    def run(self, statements: str) -> None:
        with self.server.connect(self.name) as connection:
            connection.execute(statements)

    def proposed(self) -> str:
        engine = open_database(*kind_of(self.url, "url"), 60)
        with engine.connect().execution_options(**READING) as connection:
            text = draft(propose(connection, "Guest", kind=SubjectKind.USER, schemas=["v1.2"], title="Inn"))
        engine.dispose()
        return text

    def opened(self, text: str) -> MappedExporter:
        backend, address = kind_of(self.url, "url")
        engine = open_database(backend, address, 60)
        sources = SectionSources(engine, SampleSources(engine, MemoryFiles({})))
        return MappedExporter(MappedSection("inn", kind.parse(MapText("inn.toml", text)), backend, sources))


@pytest.fixture
def odd(pg_server: servers.Postgres) -> Iterator[OddDatabase]:
    name = pg_server.create_database()
    reader = f"reader_{name}"
    made = OddDatabase(pg_server, name, pg_server.url(name).replace("postgres@", f"{reader}@"))
    made.run(f"create role {reader} login; {SCHEMA}")
    for schema in ("public", '"v1.2"'):
        made.run(
            f"grant usage on schema {schema} to {reader}; grant select on all tables in schema {schema} to {reader}"
        )
    yield made
    pg_server.drop_database(name)


def taken(text: str) -> str:
    """The draft after a person has taken every proposal, and called the other tables internal."""
    lines = re.sub(r"undecided = \[\n.*?\n\]\n", "", text, flags=re.DOTALL).splitlines()
    decided = [re.sub(r"^# (\[|\S+ = )", r"\1", line) if line.startswith("# ") else line for line in lines]
    internal = '"v1.2.*" = "of the machine"\n"v1.2.job.log" = "its name has a point"\n'
    return "\n".join([*decided, internal])


def found_by(odd: OddDatabase, text: str) -> list[str]:
    """The findings without remarks."""
    exporter = odd.opened(text)
    findings = [f"{one.kind} {one.table}.{one.column}" for one in exporter.check().findings if one.kind != "unsigned"]
    exporter._section.sources.database.dispose()
    return [one for one in findings if not one.startswith("no_index")]


def test_the_draft_is_a_map_whatever_names_a_database_has(odd: OddDatabase) -> None:
    """Spaces in the names of a key, capital letters, a schema with a point: all is undecided, and nothing a fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = found_by(odd, odd.proposed())

    assert found == [
        *(f"undecided_column Guest.{name}" for name in ("guest no", "E-mail", "place", "home", "tags", "flags")),
        *(f"undecided_column order.{name}" for name in ("house", "nr", "guest no")),
        *(f"undecided_column stay.{name}" for name in ("id", "night", "guest no")),
        "undecided_table v1.2.job.",
        "undecided_table v1.2.job.log.",
    ]


def test_a_person_who_takes_all_proposals_has_a_complete_map(odd: OddDatabase) -> None:
    """The proposed types are those that the check accepts, also of arrays, and the rows come with their values."""
    text = taken(odd.proposed())

    assert found_by(odd, text) == []
    exporter = odd.opened(text)
    subject = sample_subject(SubjectKind.USER, "g1")
    records = {
        one.name: [record for batch in exporter.export(subject, one, Selection()) for record in batch.records]
        for one in exporter.datasets
    }
    exporter._section.sources.database.dispose()
    assert records == {
        "Guest": [
            {
                "guest_no": "g1",
                "E-mail": "ann@example.test",
                "place": "(1,2)",
                "home": '("Road 1",10115)',
                "tags": ["a", "b"],
                "flags": "101",
            }
        ],
        "order": [{"house": "north", "nr": 1, "guest_no": "g1"}],
        "stay": [
            {"id": 1, "night": "2025-12-31", "guest_no": "g1"},
            {"id": 2, "night": "2026-01-01", "guest_no": "g1"},
        ],
    }


def test_a_new_partition_needs_no_decision(odd: OddDatabase) -> None:
    """Its columns are those of its table: the exports of next year are not partial because of it."""
    text = taken(odd.proposed())
    odd.run("create table stay_2027 partition of stay for values from ('2027-01-01') to ('2028-01-01')")

    assert found_by(odd, text) == []
    odd.run("alter table stay add phone text")
    assert found_by(odd, text) == ["undecided_column stay.phone"]


UNFIT = {
    "postgresql": (
        "create table users (id integer primary key)",
        "create table facts (user_id integer references users, kind real, primary key (user_id, kind))",
        "create table notes (id integer primary key, user_id integer references users)",
        "create table old_notes () inherits (notes)",
        "create table lines (id integer primary key, note_id integer references notes)",
    ),
    "mysql": (
        "create table users (id integer primary key, created_at timestamp not null default now() on update now())",
        "create table facts (user_id integer, kind enum('mail', 'sms'), primary key (user_id, kind))",
        "create table `old.facts` (id integer primary key, user_id integer)",
    ),
}
"""By database: what a worker refuses where a map names it as it is."""


@pytest.mark.parametrize("database", UNFIT)
def test_a_draft_names_nothing_that_a_worker_refuses(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    """One such table would cost all others: it stands in the draft as a comment that says why."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    execute_all(owner, *UNFIT[database])
    engine = open_database(*kind_of(reader, "url"), 60)
    with engine.connect().execution_options(**READING) as connection:
        text = draft(propose(connection, "users"))
    engine.dispose()
    with mapped_sources() as opened:
        opened(reader, text).prepare()

    assert re.findall(r"^table = \"(.*)\"", text, re.MULTILINE) == ["users"]

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import platform_data as platform
import pytest
from sqlalchemy import Engine, Table, create_engine, text

from exporters.portability.reader import OwnRecords
from exporters.portability.records import TABLES as TABLES_OF_REQUESTS
from exporters.reference import schema
from exporters.sql.exporter import SqlExporter
from portability.api import ROLES_OF_SPEAKERS, Person, SubjectKind
from portability.database.engine import open_engine
from portability.testing import MemoryFiles, SampleSources, check_exporter, sample_subject
from worker.read import redaction

DOCS = Path(__file__).parents[4] / "docs"
TABLES = sorted(schema.metadata.tables.values(), key=lambda table: table.name)


@pytest.fixture
def helpdesk(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'helpdesk.db'}")
    yield engine
    engine.dispose()


def section(table: Table) -> str:
    page = (DOCS / "source-schema.md").read_text()
    found = re.search(rf"^### {table.name}\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/source-schema.md has no section on {table.name}"
    return found[1]


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_every_column_is_in_the_source_schema(table: Table) -> None:
    """The page has each table with its columns in order, and says of each what becomes of it and why."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", section(table), re.MULTILINE)
    assert [name for name, _ in rows] == [column.name for column in table.columns]
    for column, (_, fate) in zip(table.columns, rows, strict=True):
        if schema.NEVER in column.info:
            assert fate == f"**never**: {column.info[schema.NEVER]}"
        elif schema.INTERNAL in column.info:
            assert fate == f"internal: {column.info[schema.INTERNAL]}"
        else:
            assert fate.startswith("exported, ")


def test_what_becomes_of_other_people_is_in_the_source_schema() -> None:
    """Each tag has its words, and no column without it has them."""
    words = {
        Person.STAFF: "staff, pseudonymised",
        Person.SPEAKER: "pseudonymised, but for roles",
        Person.OTHER: "others marked",
        Person.NOTE: "note, other addresses masked",
    }
    for exporter in platform.exporters(create_engine("sqlite://")).values():
        assert isinstance(exporter, SqlExporter)
        for source in exporter._tables.values():
            documented = section(source.table)
            for column, field in zip(source.columns, source.dataset.fields, strict=False):
                (fate,) = re.findall(rf"^\| `{column.name}` \| [^|]+ \| ([^|]+) \|$", documented, re.MULTILINE)
                ending = fate.removeprefix(f"exported, {field.provenance}").removeprefix(", ")
                assert (ending in words.values()) is (field.person is not None), f"{column}: {fate}"
                assert field.person is None or ending == words[field.person], f"{column}: {fate}"


def test_declared_keys_are_in_the_source_schema() -> None:
    """The page lists the paths of each field with declared keys, and no other."""
    rows = re.findall(r"^\| (\w+/\w+) \| `(\w+)` \| (`/.+`) \|$", (DOCS / "source-schema.md").read_text(), re.MULTILINE)
    documented = {(dataset, column): re.findall(r"`([^`]+)`", paths) for dataset, column, paths in rows}
    assert documented == {
        (f"{name}/{dataset.name}", field.name): [key.path for key in field.keys]
        for name, exporter in platform.exporters(create_engine("sqlite://")).items()
        for dataset in exporter.datasets
        for field in dataset.fields
        if field.keys is not None
    }


def test_no_table_is_in_the_source_schema_that_is_gone() -> None:
    """The page has no table that the schema has not."""
    headings = re.findall(r"^### (\w+)$", (DOCS / "source-schema.md").read_text(), re.MULTILINE)
    assert sorted(headings) == [table.name for table in TABLES]


def test_built_in_exporters_are_listed() -> None:
    """The page on plug-ins lists each built-in dataset with its tags, and no other."""
    listed = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \| (\w+) \| (\w+) \| ([\w, ]+) \| (\d+) \|$",
        (DOCS / "plugins.md").read_text(),
        re.MULTILINE,
    )
    engine = create_engine("sqlite://")
    built_in = {**platform.exporters(engine), "portability": OwnRecords(lambda: engine, TABLES_OF_REQUESTS)}
    assert listed == [
        (
            name,
            dataset.name,
            dataset.provenance,
            dataset.role,
            ", ".join(sorted(dataset.subject_kinds or exporter.subject_kinds)),
            str(len(dataset.fields)),
        )
        for name, exporter in sorted(built_in.items())
        for dataset in exporter.datasets
    ]


def test_rules_on_other_people_are_listed() -> None:
    """The page has each tag with its rule and what stands in the copy, and each word for a role that stays."""
    page = (DOCS / "other-people.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE)
    assert [(tag, rule) for tag, rule, _ in rows] == [(person, redaction.RULES[person]) for person in Person]
    shown = {tag: re.findall(r"`([^`]+)`", stands)[0] for tag, _, stands in rows}
    assert shown == {
        person: redaction.MARKS.get(person, f"{redaction.KINDS.get(person, '').title()} 1") for person in Person
    }
    (roles,) = re.findall(r"words for a role: ([^|]+) \|", page)
    assert set(re.findall(r"`(\w+)`", roles)) == ROLES_OF_SPEAKERS


def test_fields_that_tell_of_other_people_are_listed() -> None:
    """The page lists every tagged field of the built-in exporters; each is marked as a third party's, too."""
    page = (DOCS / "other-people.md").read_text()
    listed = re.findall(r"^\| `(\w+/\w+)` \| `(\w+)` \| `(\w+)` \|$", page, re.MULTILINE)
    tagged = [
        (f"{name}/{dataset.name}", field)
        for name, exporter in platform.exporters(create_engine("sqlite://")).items()
        for dataset in exporter.datasets
        for field in dataset.fields
        if field.person is not None
    ]
    assert listed == [(dataset, field.name, field.person) for dataset, field in tagged]
    assert all(field.third_party for _dataset, field in tagged)


def test_the_example_keeps_all_promises(helpdesk: Engine) -> None:
    """The exporter that the page on plug-ins shows runs as it stands, and passes the public suite."""
    example = re.findall(r"^```python\n(.*?)^```$", (DOCS / "plugins.md").read_text(), re.MULTILINE | re.DOTALL)[0]
    module: dict[str, object] = {}
    exec(compile(example, "docs/plugins.md", "exec"), module)  # noqa: S102  # our own page
    with helpdesk.begin() as connection:
        connection.execute(
            text("create table helpdesk_notes (id text primary key, owner text, text text, urgency real)")
        )
        for number in range(1_100):
            values = {
                "id": f"note_{number:04}",
                "owner": "usr_1" if number % 10 else "usr_2",
                "urgency": number / 1_100,
            }
            connection.execute(text("insert into helpdesk_notes values (:id, :owner, :id, :urgency)"), values)
    factory = module["exporter"]
    assert callable(factory)
    check_exporter(factory(SampleSources(helpdesk, MemoryFiles())), sample_subject(SubjectKind.USER, "usr_1"))

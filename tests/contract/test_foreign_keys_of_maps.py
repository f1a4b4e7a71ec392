"""The check compares joins, steps and ways of a map with the foreign keys of its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from source_accounts import execute_all, mapped_sources, owner_and_reader

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import CoverageKind
from portability.api.errors import BadMap

KEY = "foreign key ({}) references {} (id)"
MADE = (
    "create table parties (id integer primary key)",
    "create table people (id integer primary key, number integer unique, foreign key (id) references parties (id))",
    "create table leads (id integer primary key, label varchar(40))",
    "create view seen_leads as select id, label from leads",
    "create table badges (person_id integer primary key, label varchar(40))",
    "create table cards (owner integer primary key, label varchar(40), foreign key (owner) references people (id))",
    (
        "create table notes (id integer primary key, person_id integer, lead_id integer, any_id integer,"
        f" {KEY.format('person_id', 'people')}, {KEY.format('any_id', 'leads')}, {KEY.format('any_id', 'people')})"
    ),
    "create table files (id integer primary key, note_id integer, foreign key (note_id) references notes (id))",
)
MAP = """
title = "Desk"
role = "controller"
kinds = ["user"]
[[dataset]]
name = "people"
title = "People"
description = "People."
provenance = "observed"
table = "people"
rows = [{ column = "id", identities = ["user_id"] }]
[dataset.fields]
id = { type = "integer", text = "Id." }
[[dataset]]
name = "leads"
title = "Leads"
description = "Leads."
provenance = "observed"
table = "leads"
rows = [{ column = "id", identities = ["user_id"] }]
[dataset.fields]
id = { type = "integer", text = "Id." }
[[dataset]]
name = "seen"
title = "Leads"
description = "Leads."
provenance = "observed"
table = "seen_leads"
rows = [{ column = "id", identities = ["user_id"] }]
[dataset.fields]
id = { type = "integer", text = "Id." }
[[dataset]]
name = "tested"
title = "Tested"
description = "The dataset with the tested way."
provenance = "observed"
"""
FIELDS = '[dataset.fields]\nid = { type = "integer", text = "Id." }\n'
BY_PERSON = 'table = "notes"\nrows = [{ column = "person_id", dataset = "people" }]\n'
BY_NOTE = 'table = "files"\nrows = [{ column = "person_id", dataset = "people", through = [%s] }]\n'
TO_PEOPLE = "'person_id' of notes leads to people.id by a foreign key, not to"
LABEL = f'{FIELDS}label = {{ joined = "label", text = "Label." }}\n'


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def checked_keys(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., MappedExporter]]:
    """The map with the ways of each case, read with an account that can only read."""
    owner, reader = owner_and_reader(request, request.param, tmp_path)
    execute_all(owner, *MADE)
    with mapped_sources() as sources:

        def opened(way: str, fields: str, schema: str = "") -> MappedExporter:
            text = f"{MAP}{way}{fields}"
            return sources(reader, text.replace('table = "', f'table = "{schema}.') if schema else text)

        yield opened


CASES: dict[str, tuple[str, str, Sequence[str]]] = {
    "way": (BY_PERSON, FIELDS, []),
    "way to another table": (BY_PERSON.replace('"people"', '"leads"'), FIELDS, [f"{TO_PEOPLE} leads.id"]),
    "way to another column": (
        BY_PERSON.replace(" }]", ', key = "number" }]'),
        FIELDS,
        [f"{TO_PEOPLE} people.number"],
    ),
    "way of a draft to another table": (
        BY_PERSON.replace('"people"', '"leads"') + 'order = ["id"]\n',
        "",
        [f"{TO_PEOPLE} leads.id"],
    ),
    "identity": (BY_PERSON.replace('dataset = "people"', 'identities = ["user_id"]'), FIELDS, []),
    "identity of other rows": (
        'table = "files"\nrows = [{ column = "note_id", identities = ["user_id"] }]\n',
        FIELDS,
        ["'note_id' of files leads to notes.id by a foreign key, not to leads.id, people.id"],
    ),
    "identity in a step": (
        BY_NOTE.replace('dataset = "people"', 'identities = ["user_id"]')
        % '{ table = "notes", here = "id", key = "note_id" }',
        FIELDS,
        [],
    ),
    "identity of a kind that the map does not have": (
        'table = "files"\nrows = [{ column = "note_id", identities = ["note_id"] }]\n',
        FIELDS,
        [],
    ),
    "one of several foreign keys": (BY_PERSON.replace("person_id", "any_id"), FIELDS, []),
    "no foreign key": (BY_PERSON.replace("person_id", "lead_id"), FIELDS, []),
    "view": (BY_PERSON.replace('"people"', '"seen"'), FIELDS, []),
    "step": (BY_NOTE % '{ table = "notes", here = "id", key = "note_id" }', FIELDS, []),
    "step by another column": (
        BY_NOTE % '{ table = "notes", here = "lead_id", key = "note_id" }',
        FIELDS,
        ["'note_id' of files leads to notes.id by a foreign key, not to notes.lead_id"],
    ),
    "step from the key of another table": (
        BY_NOTE % '{ table = "notes", here = "person_id", key = "id" }',
        FIELDS,
        [f"{TO_PEOPLE} files.id"],
    ),
    "join of two that lead to a third": (
        BY_PERSON + 'join = { table = "cards", here = "owner", key = "person_id" }\n',
        LABEL,
        [],
    ),
    "join of a table without foreign key": (
        BY_PERSON + 'join = { table = "badges", here = "person_id", key = "any_id" }\n',
        LABEL,
        [],
    ),
    "join of another table": (
        BY_PERSON + 'join = { table = "leads", here = "id", key = "person_id" }\n',
        LABEL,
        [f"{TO_PEOPLE} leads.id"],
    ),
}


def test_a_table_has_its_foreign_keys_by_any_name(checked_keys: Callable[..., MappedExporter]) -> None:
    """A map may write tables with the schema or the database that has them."""
    wrong = BY_PERSON.replace('"people"', '"leads"')
    database = checked_keys(wrong, FIELDS).declaration.database
    schema = {"sqlite": "main", "postgresql": "public"}.get(database.partition(":")[0], database.rpartition("/")[2])
    for text, details in ((BY_PERSON, []), (wrong, [f"'person_id' of {schema}.notes leads to {schema}.people.id"])):
        found = checked_keys(text, FIELDS, schema).check().findings
        assert [one.detail.partition(" by")[0] for one in found if one.kind is CoverageKind.UNFIT] == details


def test_a_comparison_is_that_of_a_foreign_key_of_its_columns(checked_keys: Callable[..., MappedExporter]) -> None:
    """Another table or column is a fault. Columns that keys lead to in several steps, or that have no key, pass."""
    for case, (way, fields, expected) in CASES.items():
        exporter = checked_keys(way, fields)
        found = exporter.check().findings
        details = [one.detail for one in found if one.kind is CoverageKind.UNFIT]
        assert details == expected, case
        assert {one.dataset for one in found if one.kind is CoverageKind.UNFIT} <= {"tested"}, case


WRONG = BY_PERSON.replace('"people"', '"leads"')
SIGNED = """
[[decision]]
by = "Ann Example"
on = 2026-11-28
note = "The column has numbers of leads since 2019; the key is of an import before."
against = [{ column = "notes.person_id", keys = ["people.id"], compared = ["leads.id"] }]
"""
OTHERS = {
    "notes.person_id to people.number, compared with leads.id": SIGNED.replace("people.id", "people.number"),
    "notes.person_id to leads.id, people.id, compared with leads.id": SIGNED.replace(
        '["people.id"]', '["people.id", "leads.id"]'
    ),
    "notes.person_id to people.id, compared with people.number": SIGNED.replace("leads.id", "people.number"),
    "notes.lead_id to people.id, compared with leads.id": SIGNED.replace("notes.person_id", "notes.lead_id"),
}


def test_a_person_signs_that_the_map_is_right_against_a_key(checked_keys: Callable[..., MappedExporter]) -> None:
    """By the column, the key and the comparison: any other is found as before, and so is what was signed instead."""
    unfit = f"{TO_PEOPLE} leads.id"
    others = {
        decision: [unfit, f"a decision is against keys of {case}: the check finds none"]
        for case, decision in OTHERS.items()
    }
    for decision, expected in {"": [unfit], SIGNED: [], **others}.items():
        exporter = checked_keys(WRONG, FIELDS + decision)
        assert [one.detail for one in exporter.check().findings if one.kind is CoverageKind.UNFIT] == expected


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (SIGNED.replace("note = ", "# "), "a decision against a foreign key has its reason in `note`"),
        (SIGNED.replace("against = ", "# "), "a decision has `about`, `against` or `without_tenant`"),
    ],
)
def test_a_decision_against_a_key_has_a_person_and_a_reason(decision: str, message: str, tmp_path: Path) -> None:
    """A map with less is refused."""
    with mapped_sources() as sources, pytest.raises(BadMap, match=message):
        sources(f"sqlite:///{tmp_path / 'desk.db'}", f"{MAP}{WRONG}{FIELDS}{decision}")


SEVERAL = (
    "create table places (course integer, person integer, label varchar(9), primary key (course, person))",
    (
        "create table works (id integer primary key, course integer, person integer,"
        " foreign key (course, person) references places (course, person))"
    ),
)
WORKS = """
title = "School"
role = "controller"
kinds = ["user"]
[[dataset]]
name = "places"
title = "Places"
description = "Places."
provenance = "observed"
table = "places"
rows = [{ column = "person", identities = ["user_id"] }]
key = ["course", "person"]
[dataset.fields]
course = { type = "integer", text = "Course." }
person = { type = "integer", text = "Person." }
[[dataset]]
name = "works"
title = "Works"
description = "Works."
provenance = "provided"
table = "works"
rows = [{ column = "course", dataset = "places", key = "course" }]
[dataset.fields]
id = { type = "integer", text = "Id." }
[[decision]]
by = "Ann Example"
on = 2026-11-28
note = "Each course has one person."
"""
ALONE = "'course' of works leads to places.course, places.person together: places.course alone may name several rows"


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mysql"])
def test_one_column_of_a_key_of_several_may_name_rows_of_others(
    request: pytest.FixtureRequest, database: str, tmp_path: Path
) -> None:
    """The works of a course are not all those of one person: the check finds it, and a person may sign it."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    execute_all(owner, *SEVERAL)
    keys = 'keys = ["places.course", "places.person"], compared = ["places.course"]'
    against = f'against = [{{ column = "works.course", {keys} }}]'
    with mapped_sources() as sources:
        for text, expected in ((WORKS + 'about = ["works"]', [ALONE]), (WORKS + against, [])):
            found = sources(reader, text).check().findings
            assert [one.detail for one in found if one.kind is CoverageKind.UNFIT] == expected

"""The recipes of docs/maps.md: each example is a map that gives one person exactly the rows that plain SQL finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from repository import ROOT
from source_accounts import execute_all, mapped_sources, owner_and_reader

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Selection, Subject, SubjectKind
from portability.testing import sample_subject

RECIPES = (ROOT / "docs" / "maps.md").read_text("utf-8").partition("## Recipes\n")[2].partition("\n## ")[0]
HEAD = 'title = "Desk"\nrole = "controller"\nkinds = ["user"]\n'
PEOPLE = [
    "create table people (id integer primary key, name varchar(40))",
    "create table tickets (id integer primary key, person_id integer, subject varchar(40))",
    "insert into people values (1, 'Ann'), (2, 'Bob'), (3, 'Cem')",
    "insert into tickets values (1, 2, 'of Bob'), (2, 1, 'of Ann'), (3, 1, 'of Ann')",
]
COMMENTS = [
    "create table comments (id integer primary key, owner_type varchar(20), owner_id integer, body varchar(40))",
    "insert into comments values (1, 'Person', 1, 'on Ann'), (2, 'Ticket', 1, 'on a ticket of Bob')",
    "insert into comments values (3, 'Person', 2, 'on Bob'), (4, 'Ticket', 2, 'on a ticket of Ann')",
    "insert into comments values (5, 'Article', 1, 'on an article'), (6, NULL, 1, 'on nothing')",
]


def example(title: str) -> str:
    """The TOML of a recipe."""
    section = RECIPES.partition(f"### {title}\n")[2].partition("\n### ")[0]
    (found,) = re.findall(r"^```toml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., MappedExporter]]:
    """Opens a map of a database that statements make."""
    owner, reader = owner_and_reader(request, request.param, tmp_path)
    with mapped_sources() as sources:

        def open_map(text: str, *statements: str) -> MappedExporter:
            execute_all(owner, *statements)
            exporter = sources(reader, text)
            exporter.prepare()
            return exporter

        yield open_map


def person(exporter: MappedExporter, identifier: str, kind: SubjectKind = SubjectKind.USER) -> Subject:
    """A subject with all that the map finds, as a request resolves it."""
    asked = sample_subject(kind, identifier)
    for _ in range(5):
        asked = sample_subject(kind, identifier, *(one for one in exporter.identities(asked)))
    return asked


def values(exporter: MappedExporter, subject: Subject, name: str, field: str = "id") -> Sequence[object]:
    (dataset,) = (one for one in exporter.datasets if one.name == name)
    return [one[field] for batch in exporter.export(subject, dataset, Selection()) for one in batch.records]


def test_a_number_that_names_rows_of_several_tables(opened: Callable[..., MappedExporter]) -> None:
    """Each way has the type of the rows that it leads to: ticket 1 of Bob is not person 1."""
    exporter = opened(HEAD + example("Links to rows of several tables"), *PEOPLE, *COMMENTS)

    found = {name: values(exporter, sample_subject(SubjectKind.USER, name), "comments") for name in ("1", "2", "3")}
    assert found == {"1": [1, 4], "2": [2, 3], "3": []}


FILES = """
[[dataset]]
name = "files"
title = "Files"
description = "Files of comments and tickets."
provenance = "provided"
table = "files"
rows = [
  { column = "of_id", dataset = "comments", where = [{ column = "kind", equals = "C" }] },
  { through = [{ table = "links", here = "file_id" }], column = "person_id", identities = ["user_id"], where = [
    { column = "kind", other_than = "C" },
  ] },
]
[dataset.fields]
id = { type = "integer", text = "Id." }
"""
FILES_MADE = [
    "create table files (id integer primary key, kind varchar(3), of_id integer)",
    "create table links (id integer primary key, file_id integer, person_id integer)",
    "insert into files values (1, 'C', 1), (2, 'C', 2), (3, 'T', 1), (4, NULL, 1), (5, 'C', 5)",
    "insert into links values (1, 3, 1), (2, 4, 2), (3, 5, 1)",
]


def test_conditions_hold_behind_a_parent_and_before_other_tables(opened: Callable[..., MappedExporter]) -> None:
    """They are about the row of the dataset, whatever the way passes afterwards."""
    text = HEAD + example("Links to rows of several tables") + FILES
    exporter = opened(text, *PEOPLE, *COMMENTS, *FILES_MADE)

    assert values(exporter, sample_subject(SubjectKind.USER, "1"), "files") == [1, 3]
    assert values(exporter, sample_subject(SubjectKind.USER, "2"), "files") == [2, 4]


STAFF = """title = "Desk"
role = "processor"
kinds = ["user", "tenant"]
[[dataset]]
name = "notes"
title = "Notes"
description = "Notes."
provenance = "observed"
table = "notes"
tenant = "org"
rows = [
  { column = "owner_id", identities = ["user_id"], within = "platform", where = [{ column = "kind", equals = "P" }] },
]
staff = [{ column = "actor_id", identities = ["staff_id"], where = [{ column = "actor_kind", equals = "P" }] }]
[dataset.fields]
id = { type = "integer", text = "Id." }
"""


def test_a_robot_of_the_same_number_is_no_staff(opened: Callable[..., MappedExporter]) -> None:
    """Who is staff where is found by the rows that fulfil the conditions alone; a tenant gets all rows."""
    exporter = opened(
        STAFF,
        "create table notes (id integer primary key, org varchar(9), kind varchar(2), owner_id integer,"
        " actor_kind varchar(2), actor_id integer)",
        "insert into notes values (1, 'a', 'P', 1, 'P', 7), (2, 'b', 'P', 1, 'R', 7), (3, 'a', 'X', 1, 'R', 1)",
    )
    member = person(exporter, "7")

    assert [one.tenant for one in member.identities if one.kind == "staff_id"] == ["a"]
    assert values(exporter, member, "notes") == [1]
    assert values(exporter, person(exporter, "1"), "notes") == [1, 2]
    assert values(exporter, sample_subject(SubjectKind.TENANT, "a"), "notes") == [1, 3]

"""The recipes of docs/maps.md: each example is a map that gives one person exactly the rows that plain SQL finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from repository import ROOT
from source_accounts import execute_all, mapped_sources, owner_and_reader

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import CoverageKind, RowRemark, Selection, Subject, SubjectKind
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
    return "".join(recipe_blocks(title, "toml"))


def recipe_blocks(title: str, language: str) -> Sequence[str]:
    """The blocks of a recipe in one language."""
    section = RECIPES.partition(f"### {title}\n")[2].partition("\n### ")[0]
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def opened_recipe(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., MappedExporter]]:
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


def test_a_number_that_names_rows_of_several_tables(opened_recipe: Callable[..., MappedExporter]) -> None:
    """Each way has the type of the rows that it leads to: ticket 1 of Bob is not person 1."""
    exporter = opened_recipe(HEAD + example("Links to rows of several tables"), *PEOPLE, *COMMENTS)

    found = {name: values(exporter, sample_subject(SubjectKind.USER, name), "comments") for name in ("1", "2", "3")}
    assert found == {"1": [1, 4], "2": [2, 3], "3": []}
    assert not [one.detail for one in exporter.check().findings if one.kind is CoverageKind.UNFIT]


def test_a_way_without_the_type_beside_its_number_does_not_fit(opened_recipe: Callable[..., MappedExporter]) -> None:
    """The check names each such way, also in a step; a condition on the type, whatever it is, is a decision."""
    text = re.sub(r", where = \[.*?\]", "", example("Links to rows of several tables"))
    files = """
[[dataset]]
name = "files"
title = "Files"
description = "Files."
provenance = "observed"
table = "files"
rows = [{ column = "owner_id", identities = ["user_id"], through = [
  { table = "comments", here = "id", key = "comment_id" },
] }]
[dataset.fields]
id = { type = "integer", text = "Id." }
"""
    made = "create table files (id integer primary key, comment_id integer)"
    exporter = opened_recipe(HEAD + text + files, *PEOPLE, *COMMENTS, made)

    found = [(one.dataset, one.detail) for one in exporter.check().findings if one.kind is CoverageKind.UNFIT]
    detail = (
        "'owner_id' of comments may name rows of several tables: no condition is on 'owner_type'; add one: "
        "see docs/maps.md#links-to-rows-of-several-tables"
    )
    assert found == [("comments", detail), ("comments", detail), ("files", detail)]


def test_the_key_of_a_table_names_its_own_rows(opened_recipe: Callable[..., MappedExporter]) -> None:
    """Whatever type they have: `item_id` with an `item_type` beside it."""
    text = """
[[dataset]]
name = "prices"
title = "Prices"
description = "Prices."
provenance = "observed"
table = "prices"
rows = [{ column = "person", identities = ["user_id"], through = [
  { table = "items", here = "item_id", key = "item_id" },
] }]
[dataset.fields]
id = { type = "integer", text = "Id." }
"""
    exporter = opened_recipe(
        HEAD + text,
        "create table items (item_id integer primary key, item_type varchar(9), person integer)",
        "create table prices (id integer primary key, item_id integer)",
    )

    assert not [one.detail for one in exporter.check().findings if one.kind is CoverageKind.UNFIT]


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


def test_conditions_hold_behind_a_parent_and_before_other_tables(opened_recipe: Callable[..., MappedExporter]) -> None:
    """They are about the row of the dataset, whatever the way passes afterwards."""
    text = HEAD + example("Links to rows of several tables") + FILES
    exporter = opened_recipe(text, *PEOPLE, *COMMENTS, *FILES_MADE)

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


def test_a_robot_of_the_same_number_is_no_staff(opened_recipe: Callable[..., MappedExporter]) -> None:
    """Who is staff where is found by the rows that fulfil the conditions alone; a tenant gets all rows."""
    exporter = opened_recipe(
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


def test_a_view_names_the_tenant(opened_recipe: Callable[..., MappedExporter]) -> None:
    """A company gets the messages of its tickets, although no message names it."""
    (view,) = recipe_blocks("A tenant that another table names", "sql")
    exporter = opened_recipe(
        HEAD.replace("user", "tenant") + example("A tenant that another table names"),
        "create table tickets (id integer primary key, company_id integer)",
        "create table messages (id integer primary key, ticket_id integer, body varchar(9))",
        view,
        "insert into tickets values (1, 7), (2, 8)",
        "insert into messages values (1, 1, 'a'), (2, 2, 'b'), (3, 1, 'c')",
    )

    assert values(exporter, sample_subject(SubjectKind.TENANT, "7"), "messages") == [1, 3]
    assert values(exporter, sample_subject(SubjectKind.TENANT, "9"), "messages") == []


def test_addresses_in_a_table_of_their_own(opened_recipe: Callable[..., MappedExporter]) -> None:
    """Only confirmed addresses that are linked to a person, and not to a company of the same number, lead to rows."""
    exporter = opened_recipe(
        HEAD + example("Addresses in a table of their own"),
        "create table addresses (id integer primary key, email varchar(40), confirmed_at timestamp null)",
        "create table address_links (id integer primary key, owner_type varchar(9), owner_id integer,"
        " address_id integer, deleted boolean)",
        "create table letters (id integer primary key, recipient varchar(40))",
        "insert into addresses values (1, 'Ann@example.test', '2026-01-02 03:04:05'), (2, 'bob@example.test', NULL)",
        "insert into addresses values (3, 'office@example.test', '2026-01-02 03:04:05')",
        "insert into address_links values (1, 'Person', 1, 1, false), (2, 'Person', 2, 2, false)",
        "insert into address_links values (3, 'Company', 1, 3, false), (4, 'Person', 1, 3, true)",
        "insert into letters values (1, 'ann@example.test'), (2, 'bob@example.test'), (3, 'office@example.test')",
    )

    assert values(exporter, person(exporter, "1"), "letters") == [1]
    assert values(exporter, person(exporter, "2"), "letters") == []


def test_names_and_values(opened_recipe: Callable[..., MappedExporter]) -> None:
    """Each value has its name; names that are not listed are not delivered; a value that is an id leads to its row."""
    exporter = opened_recipe(
        HEAD + example("Names and values"),
        "create table form_fields (id integer primary key, label varchar(20))",
        "create table answers (person_id integer, field_id integer, value varchar(20),"
        " primary key (person_id, field_id))",
        "create table orders (id integer primary key)",
        "create table order_values (id integer primary key, order_id integer, name varchar(20), value varchar(40))",
        "insert into form_fields values (1, 'Phone'), (2, 'Town'), (3, 'session_tokens')",
        "insert into answers values (1, 1, '555'), (1, 3, 'secret'), (2, 1, '777'), (1, 2, 'Rome')",
        "insert into orders values (1), (2), (3)",
        "insert into order_values values (1, 1, 'customer', '1'), (2, 1, 'total', '2'), (3, 2, 'customer', '01')",
        "insert into order_values values (4, 3, 'total', '1')",
    )
    ann = sample_subject(SubjectKind.USER, "1")

    assert values(exporter, ann, "answers", "name") == ["Phone", "Town"]
    assert values(exporter, ann, "answers", "value") == ["555", "Rome"]
    assert values(exporter, ann, "orders") == [1]


def test_times_as_numbers(opened_recipe: Callable[..., MappedExporter]) -> None:
    """Seconds and milliseconds are times, and 0 is not one; periods and deleted rows are known by them."""
    exporter = opened_recipe(
        HEAD + example("Times as numbers"),
        "create table mdl_user (id integer primary key, timecreated integer, lastlogin integer)",
        "create table posts (id varchar(26) primary key, userid varchar(26), createat bigint not null,"
        " deleteat bigint, message varchar(40))",
        "insert into mdl_user values (1, 1700000000, 0), (2, 1700000001, 1704067200)",
        "insert into posts values ('b', '1', 1700000000123, 0, 'first')",
        "insert into posts values ('a', '1', 1704067200000, 1704067201000, 'gone')",
        "insert into posts values ('c', '2', 1700000000124, 0, 'of Bob')",
    )
    ann = sample_subject(SubjectKind.USER, "1")
    (posts,) = (one for one in exporter.datasets if one.name == "posts")
    late = Selection(since=datetime(2024, 1, 1, tzinfo=UTC))
    (batch,) = exporter.export(ann, posts, Selection())

    assert values(exporter, ann, "profile", "timecreated") == ["2023-11-14T22:13:20.000000Z"]
    assert values(exporter, ann, "profile", "lastlogin") == [None]
    assert values(exporter, sample_subject(SubjectKind.USER, "2"), "profile", "lastlogin") == [
        "2024-01-01T00:00:00.000000Z"
    ]
    assert [(one["id"], one["createat"]) for one in batch.records] == [
        ("b", "2023-11-14T22:13:20.123000Z"),
        ("a", "2024-01-01T00:00:00.000000Z"),
    ]
    assert dict(batch.remarks) == {RowRemark.SOFT_DELETED: [1]}
    assert [one["id"] for batch in exporter.export(ann, posts, late) for one in batch.records] == ["a"]


NAMED = [
    "create table people (id integer primary key, address_id integer)",
    "create table orders (id integer primary key, person_id integer, address_id integer)",
    "create table addresses (id integer primary key, street varchar(40))",
    "create table messages (id integer primary key, person_id integer, parent_id integer)",
    "insert into people values (1, 10), (2, 11), (3, NULL)",
    "insert into orders values (10, 1, 12), (11, 2, 12), (12, 3, 13)",
    "insert into addresses values (1, ''), (2, ''), (3, ''), (10, ''), (11, ''), (12, ''), (13, '')",
    "insert into messages values (1, 1, NULL), (2, 2, 1), (3, 3, 2), (4, 2, NULL), (5, 1, 4), (6, NULL, NULL)",
]


def test_rows_that_name_each_other(opened_recipe: Callable[..., MappedExporter]) -> None:
    """What a person's row names, and answers to the person: one step, and no row of the same number."""
    exporter = opened_recipe(HEAD + example("Rows that name each other"), *NAMED)

    people = [sample_subject(SubjectKind.USER, name) for name in ("1", "2", "3")]
    assert [values(exporter, one, "addresses") for one in people] == [[10, 12], [11, 12], [13]]
    assert [values(exporter, one, "messages") for one in people] == [[1, 2, 5], [2, 3, 4, 5], [3]]


def test_lists_in_a_text(request: pytest.FixtureRequest, opened_recipe: Callable[..., MappedExporter]) -> None:
    """A row for each member: 1 is not in `12,21`, and blanks, an empty list and NULL are of no one."""
    views = recipe_blocks("Lists in a text", "sql")[0].split(";\n\n")
    database = request.node.callspec.params["opened_recipe"]
    made = [
        "create table documents (id integer primary key, shared_with varchar(40))",
        "insert into documents values (1, '1,2'), (2, '12,21'), (3, ' 3 , 1'), (4, ''), (5, NULL), (6, '1,1')",
    ]
    view = views[["postgresql", "mysql", "sqlite"].index(database)]
    exporter = opened_recipe(HEAD + example("Lists in a text"), *made, view)

    people = [sample_subject(SubjectKind.USER, name) for name in ("1", "2", "3", "12")]
    assert [values(exporter, one, "documents") for one in people] == [[1, 3, 6], [1], [3], [2]]


@pytest.mark.parametrize(
    ("opened_recipe", "place", "kind", "rows", "text"),
    [
        ("postgresql", 0, "bytea", r"insert into scans values (1, 1, '\x00ff89'), (2, 2, '\x01')", "AP+J"),
        ("mysql", 1, "blob", "insert into scans values (1, 1, x'00ff89'), (2, 2, x'01')", "AP+J"),
        ("sqlite", 2, "blob", "insert into scans values (1, 1, x'00ff89'), (2, 2, x'01')", "00FF89"),
    ],
    indirect=["opened_recipe"],
)
def test_bytes(opened_recipe: Callable[..., MappedExporter], place: int, kind: str, rows: str, text: str) -> None:
    """A view writes them as a text, also zeros and bytes that are not UTF-8."""
    (views,) = recipe_blocks("Bytes", "sql")
    view = views.split(";\n")[place].strip()
    scans = f"create table scans (id integer primary key, person_id integer, image {kind})"
    exporter = opened_recipe(HEAD + example("Bytes"), scans, rows, view)

    assert values(exporter, person(exporter, "1"), "pictures", "image") == [text]


def test_files_of_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a byte order mark, semicolons, a line break within a value, and a number that begins with zeros."""
    (loading,) = recipe_blocks("Files of CSV", "python")
    text = 'id;person_id;note\r\n007;1;"Köln; 2\r\nlines"\r\n8;2;\r\n'
    (tmp_path / "calls.csv").write_bytes(text.encode("utf-8-sig"))
    monkeypatch.chdir(tmp_path)
    exec(loading, {})  # noqa: S102  # the page's own block
    with mapped_sources() as sources:
        exporter = sources(f"sqlite:///{tmp_path / 'shop.db'}", HEAD + example("Files of CSV"))
        exporter.prepare()
        found = [values(exporter, sample_subject(SubjectKind.USER, "1"), "calls", name) for name in ("id", "note")]

    assert found == [["007"], ["Köln; 2\r\nlines"]]
    assert not (tmp_path / "shop.new").exists()

"""Rows that name no tenant reach no company and no contact: the check finds them until a person has signed it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from source_accounts import execute_all, mapped_sources, owner_and_reader

from exporters.maps.reading import MapText
from exporters.sql.mapped import tenantless
from exporters.sql.mapped.kind import kind
from portability.api import CoverageFinding, CoverageKind
from portability.api.errors import BadMap

MAP = """
title = "Desk"
role = "processor"
kinds = ["contact", "tenant"]
[people]
table = "people"
tenant = "org"
name = "name"
addresses.email = {{ column = "email", since = "proved_at" }}
[[identity]]
table = "addresses"
from = "email"
column = "email"
value = "person_id"
gives = "contact_id"
tenant = "org"
verified = true
[[dataset]]
name = "people"
title = "People"
description = "People."
provenance = "observed"
table = "people"
tenant = "org"
rows = [{{ column = "id", identities = ["contact_id"] }}]
fields.id = {{ type = "integer", text = "Id." }}
[[dataset]]
name = "notes"
title = "Notes"
description = "Notes."
provenance = "observed"
table = "notes"
tenant = "org"
rows = [
  {{ column = "person_id", identities = ["contact_id"] }},
  {{ column = "person_id", identities = ["contact_id"], through = [
    {{ table = "links", here = "note_id", tenant = "org" }},
  ] }},
]
where = [{{ column = "is_draft", equals = 0 }}]
join = {{ table = "labels", here = "id", key = "label_id", tenant = "org" }}
{0}
[dataset.fields]
id = {{ type = "integer", text = "Id." }}
label = {{ joined = "label", text = "Label." }}
[[decision]]
by = "Ann"
on = 2026-12-01
about = ["notes"]
{1}
"""
PLACES = {"addresses": "", "labels": "notes", "links": "notes", "notes": "notes", "people": "people"}
"""Tables with a tenant, and the datasets that lose what a row without one has."""


WITHOUT = (
    "insert into people (id, org) values (2, {})",
    "insert into addresses values (2, {}, 'a', 1)",
    "insert into notes values (3, {}, 1, 1, 0)",
    "insert into labels values (2, {}, 'b')",
    "insert into links values (2, {}, 1, 1)",
)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def accounts(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A desk whose tables may have rows without a tenant; the addresses of its owner and of its reader."""
    owner, reader = owner_and_reader(request, request.param, tmp_path)
    execute_all(
        owner,
        "create table people (id integer primary key, org varchar(9), name varchar(9), email varchar(9),"
        " proved_at timestamp null)",
        "create table addresses (id integer primary key, org varchar(9), email varchar(9), person_id integer)",
        "create table notes (id integer primary key, org varchar(9), person_id integer, label_id integer,"
        " is_draft integer not null)",
        "create table labels (id integer primary key, org varchar(9), label varchar(9))",
        "create table links (id integer primary key, org varchar(9), note_id integer, person_id integer)",
        "insert into people (id, org) values (1, 'org_1')",
        "insert into addresses values (1, 'org_1', 'a', 1)",
        "insert into notes values (1, 'org_1', 1, 1, 0), (2, null, 1, 1, 1)",
        "insert into labels values (1, 'org_1', 'a')",
        "insert into links values (1, 'org_1', 1, 1)",
    )
    return owner, reader


def _found(reader: str, more: str = "", decided: str = "") -> list[CoverageFinding]:
    with mapped_sources() as opened:
        findings = opened(reader, MAP.format(more, decided)).check().findings
    kinds = {CoverageKind.TENANTLESS, CoverageKind.NOT_COMPARED}
    return sorted((one for one in findings if one.kind in kinds), key=lambda one: one.table)


def test_rows_of_a_tenant_are_no_finding(accounts: tuple[str, str]) -> None:
    """A row that no condition of the dataset takes is not missing, whatever its tenant is."""
    assert _found(accounts[1]) == []


@pytest.mark.parametrize("org", ["null", "''"])
def test_a_row_without_tenant_is_found_in_each_table(accounts: tuple[str, str], org: str) -> None:
    """Of a dataset, its join and its steps, a look-up, and the people: each place loses what such a row has."""
    execute_all(
        accounts[0],
        *(statement.format(org) for statement in WITHOUT),
    )

    found = _found(accounts[1])

    assert [(one.table, one.column, one.dataset) for one in found] == [
        (name, "org", dataset) for name, dataset in PLACES.items()
    ]
    assert {one.kind for one in found} == {CoverageKind.TENANTLESS}


def test_a_person_may_sign_that_such_rows_are_of_no_one(accounts: tuple[str, str]) -> None:
    """The decision names the column, and has its reason."""
    execute_all(accounts[0], "insert into notes values (3, null, 1, 1, 0)", "insert into links values (2, null, 1, 1)")

    decided = 'without_tenant = ["notes.org"]\nnote = "Of the software."'

    assert [one.table for one in _found(accounts[1], decided=decided)] == ["links"]


@pytest.mark.parametrize(
    ("decided", "message"),
    [
        ('without_tenant = ["notes.person_id"]\nnote = "Why."', "the map names no tenant by 'notes.person_id'"),
        ('without_tenant = ["notes.org"]', "has its reason in `note`"),
    ],
)
def test_a_wrong_signature_is_a_fault_of_the_map(decided: str, message: str) -> None:
    text = MapText("desk.toml", MAP.format("", decided))
    with pytest.raises(BadMap, match=message):
        kind.parse(text)


def test_a_map_that_names_such_rows_in_a_condition_has_decided(accounts: tuple[str, str]) -> None:
    """`where` is a decision by itself."""
    execute_all(accounts[0], "insert into notes values (3, null, 1, 1, 0)")
    with mapped_sources() as opened:
        text = MAP.format("", "").replace("where = [", 'where = [{ column = "org", null = false }, ')
        findings = opened(accounts[1], text).check().findings

    assert CoverageKind.TENANTLESS not in {one.kind for one in findings}


LABELS = "create view labels as select id, label, case when id > ({}) then 'a' end as org from people"
FILL = (
    "with recursive n(n) as (select 2 union all select n + 1 from n where n < 50000)"
    " insert into labels select n, 'org_1', 'a' from n"
)
LARGE: Mapping[str, tuple[float, tuple[str, ...]]] = {
    # An interrupt comes after some thousands of steps.
    "sqlite": (
        0.0,
        (FILL,),
    ),
    "postgresql": (0.2, ("alter table labels rename to more", LABELS.format("select count(*) from pg_sleep(10)"))),
    "mysql": (0.2, ("rename table labels to more", LABELS.format("select sleep(10)"))),
}
"""A limit, and statements that make a table whose search takes longer."""


def test_a_table_that_is_too_large_is_not_compared(accounts: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The search ends at its limit, and the finding says so; the other tables are searched."""
    seconds, statements = next(made for name, made in LARGE.items() if accounts[0].startswith(name))
    execute_all(accounts[0], "alter table people add label varchar(9)", *statements)
    execute_all(accounts[0], "insert into notes values (3, null, 1, 1, 0)")
    monkeypatch.setattr(tenantless, "LOOK_SECONDS", seconds)

    found = [(str(one.kind), one.table) for one in _found(accounts[1]) if one.table in {"labels", "notes"}]

    assert found == [("not_compared", "labels"), ("tenantless", "notes")]


def test_rows_that_row_level_security_hides_are_not_compared(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A session that shows the rows of one tenant shows none without a tenant."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(
        owner,
        "create table notes (id integer primary key, org text, person_id text)",
        "create index on notes (org, id)",
        "create policy own on notes using (org = current_setting('app.org'))",
        "alter table notes enable row level security",
    )
    text = """
title = "Desk"
role = "processor"
kinds = ["contact"]
[session]
set = { "app.org" = "{tenant}" }
[[dataset]]
name = "notes"
title = "Notes"
description = "Notes."
provenance = "observed"
table = "notes"
tenant = "org"
rows = [{ column = "person_id", identities = ["contact_id"] }]
[dataset.fields]
id = { type = "integer", text = "Id." }
"""
    with mapped_sources() as opened:
        findings = opened(reader, text).check().findings

    assert [(one.table, one.column) for one in findings if one.kind is CoverageKind.NOT_COMPARED] == [("notes", "org")]

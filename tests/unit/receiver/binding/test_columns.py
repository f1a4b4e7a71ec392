from __future__ import annotations

import import_columns
import pytest

from exporters.reference import schema
from receiver.binding.columns import PROOFS, REFERENCES, RULES, ColumnUse
from receiver.binding.tables import TABLES, fields_of, in_order

DATASETS = [pytest.param(f"{exporter}/{dataset}", id=table.name) for (exporter, dataset), table in TABLES.items()]
RIGHTS = ("role", "permissions", "mfa_enabled", "legal_hold", "trusted", *PROOFS.values())


def table_of(dataset: str) -> str:
    exporter, _, name = dataset.partition("/")
    return TABLES[exporter, name].name


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_column_is_listed_once(dataset: str) -> None:
    """A new column is a decision: until it is listed it is not imported, and this test fails."""
    columns = schema.metadata.tables[table_of(dataset)].columns

    assert RULES[dataset].columns.keys() == {column.name for column in columns if not column.info}


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_new_row_has_a_value_where_it_needs_one(dataset: str) -> None:
    """A column that is never imported and must not be NULL has a value instead, the one that gives fewest rights."""
    columns = schema.metadata.tables[table_of(dataset)].c

    assert [
        name for name, one in RULES[dataset].forbidden.items() if not columns[name].nullable and one.instead is None
    ] == []


@pytest.mark.parametrize("dataset", DATASETS)
def test_links_are_mapped_and_rights_are_never_imported(dataset: str) -> None:
    """Every id of another row is mapped; roles, permissions, verifications, MFA and legal holds need a mapping."""
    columns = RULES[dataset].columns

    assert {name for name in columns if name in REFERENCES} == {
        name for name, use in columns.items() if use is ColumnUse.MAPPED and name != "id"
    }
    assert {columns[name] for name in RIGHTS if name in columns} <= {ColumnUse.NEVER}


def test_a_closed_account_or_company_needs_a_mapping() -> None:
    """The end of a conversation or deal is a value like others."""
    closing = {dataset for dataset, rules in RULES.items() if rules.columns.get("closed_at") is ColumnUse.NEVER}

    assert closing == {"account/profile", "account/organisation"}


def test_fields_are_sorted_by_the_table() -> None:
    """Taken, forbidden without a mapping, and ignored: secrets and fields without a column."""
    names = frozenset({"id", "role", "invitation_token", "mood"})

    fields = fields_of("account/memberships", names, frozenset())
    assert [sorted(names) for names in (fields.taken, fields.forbidden, fields.ignored)] == [
        ["id"],
        ["role"],
        ["invitation_token", "mood"],
    ]
    assert fields_of("account/memberships", names, frozenset({"role"})).taken == {"id", "role"}


def test_a_whole_comes_before_its_parts() -> None:
    """The datasets that name the target come first."""
    order = in_order(sorted(TABLES))

    assert order[:3] == [("account", "organisation"), ("account", "profile"), ("crm", "contacts")]
    assert order.index(("calls", "calls")) < order.index(("calls", "analyses"))
    assert order.index(("inquiries", "inquiries")) < order.index(("inquiries", "replies"))


def test_the_page_is_the_table() -> None:
    """docs/importing-columns.md has every dataset and column; `make docs` writes it."""
    assert import_columns.PAGE.read_text() == import_columns.columns_page()

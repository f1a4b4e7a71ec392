"""A time that is not set proves nothing, however it is written: NULL, a day of zeros, or a text that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from source_accounts import mapped_sources, owner_and_reader
from sqlalchemy import create_engine

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Identity, RowRemark, Selection, SubjectKind
from portability.testing import sample_subject

MAP = """
title = "Shop"
role = "controller"
kinds = ["user"]
[[identity]]
table = "customers"
from = "email"
column = "address"
value = "id"
gives = "customer"
verified = "proved"
[[dataset]]
name = "customers"
title = "Customers"
description = "Your entries."
provenance = "provided"
table = "customers"
rows = [{ column = "id", identities = ["customer"], within = "platform" }]
deleted = "removed"
fields.id = { text = "Id." }
"""
PEOPLE = """
title = "CRM"
role = "processor"
kinds = ["user", "email"]
[people]
table = "customers"
tenant = "org"
name = "id"
addresses.email = { column = "address", since = "proved" }
[accounts]
table = "accounts"
addresses.email = { column = "address", since = "proved" }
[[dataset]]
name = "customers"
title = "Customers"
description = "Your entries."
provenance = "provided"
table = "customers"
tenant = "org"
rows = [{ column = "id", identities = ["contact_id"] }]
fields.id = { text = "Id." }
[[dataset]]
name = "accounts"
title = "Accounts"
description = "Your accounts."
provenance = "provided"
table = "accounts"
tenant = "org"
rows = [{ column = "id", identities = ["user_id"], within = "platform" }]
fields.id = { text = "Id." }
"""
UNSET = {
    "sqlite": ("text", ["null", "''", "' '", "'0'", "0", "'false'", "'NULL'", "'0000-00-00 00:00:00'", "'0000-00-00'"]),
    "mysql": ("datetime", ["null", "0", "'0000-00-00 00:00:00'"]),
    "postgresql": ("timestamptz", ["null"]),
}
SET = "'2026-01-31 10:00:00'"
USER = sample_subject(SubjectKind.USER, "usr_1", Identity("requests", "email", "ann@mail.example", verified=True))


@pytest.fixture
def open_map() -> Iterator[Callable[[str, str], MappedExporter]]:
    with mapped_sources() as opened:
        yield opened


@pytest.fixture(params=[*UNSET])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """One entry for each way in which a time is not set, and one whose time is set; all have the same address."""
    kind, unset = UNSET[request.param]
    owner, reader = owner_and_reader(request, request.param, tmp_path)
    engine = create_engine(owner)
    with engine.begin() as connection:
        if request.param == "mysql":
            connection.exec_driver_sql("set session sql_mode = ''")
        columns = f"id varchar(9) primary key, org varchar(9), address varchar(60), proved {kind}, removed {kind}"
        for table in ("customers", "accounts"):
            connection.exec_driver_sql(f"create table {table} ({columns})")
        rows = [f"('no_{n}', 'org_1', 'ann@mail.example', {value}, {value})" for n, value in enumerate(unset)]
        rows.append(f"('yes', 'org_1', 'ann@mail.example', {SET}, {SET})")
        for table in ("customers", "accounts"):
            connection.exec_driver_sql(f"insert into {table} values {', '.join(rows)}")  # noqa: S608  # own values
    engine.dispose()
    return reader


def test_an_address_without_a_time_of_proof_selects_nothing(
    open_map: Callable[[str, str], MappedExporter], shop: str
) -> None:
    """An identity is verified where its time is set, and nowhere else."""
    found = open_map(shop, MAP).identities(USER)
    assert len(found) > 1
    assert [one.value for one in found if one.verified] == ["yes"]


def test_a_row_without_a_time_of_deletion_is_not_deleted(
    open_map: Callable[[str, str], MappedExporter], shop: str
) -> None:
    """Only the row whose time is set counts as marked as deleted."""
    exporter = open_map(shop, MAP)
    (dataset,) = exporter.datasets
    entries = [Identity("shop", "customer", name, verified=True) for name in ("no_0", "no_1", "no_2", "yes")]
    subject = sample_subject(SubjectKind.USER, "usr_1", *entries)
    (batch,) = exporter.export(subject, dataset, Selection())
    deleted = [batch.records[place]["id"] for place in batch.remarks.get(RowRemark.SOFT_DELETED, ())]
    assert deleted == ["yes"]


def test_only_a_proved_account_and_record_have_an_address(
    open_map: Callable[[str, str], MappedExporter], shop: str
) -> None:
    """A person who is an address is the account that has proved it, and no other account."""
    ann = sample_subject(
        SubjectKind.EMAIL, "ann@mail.example", Identity("requests", "email", "ann@mail.example", verified=True)
    )
    found = open_map(shop, PEOPLE).identities(ann)
    assert [one.value for one in found if one.kind == "user_id"] == ["yes"]

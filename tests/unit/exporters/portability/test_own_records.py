"""This software's own records about a subject: whose they are, when they count, and that no table is forgotten."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import orjson
import pytest
from factories import World, world
from own_rows import DAY, present, request_with_everything
from sqlalchemy import Table, update

from exporters.portability.reader import OwnRecords
from exporters.portability.records import TABLES
from exporters.portability.withheld import TABLES_WITHOUT_SUBJECT, WITHHELD_TABLES
from portability.api import Record, Selection, Subject, SubjectKind
from portability.database import models
from portability.database.engine import now, writing
from portability.requests import exports
from portability.testing import sample_subject
from portability.testing.exporters import check_exporter

JANE = sample_subject(SubjectKind.USER, "usr_jane")
NAMES_OF_SUBJECTS = {"subject_id", "subject_ref", "subject_kind", "tenant", "contact_id", "agent", "export_id", "ref"}


@pytest.fixture
def made(tmp_path: Path) -> World:
    return world(tmp_path, {})


@pytest.fixture
def own(made: World) -> OwnRecords:
    return OwnRecords(lambda: made.engine, TABLES)


def records_in(own: OwnRecords, name: str, subject: Subject = JANE, began_at: datetime | None = None) -> list[Record]:
    dataset = next(dataset for dataset in own.datasets if dataset.name == name)
    batches = own.export(subject, dataset, Selection(began_at=began_at))
    return [record for batch in batches for record in batch.records]


@pytest.mark.requirement("R4")
@pytest.mark.parametrize("table", models.metadata.sorted_tables, ids=lambda table: table.name)
def test_every_table_is_exported_or_withheld_with_a_reason(table: Table) -> None:
    """A new table about people cannot be forgotten; a table with a subject cannot be declared as one without."""
    exported = {own_table.columns[0].column.table.name for own_table in TABLES}
    places = [table.name in exported, table.name in WITHHELD_TABLES, table.name in TABLES_WITHOUT_SUBJECT]
    assert places.count(True) == 1, "add the table to TABLES, or to WITHHELD_TABLES with a reason"
    if table.name in TABLES_WITHOUT_SUBJECT:
        assert not NAMES_OF_SUBJECTS & set(table.columns.keys())
        assert not {key.column.table.name for key in table.foreign_keys} - TABLES_WITHOUT_SUBJECT
    assert len(WITHHELD_TABLES.get(table.name, "a reason that a reader understands")) > 20


@pytest.mark.slow
def test_the_contract_of_exporters_is_kept(made: World, own: OwnRecords) -> None:
    """The public contract suite, with a row in every dataset of a person."""
    request_with_everything(made)
    check_exporter(own, JANE, selection=Selection(began_at=present(made)))
    empty = [dataset.name for dataset in own.datasets if not records_in(own, dataset.name)]
    assert empty == ["instructions"]


@pytest.mark.slow
@pytest.mark.requirement("R1")
def test_rows_are_of_one_subject(made: World, own: OwnRecords) -> None:
    """Another person, and a contact with the same identifier at a tenant, get none of Jane's rows."""
    request_with_everything(made)
    mine = made.request("contact:con_1", tenant="ten_a")
    made.request("contact:con_1", tenant="ten_b")
    made.request("contact:con_2", tenant="ten_a")
    for other in (
        sample_subject(SubjectKind.USER, "usr_tom"),
        sample_subject(SubjectKind.CONTACT, "usr_jane", tenant="ten_a"),
        sample_subject(SubjectKind.TENANT, "usr_jane"),
    ):
        assert [name for name in (d.name for d in own.datasets) if records_in(own, name, other)] == []
    found = records_in(own, "requests", sample_subject(SubjectKind.CONTACT, "con_1", tenant="ten_a"))
    assert [record["id"] for record in found] == [mine]


@pytest.mark.requirement("R26")
@pytest.mark.requirement("R22")
def test_no_member_of_staff_and_no_secret_is_in_it(made: World, own: OwnRecords) -> None:
    """Actors are roles; hashes of tokens, keys, and the reason of a legal hold are not exported."""
    request_with_everything(made)
    text = orjson.dumps([records_in(own, dataset.name) for dataset in own.datasets]).decode()
    for secret in ("sam", "olga", "usr_tom", "5" * 64, "6" * 64, "the case of"):
        assert secret not in text
    assert records_in(own, "deadlines")[0]["actor"] == "officer"
    assert {record["action"] for record in records_in(own, "events")} == {"request.accepted", "deadline.extended"}


@pytest.mark.requirement("R5")
def test_an_export_reads_itself_as_it_was_when_it_began(made: World, own: OwnRecords) -> None:
    """What happens while it runs changes no byte: neither new rows, nor values that are set later."""
    identifier = request_with_everything(made)
    began = present(made)
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(state="running", began_at=began))
    before = [records_in(own, dataset.name, began_at=began) for dataset in own.datasets]
    assert [record["began_at"] for record in before[0]] != [None]
    made.request("user:usr_jane", since="2020-01-01")
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="officer:olga")
        connection.execute(update(models.link).values(revoked_at=now(1), revoked_by="officer:olga"))
        connection.execute(update(models.link_claim).values(downloaded_at=now(1)))
        connection.execute(update(models.export).values(ended_at=now(1)))
    assert [records_in(own, dataset.name, began_at=began) for dataset in own.datasets] == before
    assert len(records_in(own, "requests", began_at=began + DAY)) == 2

"""SQLite has no type for times: other software writes them as text, in several forms, and no row is lost by that."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from crm_database import CrmDatabase, open_crm

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Selection, SubjectKind
from portability.testing import check_exporter, sample_subject

MAP = """
title = "Notes"
role = "controller"
kinds = ["user"]
[[dataset]]
name = "notes"
title = "Notes"
description = "Notes of a person."
provenance = "provided"
table = "notes"
rows = [{ column = "owner", identities = ["user_id"], within = "platform" }]
order = ["created_at", "id"]
created = "created_at"
[dataset.fields]
id = { type = "integer", text = "Identifier." }
created_at = { type = "datetime", text = "When it was written." }
[dataset.internal]
owner = "the person"
"""
USER = sample_subject(SubjectKind.USER, "usr_1")
FORMS = (
    "2026-01-31 10:00:00",
    "2026-01-31 10:00:00.5",
    "2026-01-31T10:00:00Z",
    "2026-01-31T10:00:00.250Z",
    "2026-01-31 10:00:00.123456",
    "2026-01-31T10:00:00+00:00",
)
EACH = 200
"""Rows of each form: with the first pages of 64 and 512 rows a reading ends within a form, and between equal times."""


@pytest.fixture(params=["TEXT", "DATETIME"])
def notes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MappedExporter]:
    with sqlite3.connect(tmp_path / "notes.db") as database:
        columns = f"id integer primary key, owner text not null, created_at {request.param} not null"
        database.execute(f"create table notes ({columns})")
        rows = [("usr_1", form) for form in FORMS for _ in range(EACH)]
        database.executemany("insert into notes (owner, created_at) values (?, ?)", rows)
    url = f"sqlite:///{tmp_path / 'notes.db'}"
    opened = open_crm(CrmDatabase(url, url), changed=MAP)
    yield opened
    opened._section.sources.database.dispose()


def ids_of_notes(exporter: MappedExporter, selection: Selection) -> list[object]:
    (dataset,) = exporter.datasets
    read = exporter.export(USER, dataset, selection)
    return [record["id"] for batch in read for record in batch.records]


def test_each_row_is_read_once(notes: MappedExporter) -> None:
    """Pages and slices continue behind the time as it is written: 1,200 rows, and none twice."""
    found = ids_of_notes(notes, Selection())
    assert sorted(map(int, map(str, found))) == list(range(1, 1_201))
    check_exporter(notes, USER)


@pytest.mark.parametrize(
    ("began_at", "rows"), [("2026-01-31T10:00:00.3", 1_000), ("2026-01-31T10:00:01", 1_200), ("2026-01-31T09:59", 0)]
)
def test_times_are_compared_as_times(notes: MappedExporter, began_at: str, rows: int) -> None:
    """What was written before the export belongs to it, in every form: a T in the text makes no later hour."""
    moment = datetime.fromisoformat(began_at).replace(tzinfo=UTC)
    assert len(ids_of_notes(notes, Selection(began_at=moment))) == rows
    assert len(ids_of_notes(notes, Selection(until=moment))) == rows


def test_values_are_written_in_one_form(notes: MappedExporter) -> None:
    """An archive has RFC 3339 in UTC with six digits."""
    (dataset,) = notes.datasets
    read = notes.export(USER, dataset, Selection())
    found = {str(record["created_at"]) for batch in read for record in batch.records}
    assert found == {
        "2026-01-31T10:00:00.000000Z",
        "2026-01-31T10:00:00.123456Z",
        "2026-01-31T10:00:00.250000Z",
        "2026-01-31T10:00:00.500000Z",
    }

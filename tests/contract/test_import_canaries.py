"""Values of an archive are in nothing that an import says, logs or remembers in the clear."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import servers
from handmade import CREATED, table, unpacked_archive
from importing import import_as
from sqlalchemy import Engine, create_engine, text

from receiver.binding.target import ImportTarget
from receiver.importer.database import opened
from receiver.importer.report import DatasetResult
from receiver.ledger import tables
from receiver.ledger.merge import OnConflict

MARK = "Kanarienvogel"
USUAL = {"tenant_id": "ten_x", "created_at": CREATED}
STORED: Mapping[str, Mapping[str, Any]] = {
    "con_1": {"full_name": MARK, "custom": {MARK: MARK}, "job_title": MARK},
    "con_2": {"email": f"{MARK}@example.org"},
}
REFUSED: Mapping[str, Mapping[str, Any]] = {
    "con_3": {"lead_score": MARK},
    "con_4": {"updated_at": MARK},
    "con_5": {"born_on": MARK},
    "con_6": {"do_not_contact": MARK},
    "con_7": {"email": f"{MARK}@example.org"},
    "con_8": {"full_name": {MARK: MARK}},
    "con_9": {"full_name": MARK},
}
STRICTER = ("CREATE UNIQUE INDEX alone ON contacts (email)", "CREATE UNIQUE INDEX named ON contacts (full_name)")


@pytest.fixture(params=["sqlite", "postgresql"])
def into(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/target.db"
        return
    server: servers.Postgres = request.getfixturevalue("pg_server")
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


def import_contacts(folder: Path, into: str, export: str, *records: Mapping[str, Any]) -> DatasetResult:
    folder.mkdir()
    member = table("contacts", *records, exporter="crm")
    folders = unpacked_archive(folder, [member], export=export, subject="one company")
    report = import_as(folders, into, ImportTarget(tenant="ten_here"), on_conflict=OnConflict.TAKE)
    assert MARK not in json.dumps([one.as_json() for one in report.datasets])
    (result,) = report.datasets
    return result


def remembered_values(engine: Engine) -> bytes:
    """All values of the receiver's own tables."""
    found: list[Any] = []
    with opened(engine.url.render_as_string(hide_password=False), make=False) as target, target.begin() as connection:
        for one in tables.metadata.sorted_tables:
            found += [value for row in connection.execute(one.select()) for value in row]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in found)


def test_no_value_of_an_archive_is_in_a_report_a_log_or_the_journal(
    tmp_path: Path, into: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Refused, stored, changed on both sides: reports name records by their ids, and the journal is encrypted."""
    caplog.set_level(logging.DEBUG)
    with opened(into, make=True):
        pass
    engine = create_engine(into)
    with engine.begin() as connection:
        for statement in STRICTER:
            connection.execute(text(statement))
    archived = {key: {"id": key, **USUAL, **values} for key, values in {**STORED, **REFUSED}.items()}
    first = import_contacts(tmp_path / "first", into, "e1", *archived.values())
    assert (first.new, first.refused.total(), first.quarantined.total(), len(first.examples)) == (2, 7, 0, 7)
    with engine.begin() as connection:
        connection.execute(text("UPDATE contacts SET job_title = 'changed here'"))

    changed = {**archived["con_1"], "job_title": f"{MARK} also there"}
    second = import_contacts(tmp_path / "second", into, "e2", changed, archived["con_2"])
    assert [one.fields for one in second.conflicting] == [("job_title",)]
    with engine.begin() as connection:
        assert f"{MARK} also there" in connection.scalars(text("SELECT job_title FROM contacts")).all()

    assert MARK not in caplog.text + "".join(capfd.readouterr())
    journal = remembered_values(engine)
    assert b"con_1" in journal
    assert MARK.encode() not in journal
    engine.dispose()

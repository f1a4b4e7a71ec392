"""The comparison finds what is wrong: each fault of a small archive is named, and the archive as it is has none."""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from audit import comparison
from audit.delivered import DeliveredArchive, read
from audit.expectations import ExpectedPerson
from audit.source_rows import PAGE_TABLES, SourceRow, content_of, row

ROWS: Mapping[str, SourceRow] = {
    made.identifier: made
    for made in (
        row("calls", "call_1", tenant_id="ten_1", contact_id="con_1"),
        row("calls", "call_2", tenant_id="ten_1", contact_id="con_1"),
        row("recordings", "rec_1", tenant_id="ten_1", call_id="call_1"),
    )
}
PERSON = ExpectedPerson(
    who="A person with two calls",
    topic="the comparison",
    subject="contact:con_1",
    own="none",
    processor="delivered",
    complete=False,
    states={"calls/recordings": "partial"},
    remarks={"calls/calls": {"past_retention": 1}},
    gaps=[["calls/recordings", "rec_2", "", "missing"]],
    withheld=["calls/calls.voiceprint"],
    not_withheld=["calls/recordings.signed_url"],
    contains=["status"],
    absent=["another person"],
    delivered={"calls/calls": ["call_1", "call_2"], "calls/recordings": ["rec_1"]},
)
Contents = dict[str, Any]
"""The members of an archive: tables as lists of records, export.json as an object, others as bytes."""


def _record(identifier: str) -> dict[str, Any]:
    made = ROWS[identifier]
    columns = PAGE_TABLES[made.table].columns
    return {name: value for name, value in made.values.items() if columns[name].is_exported}


def _contents() -> Contents:
    calls, recordings = [_record("call_1"), _record("call_2")], [_record("rec_1")]
    lines = [
        {"exporter": "calls", "dataset": "calls", "state": "complete", "records": 2, "remarks": {"past_retention": 1}},
        {"exporter": "calls", "dataset": "recordings", "state": "partial", "records": 1},
    ]
    document = {
        "revision": 1,
        "complete": False,
        "outcome": {"own": "none", "processor": "delivered"},
        "datasets": lines,
        "gaps": [{"exporter": "calls", "dataset": "recordings", "what": "recordings/rec_2", "reason": "missing"}],
        "withheld": [{"exporter": "calls", "dataset": "calls", "name": "voiceprint"}],
    }
    return {
        "data/calls/calls.jsonl": calls,
        "data/calls/calls.csv": b'"id"\r\n"call_1"\r\n"call_2"\r\n',
        "data/calls/recordings.jsonl": recordings,
        "data/calls/recordings.csv": b'"id"\r\n"rec_1"\r\n',
        "data/calls/recordings/rec_1.bin": content_of("rec_1.bin"),
        "data/calls/vcon/call_1.vcon.json": b"{}",
        "data/calls/vcon/call_2.vcon.json": b"{}",
        "export.json": document,
    }


def _archive(folder: Path, contents: Contents) -> DeliveredArchive:
    with zipfile.ZipFile(folder / "export-1-001.zip", "w") as volume:
        for name, content in contents.items():
            volume.writestr(f"export-1-001/{name}", _bytes(content))
    return read([folder / "export-1-001.zip"])


def _bytes(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    if isinstance(content, list):
        return "".join(json.dumps(record, default=str) + "\n" for record in content).encode()
    return json.dumps(content).encode()


def _differences(archive: DeliveredArchive) -> Mapping[str, list[str]]:
    found = {name: list(find(archive)) for name, find in comparison.checks_of(PERSON, ROWS, "sqlite").items()}
    return {name: differences for name, differences in found.items() if differences}


def _lines(contents: Contents) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = contents["export.json"]["datasets"]
    return found


FAULTS: Mapping[str, tuple[str, Callable[[Contents], object]]] = {
    "a record is lost": ("rows", lambda c: c["data/calls/calls.jsonl"].pop()),
    "a record comes twice": ("rows", lambda c: c["data/calls/calls.jsonl"].append(_record("call_1"))),
    "an unexplained record": (
        "rows",
        lambda c: c["data/calls/calls.jsonl"].append({"id": "call_of_another"}),
    ),
    "a record is not in CSV": ("rows", lambda c: c.update({"data/calls/calls.csv": b'"id"\r\n"call_1"\r\n'})),
    "a vCon is lost": ("rows", lambda c: c.pop("data/calls/vcon/call_2.vcon.json")),
    "a wrong count": ("rows", lambda c: _lines(c)[0].update(records=3)),
    "a value is changed": ("values", lambda c: c["data/calls/calls.jsonl"][0].update(status="open")),
    "a value is lost": ("values", lambda c: c["data/calls/calls.jsonl"][0].update(created_at=None)),
    "a field is lost": ("values", lambda c: c["data/calls/calls.jsonl"][0].pop("created_at")),
    "a secret field": ("values", lambda c: c["data/calls/calls.jsonl"][0].update(voiceprint="")),
    "a secret value": ("values", lambda c: c.update({"README.html": b"CANARY calls.voiceprint call_1"})),
    "a changed file": ("files", lambda c: c.update({"data/calls/recordings/rec_1.bin": b"other"})),
    "a false state": ("states", lambda c: _lines(c)[0].update(state="empty")),
    "a dataset without a line": ("states", lambda c: _lines(c).pop(1)),
    "a remark is lost": ("remarks", lambda c: _lines(c)[0].pop("remarks")),
    "a gap is lost": ("gaps", lambda c: c["export.json"]["gaps"].pop()),
    "an unexplained gap": ("gaps", lambda c: c["export.json"]["gaps"][0].update(what="recordings/rec_1")),
    "a false outcome": ("outcome", lambda c: c["export.json"].update(outcome={"own": "complete", "processor": "none"})),
    "complete is false": ("complete", lambda c: c["export.json"].update(complete=True)),
    "withheld and not named": ("withheld", lambda c: c["export.json"]["withheld"].pop()),
    "named and not stored": (
        "withheld",
        lambda c: c["export.json"]["withheld"].append(
            {"exporter": "calls", "dataset": "recordings", "name": "signed_url"}
        ),
    ),
    "a text of another person": ("texts", lambda c: c.update({"README.html": b"about another person"})),
}


def test_an_archive_as_expected_has_no_difference(tmp_path: Path) -> None:
    """Nothing is found in an archive that has exactly what is expected."""
    assert _differences(_archive(tmp_path, _contents())) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(tmp_path: Path, fault: str) -> None:
    """Each fault is found by the check that is named for it."""
    check, spoil = FAULTS[fault]
    contents = copy.deepcopy(_contents())
    spoil(contents)

    assert check in _differences(_archive(tmp_path, contents))


def test_the_newest_closing_volume_counts() -> None:
    """The document of a later revision replaces that of an earlier revision, in any order of the volumes."""
    found = DeliveredArchive()
    for revision in (2, 1):
        found.add("export.json", json.dumps({"revision": revision}).encode())

    assert found.document == {"revision": 2}

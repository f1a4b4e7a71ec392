"""Compares an archive with what its person must get. Each check returns all differences, as sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from audit.delivered import DeliveredArchive, Record
from audit.expectations import ExpectedPerson, ExpectedSwitch
from audit.schema_page import PageColumn
from audit.source_rows import CANARY, PAGE_TABLES, SourceRow

DOCUMENTS = {"calls": "calls/calls", "chats": "chats/conversations"}
"""Exporters whose vCon documents each belong to a record of a dataset."""
OWN_EXPORTER = "portability/"
"""Datasets of this software itself: not the platform's rows."""
REMARK_CODES = ("past_retention", "soft_deleted", "created_in_future")
NORMAL_STATES = ("complete", "with_remarks")
Expected = Mapping[str, Sequence[str]]
Check = Callable[[DeliveredArchive], Iterator[str]]


def compare_rows(expected: Expected, archive: DeliveredArchive) -> Iterator[str]:
    """Find unexplained rows: present and not expected, expected and not present, or present twice, in any format."""
    for dataset in sorted({*expected, *archive.records, *archive.csv_ids}):
        if not dataset.startswith(OWN_EXPORTER):
            yield from _difference(dataset, expected.get(dataset, ()), archive.ids(dataset))
            yield from _difference(f"{dataset} as CSV", archive.ids(dataset), archive.csv_ids.get(dataset, ()))
    for exporter, dataset in DOCUMENTS.items():
        yield from _difference(f"{exporter}/vcon", archive.ids(dataset), archive.vcons.get(exporter, ()))
    for dataset, counted in archive.counted.items():
        if not dataset.endswith("/vcon") and counted != len(archive.ids(dataset)):
            yield f"{dataset}: the ledger counts {counted} records, the archive has {len(archive.ids(dataset))}"


def compare_values(source: Mapping[str, SourceRow], archive: DeliveredArchive, missing: Sequence[str]) -> Iterator[str]:
    """Find lost or changed values of delivered rows, except those with the ids in `missing`."""
    datasets = {table.dataset: table for table in PAGE_TABLES.values()}
    for dataset, records in archive.records.items():
        for record in records if dataset in datasets else ():
            row = source.get(record["id"])
            if row is None:
                continue  # it is among the unexplained rows
            for column in datasets[dataset].columns.values():
                if not column.is_exported:
                    if column.name in record:
                        yield f"{dataset} {row.identifier}: {column.name} must not be exported"
                elif not _is_kept(row, record, column) and row.identifier not in missing:
                    yield f"{dataset} {row.identifier}: {column.name} is {record.get(column.name)!r}"
    if CANARY.encode() in archive.content:
        yield "a value of a column that must never leave the platform is in the archive"


def compare_files(archive: DeliveredArchive, missing: Sequence[str]) -> Iterator[str]:
    """Find recordings and attachments whose file is not in the archive byte for byte."""
    for dataset in ("calls/recordings", "chats/attachments"):
        for record in archive.records.get(dataset, ()):
            if record["id"] not in missing and record["sha256"] not in archive.files.values():
                yield f"{dataset} {record['id']}: no file of the archive has its SHA-256"


def compare_states(
    person: ExpectedPerson, archive: DeliveredArchive, reviewed: Sequence[SourceRow] = ()
) -> Iterator[str]:
    """Find lines of the ledger with another state than the person's rows lead to."""
    referred = ("needs_instruction",) if person.processor == "referred" else ()
    partly = {PAGE_TABLES[row.table].dataset for row in reviewed}
    for dataset, line in archive.lines.items():
        if dataset in person.states:
            allowed: Sequence[str] = (person.states[dataset],)
        elif dataset in partly:
            allowed = ("partial",)
        elif dataset.startswith(OWN_EXPORTER):
            allowed = ("complete", "with_remarks", "empty")
        elif _has_rows(person, dataset):
            allowed = (*NORMAL_STATES, *(("partial",) if dataset.endswith("/vcon") else ()), *referred)
        else:
            allowed = ("empty", *(("partial",) if dataset.endswith("/vcon") and reviewed else ()), *referred)
        if line["state"] not in allowed:
            yield f"{dataset}: state {line['state']}, expected {' or '.join(allowed)}"
    for dataset in {*person.states, *person.delivered} - archive.lines.keys():
        yield f"{dataset}: no line in the ledger"


def compare_remarks(expected: Mapping[str, Mapping[str, int]], archive: DeliveredArchive) -> Iterator[str]:
    """Find remarks about rows that are missing or wrong."""
    for dataset, line in archive.lines.items():
        if not dataset.endswith("/vcon"):
            found = {code: n for code, n in line.get("remarks", {}).items() if code in REMARK_CODES}
            if found != dict(expected.get(dataset, {})):
                yield f"{dataset}: remarks {found}, expected {dict(expected.get(dataset, {}))}"


def compare_gaps(
    expected: Sequence[Sequence[str]], archive: DeliveredArchive, reviewed: Sequence[SourceRow] = ()
) -> Iterator[str]:
    """Find gaps that are missing, and gaps that nothing explains. A gap of a vCon follows that of its record.

    A gap about a row that needs a review names the row, or the call or chat that it is part of.
    """
    wanted: list[tuple[str, Sequence[str], str, str]] = [
        (d, [name], place, reason) for d, name, place, reason in expected
    ]
    wanted += [(PAGE_TABLES[row.table].dataset, _names(row), "", "needs_review") for row in reviewed]
    found = [gap for gap in archive.gaps if not gap[0].endswith("/vcon")]
    explained = []
    for dataset, names, place, reason in wanted:
        same = [gap for gap in found if gap[0] == dataset and gap[2] == reason and place in gap[1]]
        fitting = [gap for gap in same if any(re.search(rf"\b{name}\b", gap[1]) for name in names)]
        explained += fitting
        if not fitting:
            yield f"{dataset}: no gap {reason} names {names[0]} {place}".rstrip()
    for dataset, what, reason in found:
        if (dataset, what, reason) not in explained:
            yield f"{dataset}: unexpected gap {reason} of {what}"


def compare_outcome(person: ExpectedPerson, archive: DeliveredArchive) -> Iterator[str]:
    """Find parts of the outcome that differ. `complete` and `with_remarks` differ by remarks about rows only."""
    found = archive.document.get("outcome", {})
    own = NORMAL_STATES if person.own == "complete" else (person.own,)
    if found.get("own") not in own:
        yield f"own part: {found.get('own')}, expected {person.own}"
    if found.get("processor") != person.processor:
        yield f"processor part: {found.get('processor')}, expected {person.processor}"


def compare_complete(expected: bool | None, archive: DeliveredArchive) -> Iterator[str]:
    """Find out whether the archive calls itself complete, and is not, or the reverse."""
    if archive.document["complete"] is not expected:
        yield f"complete is {archive.document['complete']}, expected {expected}"


def compare_withheld(person: ExpectedPerson, archive: DeliveredArchive) -> Iterator[str]:
    """Find values that are stored and not named, and values that are named and not stored."""
    yield from (f"{name}: stored, and not named" for name in person.withheld if name not in archive.withheld)
    yield from (f"{name}: named, and not stored" for name in person.not_withheld if name in archive.withheld)


def compare_texts(contains: Sequence[str], absent: Sequence[str], archive: DeliveredArchive) -> Iterator[str]:
    """Find texts that are missing, and texts that must not be in any file."""
    yield from (f"{text!r} is in no file" for text in contains if text.encode() not in archive.content)
    yield from (f"{text!r} is in a file" for text in absent if text.encode() in archive.content)


def checks_of(person: ExpectedPerson, source: Mapping[str, SourceRow], database: str) -> Mapping[str, Check]:
    """Return the checks of a person's archive by name."""
    expected_gaps = person.gaps_on(database)
    incomplete = [gap[1] for gap in expected_gaps]
    reviewed = _reviewed(person, source)
    return {
        "rows": partial(compare_rows, person.delivered),
        "values": partial(compare_values, source, missing=incomplete),
        "files": partial(compare_files, missing=incomplete),
        "states": partial(compare_states, person, reviewed=reviewed),
        "remarks": partial(compare_remarks, person.remarks),
        "gaps": partial(compare_gaps, expected_gaps, reviewed=reviewed),
        "outcome": partial(compare_outcome, person),
        "complete": partial(compare_complete, person.complete),
        "withheld": partial(compare_withheld, person),
        "texts": partial(compare_texts, person.contains, person.absent),
    }


CHECKS = ("rows", "values", "files", "states", "remarks", "gaps", "outcome", "complete", "withheld", "texts")
SWITCH_CHECKS = ("rows", "files", "gaps", "remarks", "complete", "texts", "unrelated")


def switch_checks_of(switch: ExpectedSwitch, source: Mapping[str, SourceRow]) -> Mapping[str, Check]:
    """Return the checks of a company's archive by name."""
    owned: dict[str, list[str]] = {dataset: [] for dataset in switch.rows}
    for row in source.values():
        dataset = PAGE_TABLES[row.table].dataset
        if dataset in owned and switch.tenant in {row.tenant, row.identifier} and row.identifier not in switch.never:
            owned[dataset].append(row.identifier)
    assert {dataset: len(found) for dataset, found in owned.items()} == dict(switch.rows)
    return {
        "rows": partial(compare_rows, owned),
        "files": partial(compare_files, missing=switch.missing_files),
        "gaps": partial(compare_gaps, switch.gaps),
        "remarks": partial(compare_remarks, switch.remarks),
        "complete": partial(compare_complete, switch.complete),
        "texts": partial(compare_texts, switch.contains, switch.absent),
        "unrelated": partial(compare_unrelated, switch),
    }


def compare_unrelated(switch: ExpectedSwitch, archive: DeliveredArchive) -> Iterator[str]:
    """Find datasets whose line does not count the rows that lead to no person."""
    for dataset, line in archive.lines.items():
        if dataset.endswith("/vcon"):
            continue  # it follows the calls and chats
        found, expected = line.get("remarks", {}).get("no_person", 0), switch.unrelated.get(dataset, 0)
        if found != expected:
            yield f"{dataset}: {found} unrelated rows, expected {expected}"


def _difference(dataset: str, expected: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    counts = Counter(found)
    yield from (f"{dataset}: {name} is missing" for name in expected if name not in counts)
    yield from (f"{dataset}: {name} is unexplained" for name in counts if name not in expected)
    yield from (f"{dataset}: {name} comes {n} times" for name, n in counts.items() if n > 1)


def _names(row: SourceRow) -> Sequence[str]:
    """Return the ids by which a gap may name a row."""
    parents = [row.values.get(column) for column in ("call_id", "conversation_id")]
    return [row.identifier, *(parent for parent in parents if parent is not None)]


def _reviewed(person: ExpectedPerson, source: Mapping[str, SourceRow]) -> Sequence[SourceRow]:
    return [source[name] for name, reason in person.not_delivered.items() if reason == "needs_review"]


def _has_rows(person: ExpectedPerson, dataset: str) -> bool:
    exporter, name = dataset.split("/")
    return bool(person.delivered.get(DOCUMENTS[exporter] if name == "vcon" else dataset))


def _is_kept(row: SourceRow, record: Record, column: PageColumn) -> bool:
    """Return whether a value arrived: the same text or number, or anything for a value of another type."""
    if column.name not in record:
        return column.fate.startswith("exported, derived")  # the profile `portability` leaves it out
    stored, delivered = row.values[column.name], record[column.name]
    if column.is_verbatim and isinstance(stored, str | bool | int | float):
        return bool(stored == delivered)
    return (stored is None) is (delivered is None)

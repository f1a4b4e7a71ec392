"""The figures of the summary, from export.json and the viewer's index: no record is read again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from portability.api import JSON, Dataset

Months = Mapping[str, int]
"""Numbers of records by month, such as `2026-01`."""
Counted = Sequence[tuple[Mapping[str, JSON], int]]
"""Lines of export.json with a number each; the texts of a line have their translations."""
DatasetName = tuple[str, str]
"""An exporter and one of its datasets."""

Places = Sequence[tuple[DatasetName, str]]
"""Datasets with a field each."""

PERSON_NAMES: Places = ((("account", "profile"), "full_name"), (("crm", "contacts"), "full_name"))
COMPANY_NAMES: Places = ((("account", "organisation"), "name"),)
LANGUAGES: Places = ((("account", "profile"), "locale"), (("crm", "contacts"), "language"))
COMPANY = "tenant"
"""The kind of a subject that is a company."""


@dataclass(frozen=True, slots=True)
class KindFigures:
    """What an archive has from one exporter."""

    exporter: str
    records: int
    files: int
    months: Months
    """Of the records that have a date."""


@dataclass(frozen=True, slots=True)
class Grounded:
    """Everything that is absent for the same reason."""

    code: str
    lines: Counted
    """What is absent, and how often; 0: it is absent as a whole."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a person sees first about an export."""

    name: str | None
    """Of the person or company, where the data says it."""
    kinds: Sequence[KindFigures]
    """Those with data, in the order of the ledger."""
    records: int
    files: int
    bytes: int
    months: Months
    """Of all records that have a date."""
    missing: Sequence[Grounded]
    """Gaps by reason."""
    left_out: Sequence[Grounded]
    """Datasets by the rule that leaves them out."""
    withheld: Sequence[Grounded]
    """What is stored and never delivered, by its kind."""
    examined: Sequence[Grounded]
    """Records that an officer has not assigned to the subject, by the reason."""
    replaced: Mapping[str, int]
    """Numbers of replaced values by rule."""


def summarize(
    export: Mapping[str, Any],
    datasets: Iterable[tuple[str, Dataset]],
    months: Callable[[str, Dataset], Months],
    name: str | None,
) -> Summary:
    """Sum up an export. Documents, such as a vCon for each call, are copies of records and not counted.

    Args:
        export: the document export.json.
        datasets: those that the export looked for, by exporter.
        months: returns the numbers of a dataset's records by month; empty where they are unknown.
        name: of the subject.
    """
    lines: Sequence[Mapping[str, Any]] = export["datasets"]
    by_name: dict[DatasetName, Months] = {}
    documents: set[DatasetName] = set()
    for exporter, dataset in datasets:
        if dataset.documents:
            documents.add((exporter, dataset.name))
        else:
            by_name[exporter, dataset.name] = months(exporter, dataset)
    counted = [line for line in lines if _name(line) not in documents]
    titles = {_name(line): line for line in lines}
    replaced: Counter[str] = Counter()
    for line in lines:
        replaced.update(line.get("redactions") or {})
    not_theirs = [one for one in export.get("reviews") or () if one["decision"] == "not_theirs"]
    return Summary(
        name=name,
        kinds=_kinds(counted, by_name),
        records=sum(line["records"] for line in counted),
        files=sum(line["files"] for line in counted),
        bytes=sum(line["bytes"] for line in lines),
        months=joined(by_name.values()),
        missing=_grounded((gap["reason"], titles.get(_name(gap), gap), 1) for gap in export["gaps"]),
        left_out=_grounded((left["reason"], left, 0) for left in export.get("not_included") or ()),
        withheld=_grounded((one["kind"], one, one.get("records") or 0) for one in export.get("withheld") or ()),
        examined=_grounded((one["reason"], titles.get(_name(one), one), one["records"]) for one in not_theirs),
        replaced=+replaced,
    )


def subject_name(kind: str, first_record: Callable[[DatasetName], bytes | None]) -> str | None:
    """Return the name of a person or company where the first record of a dataset has it.

    Args:
        kind: of the subject, as export.json names it.
        first_record: returns a dataset's first record as JSON; None without one.
    """
    return _first_text(COMPANY_NAMES if kind == COMPANY else PERSON_NAMES, first_record)


def subject_language(kind: str, first_record: Callable[[DatasetName], bytes | None]) -> str | None:
    """Return the tag of a person's language where the data has it; arguments as of `subject_name`."""
    return None if kind == COMPANY else _first_text(LANGUAGES, first_record)


def _first_text(places: Places, first_record: Callable[[DatasetName], bytes | None]) -> str | None:
    for dataset, field in places:
        if (line := first_record(dataset)) is not None:
            found = orjson.loads(line).get(field)
            if isinstance(found, str) and found.strip():
                return found
    return None


def _kinds(lines: Iterable[Mapping[str, Any]], months: Mapping[DatasetName, Months]) -> list[KindFigures]:
    by_exporter: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        by_exporter[line["exporter"]].append(line)
    kinds = [
        KindFigures(
            exporter,
            sum(line["records"] for line in own),
            sum(line["files"] for line in own),
            joined(months[name] for name in dict.fromkeys(map(_name, own)) if name in months),
        )
        for exporter, own in by_exporter.items()
    ]
    return [kind for kind in kinds if kind.records or kind.files]


def joined(some: Iterable[Months]) -> Months:
    """Return the sums of several counts by month, in order."""
    counted: Counter[str] = Counter()
    for months in some:
        counted.update(months)
    return dict(sorted(counted.items()))


def _grounded(found: Iterable[tuple[str, Mapping[str, Any], int]]) -> list[Grounded]:
    """Group (code, line, number) by code, those with most lines first; lines of the same name count together."""
    groups: defaultdict[str, dict[tuple[str, ...], tuple[Mapping[str, Any], int]]] = defaultdict(dict)
    for code, line, n in found:
        key = (*_name(line), line.get("name", ""))
        first, before = groups[code].get(key, (line, 0))
        groups[code][key] = (first, before + n)
    grounded = [Grounded(code, [*lines.values()]) for code, lines in groups.items()]
    return sorted(grounded, key=lambda one: len(one.lines), reverse=True)


def _name(line: Mapping[str, Any]) -> DatasetName:
    return line["exporter"], line["dataset"]

"""What the viewer's index says of records, apart from their place: conversations, their parts, and sums of datasets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import orjson

from archive.viewer.talks import CHARTED, TALKS, TalkForm
from portability.api import JSON, Dataset, FieldType

WORDS_CHARS = 90
"""Of the first words of a conversation."""
VALUE_CHARS = 120
"""Of a value that a chart counts."""
TIMES = frozenset({FieldType.DATETIME, FieldType.DATE})
_LATE = re.compile(r"(updated|retained|closed|ended|deleted|removed|expires|email_|phone_|born|birth|closes|due|last_)")
"""Beginnings of the names of times that no chart shows: what became of a record later, what is planned, a birthday
(registry.js)."""

TalkEntry: TypeAlias = tuple[Sequence[Any], Sequence[Any]]
"""The columns of an entry before and after its place."""
Sums: TypeAlias = Counter[tuple[str, str]]
"""How many records have a value, or a time in a month, by field and value."""


def makes_talks(exporter: str, dataset: Dataset) -> bool:
    """Return whether the records of a dataset are conversations, or belong to them."""
    talk = TALKS.get(exporter)
    return talk is not None and dataset.name in (talk.parent, *talk.children)


def talk_entries(exporter: str, dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> Sequence[TalkEntry]:
    """Return the entries of a shard whose records make conversations."""
    talk = TALKS[exporter]
    if dataset.name == talk.parent:
        return [*_listed(talk, exporter, rows)]
    return [*_runs(talk, exporter, dataset.name, rows)]


def sums(exporter: str, dataset: Dataset, columns: Mapping[str, Sequence[JSON]]) -> Sums:
    """Count records by field and month, and by the values of a charted field."""
    counted: Sums = Counter()
    for field in dataset.fields:
        if field.type in TIMES and not _LATE.match(field.name):
            length = len("2026-01")
        elif CHARTED.get((exporter, dataset.name)) == field.name:
            length = VALUE_CHARS
        else:
            continue
        values = Counter([value[:length] for value in columns[field.name] if isinstance(value, str)])
        counted.update({(field.name, value): n for value, n in values.items()})
    return counted


def _listed(talk: TalkForm, exporter: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[TalkEntry]:
    for row, record in enumerate(rows):
        at = next((found for name in talk.moments if (found := record.get(name))), None)
        first = _words(record.get(talk.first)) if talk.first is not None else None
        facts = orjson.dumps([first, *(record.get(name) for name in talk.facts)]).decode()
        yield (exporter, _id(record.get("id")), at, facts), (row,)


def _runs(talk: TalkForm, exporter: str, dataset: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[TalkEntry]:
    row = 0
    for parent, some in groupby(rows, key=lambda record: record.get(talk.link)):
        records = list(some)
        beginnings = (_words(record.get(talk.text)) for record in records) if dataset == talk.said else iter(())
        yield (exporter, dataset, _id(parent)), (row, len(records), next(filter(None, beginnings), None))
        row += len(records)


def _id(value: Any) -> str | None:  # noqa: ANN401  # a value of a record
    return str(value) if value is not None else None


def _words(value: Any) -> str | None:  # noqa: ANN401  # a value of a record
    return (" ".join(value[: 4 * WORDS_CHARS].split())[:WORDS_CHARS] or None) if isinstance(value, str) else None

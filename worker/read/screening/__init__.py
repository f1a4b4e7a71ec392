"""The scan of all outgoing data (docs/scan.md): a prefilter over encoded lines, then an exact check of the suspects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import orjson

from portability.api import JSON, Batch, Dataset, FieldType, Record
from portability.api.rows import Rows
from portability.law import scan_rules
from portability.law.scan_rules import FindingKind, ScanActions, ScanBlocked
from worker.read.batch_validation import REASON_CHARS, named_apart
from worker.read.screening.files import TextScan, is_text
from worker.read.screening.numbers import DIGITS_MIN
from worker.read.screening.prefilter import Prefilter, Suspects
from worker.read.screening.values import NUMBER_MIN, Counts, Values, ValueScan

_NEXT = '"\n"'
"""Separates two texts, so that each has a line and quotes around it."""
_HARMLESS = frozenset({FieldType.BOOLEAN, FieldType.DATE, FieldType.DATETIME})
_NUMBERS = frozenset({FieldType.INTEGER, FieldType.NUMBER})


class Screen:
    """What an export searches for in its data, and the actions."""

    def __init__(self, actions: ScanActions | None = None, canaries: Iterable[str] = ()) -> None:
        known = scan_rules.built_in()
        planted = scan_rules.canary_rule(canaries)
        rules = [planted if rule.kind is FindingKind.CANARY else rule for rule in known.rules]
        self._values = Values(rules, actions or known.actions)
        self._prefilter = Prefilter(literal for rule in rules for literal in rule.literals)

    def batch(self, dataset: Dataset, batch: Batch, counts: Counts) -> Batch:
        """Return the batch with marks in its records, in the names of its files and in its gaps.

        Raises: ScanBlocked, with rules and counts, without content of the records.
        """
        named = self.named(batch, counts)
        records = self.records(dataset, named.records, counts)
        return named if records is named.records else replace(named, records=records)

    def records(self, dataset: Dataset, records: Sequence[Record], counts: Counts) -> Sequence[Record]:
        """Return the records with marks; the same object if nothing is masked. Raises ScanBlocked."""
        if isinstance(records, Rows):
            suspects = self._suspects(dataset, records)
        else:
            lines, suspects = _encoded(records)
            suspects |= self._prefilter.suspects(lines)
        if not suspects:
            return records
        before = counts.masked.total()
        screened = list(records)
        for place in sorted(suspects.numbers | suspects.words):
            look = ValueScan(place in suspects.numbers, place in suspects.words)
            screened[place] = self._values.record(dataset, screened[place], counts, look)
        _check(counts, dataset.name)
        return screened if counts.masked.total() > before else records

    def _suspects(self, dataset: Dataset, rows: Rows) -> Suspects:
        """Return suspects among rows with their texts, without names of fields, times and small numbers."""
        if rows.texts is None:
            return self._prefilter.suspects(rows.lines)
        types = {field.name: field.type for field in dataset.fields}
        suspects = Suspects()
        for name, values, texts in zip(rows.names, rows.columns, rows.texts, strict=True):
            if _may_hold(types.get(name), values, texts):
                suspects |= self._prefilter.suspects(f'"{_NEXT.join(texts)}"\n'.encode())
        return suspects

    def named(self, batch: Batch, counts: Counts) -> Batch:
        """Return the batch with marks in the names of its files, also in its records, and in its gaps.

        Raises: ScanBlocked.
        """
        if not batch.files and not batch.gaps:
            return batch
        text = self._values.text
        files = named_apart([replace(file, name=text(file.name, counts)) for file in batch.files])
        marked = {old.name: new.name for old, new in zip(batch.files, files, strict=True) if old.name != new.name}
        gaps = tuple(
            replace(
                gap,
                what=text(gap.what, counts),
                reason=text(gap.reason, counts)[:REASON_CHARS],
                key=gap.key if self._is_plain(gap.key) else (),
            )
            for gap in batch.gaps
        )
        _check(counts, "names of files and gaps")
        records = [self._renamed(record, marked, counts) for record in batch.records] if marked else batch.records
        return replace(batch, records=records, files=files, gaps=gaps)

    def _renamed(self, record: Record, names: Mapping[str, str], counts: Counts) -> Record:
        """Return a record with the new names of files: two names may have the same marks, and are kept apart."""
        changed = {field: names[value] for field, value in record.items() if isinstance(value, str) and value in names}
        for field in changed:
            self._values.text(str(record[field]), counts)
        return {**record, **changed} if changed else record

    def _is_plain(self, key: Sequence[str | int]) -> bool:
        """Return whether nothing of a key is masked: with a mark it would name no record."""
        counts = Counts()
        return all(self._values.text(str(value), counts) == str(value) for value in key)

    def found(self, text: str) -> Counter[str]:
        """Count what would be found in one text, by rule, for any action."""
        suspects = self._prefilter.suspects(orjson.dumps(text) + b"\n")
        counts = Counts()
        self._values.text(text, counts, ValueScan(bool(suspects.numbers), bool(suspects.words)))
        return counts.masked + counts.reported + counts.blocked

    def text_file(self, name: str, media_type: str) -> TextScan | None:
        """Return a scan for a file's blocks, which stay as they are; None if not text. `close` raises ScanBlocked."""
        if not is_text(media_type):
            return None
        return TextScan(self._values, self._prefilter, lambda counts: _check(counts, name))


def _may_hold(kind: FieldType | None, values: Sequence[JSON], texts: Sequence[str]) -> bool:
    """Return whether a column may contain something; undeclared columns always may."""
    if kind in _NUMBERS:
        numbers = cast("Iterable[float]", filter(None, values))
        return bool(max(map(abs, numbers), default=0) >= NUMBER_MIN)
    if kind is FieldType.DECIMAL:
        return max(map(len, texts), default=0) >= DIGITS_MIN
    return kind not in _HARMLESS


def _encoded(records: Sequence[Record]) -> tuple[bytes, Suspects]:
    """Encode records as lines; records that JSON cannot represent are suspects."""
    lines: list[bytes] = []
    suspects = Suspects()
    for place, record in enumerate(records):
        try:
            lines.append(orjson.dumps(record))
        except TypeError:
            suspects.numbers.add(place)
            suspects.words.add(place)
            lines.append(b"")
    return b"".join(line + b"\n" for line in lines), suspects


def _check(counts: Counts, what: str) -> None:
    if counts.blocked:
        rules = ", ".join(f"{rule} ({count})" for rule, count in sorted(counts.blocked.items()))
        raise ScanBlocked(f"{what} contains data that must not leave; found by rule: {rules}")

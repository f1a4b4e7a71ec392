"""The scan of everything that leaves (docs/scan.md): a prefilter over encoded lines, then the few suspects exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

import orjson

from portability import scan
from portability.api import JSON, Batch, Dataset, FieldType, Record
from portability.rows import Rows
from portability.scan import Actions, Kind, ScanBlocked
from worker.promises import REASON_CHARS, named_apart
from worker.screening.files import TextScan, is_text
from worker.screening.numbers import DIGITS_MIN
from worker.screening.prefilter import Prefilter, Suspects
from worker.screening.values import NUMBER_MIN, Counts, Look, Values

_NEXT = '"\n"'
"""Between two texts, so that each has a line and quotes around it."""
_HARMLESS = frozenset({FieldType.BOOLEAN, FieldType.DATE, FieldType.DATETIME})
_NUMBERS = frozenset({FieldType.INTEGER, FieldType.NUMBER})


class Screen:
    """What an export looks for in all that leaves, and what it does there."""

    def __init__(self, actions: Actions | None = None, canaries: Iterable[str] = ()) -> None:
        known = scan.built_in()
        planted = scan.canary_rule(canaries)
        rules = [planted if rule.kind is Kind.CANARY else rule for rule in known.rules]
        self._values = Values(rules, actions or known.actions)
        self._prefilter = Prefilter(literal for rule in rules for literal in rule.literals)

    def batch(self, dataset: Dataset, batch: Batch, counts: Counts) -> Batch:
        """The batch with marks in its records, in the names of its files and in what its gaps say.

        Raises: ScanBlocked; it names rules and counts, and nothing of the records.
        """
        named = self.named(batch, counts)
        records = self.records(dataset, batch.records, counts)
        return named if records is batch.records else replace(named, records=records)

    def records(self, dataset: Dataset, records: Sequence[Record], counts: Counts) -> Sequence[Record]:
        """The records with marks; the same object where nothing is masked. Raises ScanBlocked."""
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
            look = Look(place in suspects.numbers, place in suspects.words)
            screened[place] = self._values.record(dataset, screened[place], counts, look)
        _check(counts, dataset.name)
        return screened if counts.masked.total() > before else records

    def _suspects(self, dataset: Dataset, rows: Rows) -> Suspects:
        """Of rows with their texts only what may hold something: no names of fields, no times, no small numbers."""
        if rows.texts is None:
            return self._prefilter.suspects(rows.lines)
        types = {field.name: field.type for field in dataset.fields}
        suspects = Suspects()
        for name, values, texts in zip(rows.names, rows.columns, rows.texts, strict=True):
            if _may_hold(types.get(name), values, texts):
                suspects |= self._prefilter.suspects(f'"{_NEXT.join(texts)}"\n'.encode())
        return suspects

    def named(self, batch: Batch, counts: Counts) -> Batch:
        """The batch with marks in the names of its files and in what its gaps say. Raises ScanBlocked."""
        if not batch.files and not batch.gaps:
            return batch
        text = self._values.text
        files = tuple(replace(file, name=text(file.name, counts)) for file in batch.files)
        gaps = tuple(
            replace(gap, what=text(gap.what, counts), reason=text(gap.reason, counts)[:REASON_CHARS])
            for gap in batch.gaps
        )
        _check(counts, "names of files and gaps")
        return replace(batch, files=tuple(named_apart(files)), gaps=gaps)

    def found(self, text: str) -> Counter[str]:
        """What would be found in one text, by rule, whatever is done with it."""
        suspects = self._prefilter.suspects(orjson.dumps(text) + b"\n")
        counts = Counts()
        self._values.text(text, counts, Look(bool(suspects.numbers), bool(suspects.words)))
        return counts.masked + counts.reported + counts.blocked

    def text_file(self, name: str, media_type: str) -> TextScan | None:
        """For the blocks of a file, which leaves as it is; None: it is no text. `close` raises ScanBlocked."""
        if not is_text(media_type):
            return None
        return TextScan(self._values, self._prefilter, lambda counts: _check(counts, name))


def _may_hold(kind: FieldType | None, values: Sequence[JSON], texts: Sequence[str]) -> bool:
    """Whether a column is worth a look; of what no dataset declares nothing is known."""
    if kind in _NUMBERS:
        numbers = cast("Iterable[float]", filter(None, values))
        return bool(max(map(abs, numbers), default=0) >= NUMBER_MIN)
    if kind is FieldType.DECIMAL:
        return max(map(len, texts), default=0) >= DIGITS_MIN
    return kind not in _HARMLESS


def _encoded(records: Sequence[Record]) -> tuple[bytes, Suspects]:
    """Records as lines; those that JSON cannot carry are suspected."""
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
        raise ScanBlocked(f"{what} holds what must not leave, by rule: {rules}")

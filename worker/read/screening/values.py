"""Checks one value exactly: findings are replaced by a mark, or only counted."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portability.api import JSON, Dataset, FieldType, Record
from portability.law.scan_rules import ScanAction, ScanActions, ScanRule
from worker.read.screening import numbers
from worker.read.screening.numbers import CARD, Found

MARKABLE = (FieldType.STRING, FieldType.OBJECT)
"""Types that can contain a mark; a value of another type becomes null, and only the count shows it."""
DEPTH_MAX = 250
NUMBER_MIN, NUMBER_END = 10 ** (numbers.DIGITS_MIN - 1), 10**numbers.DIGITS_MAX


@dataclass(slots=True)
class Counts:
    """How many values were found, by rule."""

    masked: Counter[str] = field(default_factory=Counter)
    reported: Counter[str] = field(default_factory=Counter)
    blocked: Counter[str] = field(default_factory=Counter)

    def of(self, action: ScanAction) -> Counter[str]:
        """Return the counts of rules with an action."""
        return {ScanAction.MASK: self.masked, ScanAction.REPORT: self.reported, ScanAction.BLOCK: self.blocked}[action]


@dataclass(frozen=True, slots=True)
class ValueScan:
    """What to search for in a value."""

    numbers: bool = True
    words: bool = True


EVERYTHING = ValueScan()


class Values:
    """The active rules and their actions; one object for each export."""

    def __init__(self, rules: Sequence[ScanRule], actions: ScanActions) -> None:
        self._words = [rule for rule in rules if rule.pattern is not None]
        self._actions = {rule.id: actions[rule.kind] for rule in rules}

    def record(self, dataset: Dataset, record: Record, counts: Counts, look: ValueScan = EVERYTHING) -> Record:
        """Return the record with marks; the same object if nothing is masked."""
        changed: dict[str, JSON] = {}
        for column in dataset.fields:
            value = record.get(column.name)
            marked = self.value(value, counts, look)
            if marked is not value:
                changed[column.name] = marked if column.type in MARKABLE else None
        return {**record, **changed} if changed else record

    def value(self, value: JSON, counts: Counts, look: ValueScan = EVERYTHING, depth: int = 0) -> JSON:
        """Return any JSON value with marks, also in names within objects; the same object if nothing is masked."""
        if isinstance(value, str):
            return self.text(value, counts, look)
        if isinstance(value, int | float):
            return self._number(value, counts) if look.numbers and not isinstance(value, bool) else value
        if isinstance(value, Mapping | list | tuple):
            # No format accepts deeper values, so they are never exported.
            return self._inner(value, counts, look, depth + 1) if depth < DEPTH_MAX else None
        return value

    def _inner(self, value: Any, counts: Counts, look: ValueScan, depth: int) -> JSON:  # noqa: ANN401  # an object or array
        if isinstance(value, Mapping):
            if not all(isinstance(name, str) for name in value):
                return value  # formats refuse it
            names = [self.text(name, counts, look) for name in value]
            inner = [self.value(one, counts, look, depth) for one in value.values()]
            same = all(map(operator.is_, names, value)) and all(map(operator.is_, inner, value.values()))
            return value if same else dict(_named_apart(list(zip(names, inner, strict=True))))
        inner = [self.value(one, counts, look, depth) for one in value]
        return value if all(map(operator.is_, inner, value)) else inner

    def text(self, text: str, counts: Counts, look: ValueScan = EVERYTHING) -> str:
        """Return a text with marks."""
        found = list(numbers.find(text)) if look.numbers and len(text) >= numbers.DIGITS_MIN else []
        if look.words:
            found += self._in_words(text)
        if not found:
            return text
        marked, at = "", 0
        for one in sorted(found, key=lambda one: (one.start, -one.end)):
            if one.start < at:
                continue  # is inside an earlier finding
            action = self._actions[one.rule]
            counts.of(action)[one.rule] += 1
            if action is ScanAction.MASK:
                marked += text[at : one.start] + mark(one)
                at = one.end
        return marked + text[at:] if at else text

    def _in_words(self, text: str) -> Iterator[Found]:
        for rule in self._words:
            if rule.pattern is not None and any(literal in text for literal in rule.literals):
                for match in rule.pattern.finditer(text):
                    yield Found(match.start(), match.end(), rule.id)

    def _number(self, value: float, counts: Counts) -> JSON:
        if not NUMBER_MIN <= abs(value) < NUMBER_END or value != int(value):
            return value
        digits = str(abs(int(value)))
        rule = numbers.rule_of(digits)
        if rule is None:
            return value
        action = self._actions[rule]
        counts.of(action)[rule] += 1
        kept = digits[-4:] if rule == CARD else ""
        return mark(Found(0, 0, rule, kept)) if action is ScanAction.MASK else value


def mark(found: Found) -> str:
    """Return the mark for a finding: `[masked:nik]`, `[masked:card-number:1111]`."""
    return f"[masked:{found.rule}:{found.kept}]" if found.kept else f"[masked:{found.rule}]"


def _named_apart(pairs: Sequence[tuple[str, JSON]]) -> Iterator[tuple[str, JSON]]:
    """Yield unique names, numbered if masking made them equal, so that no value is lost."""
    seen: Counter[str] = Counter()
    for name, value in pairs:
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), value

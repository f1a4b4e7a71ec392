"""counts.json: how much a volume contains of each dataset and in each piece, under its signature.

`export.json` repeats the counts of all volumes, and its `datasets` are their sums: an archive from which a volume was
left out contradicts itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from archive.parts import FORMAT, Member
from portability import strict_json
from portability.api import JSON
from portability.api.names import NAME

NUMBERS = ("records", "files", "bytes", "corrections")
Name = tuple[str, str]
"""Exporter and dataset."""


class BadCounts(ValueError):
    """Counts that are not of the form that `document` writes."""


@dataclass(frozen=True, slots=True)
class DatasetCount:
    """How much there is of one dataset: in a volume, or in a whole archive."""

    exporter: str
    dataset: str
    records: int = 0
    """Each once, whatever the number of formats; without those that replace records of earlier volumes."""
    files: int = 0
    """Files of records that are complete."""
    bytes: int = 0
    """Of its payload members before compression."""
    corrections: int = 0
    """Records that replace records of earlier volumes."""

    @property
    def name(self) -> Name:
        return self.exporter, self.dataset

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the counts in the order of `NUMBERS`."""
        return tuple(getattr(self, number) for number in NUMBERS)

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PieceCount:
    """The records of one payload member."""

    path: str
    exporter: str
    dataset: str
    records: int

    @property
    def name(self) -> Name:
        return self.exporter, self.dataset


@dataclass(frozen=True, slots=True)
class VolumeCounts:
    """The content of counts.json."""

    datasets: Sequence[DatasetCount]
    pieces: Sequence[PieceCount]


def document(counts: Iterable[DatasetCount], members: Iterable[Member]) -> Iterator[bytes]:
    """Yield counts.json in blocks, so that memory does not grow with the number of members."""
    yield orjson.dumps({"format": FORMAT, "datasets": [count.to_json() for count in counts]})[:-1] + b',"pieces":['
    separator = b"\n"
    for member in members:
        content = member.content
        if content.records is not None:
            piece = PieceCount(member.path, content.exporter, content.dataset.name, content.records)
            yield separator + orjson.dumps(asdict(piece))
            separator = b",\n"
    yield b"\n]}\n"


def parse(text: bytes) -> VolumeCounts:
    """Read counts.json. Raises BadCounts."""
    try:
        found = strict_json.parse(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadCounts(f"it is not a JSON object of the format {FORMAT}")
    pieces = [
        _typed(PieceCount, entry, ("path", "exporter", "dataset"), ("records",)) for entry in _list(found, "pieces")
    ]
    return VolumeCounts(from_json(found.get("datasets")), pieces)


def from_json(entries: object) -> Sequence[DatasetCount]:
    """Read the counts of a volume. Raises BadCounts."""
    if not isinstance(entries, list):
        raise BadCounts("the counts of its datasets are not a list")
    return [_typed(DatasetCount, entry, ("exporter", "dataset"), NUMBERS) for entry in entries]


def total(counts: Iterable[DatasetCount]) -> Mapping[Name, DatasetCount]:
    """Return the sums by dataset; those without anything are left out."""
    sums: defaultdict[Name, list[int]] = defaultdict(lambda: [0] * len(NUMBERS))
    for count in counts:
        sums[count.name] = [*map(sum, zip(sums[count.name], count.numbers, strict=True))]
    return {name: DatasetCount(*name, *numbers) for name, numbers in sums.items() if any(numbers)}


def differences(found: Iterable[DatasetCount], expected: Iterable[DatasetCount]) -> Iterator[str]:
    """Yield a sentence for each dataset whose sums differ; the names are those of the exporter, never personal data."""
    sums, wanted = total(found), total(expected)
    for name in sorted(sums.keys() | wanted.keys()):
        empty = DatasetCount(*name)
        here, there = sums.get(name, empty), wanted.get(name, empty)
        for number, is_, should_be in zip(NUMBERS, here.numbers, there.numbers, strict=True):
            if is_ != should_be:
                yield f"{'/'.join(name)}: {is_} {number}; expected {should_be}"


def _list(found: Mapping[str, Any], name: str) -> Sequence[object]:
    entries = found.get(name)
    if not isinstance(entries, list):
        raise BadCounts(f"{name} is not a list")
    return entries


def _typed(kind: type, entry: object, texts: Sequence[str], numbers: Sequence[str]) -> Any:  # noqa: ANN401  # of `kind`
    values = entry if isinstance(entry, dict) else {}
    # The names are repeated in the sentences about differences: those of exporters are short, and no one's data.
    is_named = all(NAME.fullmatch(str(values.get(name))) for name in ("exporter", "dataset"))
    is_good = all(type(values.get(name)) is str for name in texts) and all(
        type(values.get(name)) is int and values[name] >= 0 for name in numbers
    )
    if not (is_named and is_good):
        raise BadCounts("a count is missing or of another type")
    return kind(**{name: values[name] for name in (*texts, *numbers)})

"""Whether what an archive says about its records and files is what is in it: piece by piece, and in all volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archive import counts
from archive.counts import BadCounts, DatasetCount, VolumeCounts

LINES = ".jsonl"
"""The exact copy of a table, one record a line: the form whose records can be counted without reading values."""


class WrongCounts(ValueError):
    """What a volume says about itself is not what it contains."""

    def __init__(self, detail: str, file: str | None = None) -> None:
        super().__init__(detail)
        self.file = file
        """The payload file that it is about; without one, counts.json itself."""


def checked(text: bytes, lines: Mapping[str, int]) -> VolumeCounts:
    """Read counts.json and compare it with the number of lines of each payload file. Raises WrongCounts."""
    try:
        stated = counts.parse(text)
    except BadCounts as error:
        raise WrongCounts(str(error)) from None
    in_pieces: Counter[counts.Name] = Counter()
    for piece in stated.pieces:
        if piece.path not in lines:
            raise WrongCounts("counts.json counts it, and it is not there", piece.path)
        if not piece.path.endswith(LINES):
            continue
        if lines[piece.path] != piece.records:
            raise WrongCounts(f"{lines[piece.path]} records; counts.json says {piece.records}", piece.path)
        in_pieces[piece.name] += piece.records
    stated_records = Counter({one.name: one.records + one.corrections for one in stated.datasets})
    for name, records in in_pieces.items():
        if stated_records[name] != records:
            raise WrongCounts(f"{'/'.join(name)}: {records} records in its pieces; {stated_records[name]} are stated")
    return stated


def of_archive(document: Mapping[str, Any], present: Mapping[str, VolumeCounts | None]) -> Iterator[str]:
    """Yield what is wrong between export.json, its list of volumes, and the counts of the volumes that are present.

    An archive some of whose volumes were written by a release that did not count has no sums to compare.
    """
    listed: dict[str, Sequence[DatasetCount]] = {}
    volumes = document.get("volumes")
    lines = [line for line in volumes if isinstance(line, dict)] if isinstance(volumes, list) else []
    try:
        for line in lines:
            if "counts" in line:
                listed[str(line.get("name"))] = counts.from_json(line["counts"])
        is_counted = bool(listed) and len(listed) == len(lines)
        ledger = document.get("datasets") or [] if is_counted else []
        datasets = counts.from_json([*map(_of_dataset, ledger)] if isinstance(ledger, list) else ledger)
    except BadCounts as error:
        yield f"export.json: {error}"
        return
    for name, stated in listed.items():
        if name in present:
            found = present[name]
            for difference in counts.differences(found.datasets if found else (), stated):
                yield f"{name}: {difference}"
    if is_counted:
        stored = [count for volume in listed.values() for count in volume]
        for difference in counts.differences(stored, datasets):
            yield f"all volumes together: {difference}"


def _of_dataset(line: object) -> object:
    names = ("exporter", "dataset", *counts.NUMBERS)
    return {name: line.get(name) for name in names} if isinstance(line, dict) else line

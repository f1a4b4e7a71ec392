"""Collects records, files and gaps of several pages into a batch: children come in many small answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from exporters.http.places import Steps, to_cursor
from exporters.http.records import FILE, MadeRecords
from portability.api import JSON, Batch, File, Gap, RowRemark
from portability.api.errors import SourceRefused
from portability.api.rows import text

BATCH_RECORDS = 500
BATCH_BYTES = 2 << 20


class BatchCollector:
    """A batch that grows; `take` returns it, and begins the next."""

    def __init__(self) -> None:
        self._place: Steps = ()
        """The last places; they stay when a batch was taken."""
        self._clear()

    def _clear(self) -> None:
        self._records: list[dict[str, JSON]] = []
        self._files: list[File] = []
        self._gaps: list[Gap] = []
        self._remarks: dict[RowRemark, list[int]] = defaultdict(list)
        self._withheld: dict[str, list[int]] = defaultdict(list)
        self._bytes = 0
        self._steps: Steps | None = None

    @property
    def is_full(self) -> bool:
        return self._bytes >= BATCH_BYTES or len(self._records) >= BATCH_RECORDS

    @property
    def is_begun(self) -> bool:
        """Return whether it has anything that a person gets."""
        return bool(self._records or self._gaps)

    @property
    def has_place(self) -> bool:
        """Return whether a page was read since the last batch, with or without records."""
        return self._steps is not None

    def add(self, made: MadeRecords, files: Mapping[int, File], gaps: Sequence[Gap], steps: Steps) -> None:
        """Add a page: its records, their files by number, what it lacks, and the places behind it."""
        before = len(self._records)
        for number, file in files.items():
            made.records[number][FILE] = file.name
            self._files.append(file)
        for remark, numbers in made.remarks.items():
            self._remarks[remark] += [before + number for number in numbers]
        for name, numbers in made.withheld.items():
            self._withheld[name] += [before + number for number in numbers]
        self._bytes += len(text(made.records))
        self._records += made.records
        self._gaps += [*made.gaps, *gaps]
        self._steps = self._place = steps

    def add_gaps(self, gaps: Sequence[Gap]) -> None:
        """Add what a list lacks that has ended. Raises SourceRefused if nothing was read: a batch needs a place."""
        if gaps and not self._place:
            raise SourceRefused(f"{gaps[0].what}: the source says that there is more, and gives nothing")
        self._gaps += gaps

    def take(self, withheld: list[str]) -> Batch:
        """Return the batch; `withheld` are the names of all that the dataset withholds."""
        stored = {name: self._withheld[name] for name in withheld}
        cursor = to_cursor(self._place)
        batch = Batch(self._records, cursor, tuple(self._files), tuple(self._gaps), dict(self._remarks), stored)
        self._clear()
        return batch

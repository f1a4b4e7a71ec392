"""Collects records, files and gaps of several pages into a batch: children come in many small answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from exporters.http.places import Steps, to_cursor
from exporters.http.records import FILE, MadeRecord
from portability.api import Batch, File, Gap, RowRemark
from portability.api.rows import text

BATCH_RECORDS = 500
BATCH_BYTES = 2 << 20


class BatchCollector:
    """A batch that grows; `take` returns it, and begins the next."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._records: list[MadeRecord] = []
        self._files: list[File] = []
        self._gaps: list[Gap] = []
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

    def add(self, added: Sequence[tuple[MadeRecord, File | None]], gaps: Sequence[Gap], steps: Steps) -> None:
        """Add a page: its records with their files, what it lacks, and the places behind it."""
        for made, file in added:
            if file is not None:
                made.record[FILE] = file.name
                self._files.append(file)
            self._bytes += len(text(made.record))
            self._records.append(made)
            self._gaps += made.gaps
        self._gaps += gaps
        self._steps = steps

    def take(self, withheld: list[str]) -> Batch:
        """Return the batch; `withheld` are the names of all that the dataset withholds."""
        remarks: dict[RowRemark, list[int]] = defaultdict(list)
        stored: dict[str, list[int]] = {name: [] for name in withheld}
        for number, made in enumerate(self._records):
            for remark in made.remarks:
                remarks[remark].append(number)
            for name in made.withheld:
                stored[name].append(number)
        records = [made.record for made in self._records]
        cursor = to_cursor(self._steps or ())
        batch = Batch(records, cursor, tuple(self._files), tuple(self._gaps), dict(remarks), stored)
        self._clear()
        return batch

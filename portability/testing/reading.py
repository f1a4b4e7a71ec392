"""What the checks of an exporter share: reading a dataset, and comparing what was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from portability.api import JSON, Batch, Cursor, Dataset, Exporter, Gap, Selection, Subject

Told: TypeAlias = tuple[list[Mapping[str, JSON]], list[tuple[str, int | None, str | None]], list[Gap]]


@dataclass(frozen=True, slots=True)
class Reading:
    """One dataset of one subject, to be read as often as a check likes."""

    exporter: Exporter
    subject: Subject
    dataset: Dataset
    selection: Selection

    def batches(self, after: Cursor | None = None) -> list[Batch]:
        """All batches after a cursor."""
        with closing(self.exporter.export(self.subject, self.dataset, self.selection, after=after)) as batches:
            return list(batches)


def told(batches: Sequence[Batch]) -> Told:
    """What batches say, wherever they were cut."""
    files = [(file.name, file.size, file.sha256) for batch in batches for file in batch.files]
    return [r for batch in batches for r in batch.records], files, [gap for batch in batches for gap in batch.gaps]


def require(promise: bool, otherwise: str) -> None:
    """Raise AssertionError with the given text where the promise is not kept."""
    if not promise:
        raise AssertionError(otherwise)

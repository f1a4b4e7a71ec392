"""Shared by the checks of an exporter: reading a dataset, and comparing the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from portability.api import JSON, Batch, Cursor, Dataset, Exporter, Gap, Selection, Subject

ReadResult: TypeAlias = tuple[list[Mapping[str, JSON]], list[tuple[str, int | None, str | None]], list[Gap]]


@dataclass(frozen=True, slots=True)
class DatasetReading:
    """One dataset of one subject, which checks can read repeatedly."""

    exporter: Exporter
    subject: Subject
    dataset: Dataset
    selection: Selection

    def batches(self, after: Cursor | None = None) -> list[Batch]:
        """Return all batches after a cursor."""
        with closing(self.exporter.export(self.subject, self.dataset, self.selection, after=after)) as batches:
            return list(batches)


def reported(batches: Sequence[Batch]) -> ReadResult:
    """Return the content of batches, independent of where they are cut."""
    files = [(file.name, file.size, file.sha256) for batch in batches for file in batch.files]
    return [r for batch in batches for r in batch.records], files, [gap for batch in batches for gap in batch.gaps]


def require(is_fulfilled: bool, otherwise: str) -> None:
    """Raise AssertionError with the given text unless the rule is fulfilled."""
    if not is_fulfilled:
        raise AssertionError(otherwise)

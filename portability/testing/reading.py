"""Shared by the checks of an exporter: reading a dataset, and comparing the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from portability.api import JSON, Batch, Cursor, Dataset, Exporter, Gap, Selection, Subject
from portability.api.errors import SourceUnavailable

RETRIES = 3
FIRST_WAIT_SECONDS = 0.2
T = TypeVar("T")

ReadResult: TypeAlias = tuple[list[Mapping[str, JSON]], list[tuple[str, int | None, str | None]], list[Gap]]


@dataclass(frozen=True, slots=True)
class DatasetReading:
    """One dataset of one subject, which checks can read repeatedly."""

    exporter: Exporter
    subject: Subject
    dataset: Dataset
    selection: Selection

    def batches(self, after: Cursor | None = None) -> list[Batch]:
        """Return all batches after a cursor; after a fault it continues behind the last batch, as the host does."""
        batches: list[Batch] = []
        attempt = 0
        while True:
            known = len(batches)
            try:
                at = batches[-1].cursor if batches else after
                with closing(self.exporter.export(self.subject, self.dataset, self.selection, after=at)) as source:
                    batches.extend(source)
            except SourceUnavailable:
                attempt = 0 if len(batches) > known else attempt
                _pause(self.dataset.name, attempt)
                attempt += 1
            else:
                return batches


def reported(batches: Sequence[Batch]) -> ReadResult:
    """Return the content of batches, independent of where they are cut."""
    files = [(file.name, file.size, file.sha256) for batch in batches for file in batch.files]
    return [r for batch in batches for r in batch.records], files, [gap for batch in batches for gap in batch.gaps]


def require(is_fulfilled: bool, otherwise: str, fix: str = "") -> None:
    """Raise AssertionError unless the rule is fulfilled; `fix` says in a sentence what to do."""
    if not is_fulfilled:
        raise AssertionError(f"{otherwise}. To mend it, {fix}" if fix else otherwise)


def retried(what: str, call: Callable[[], T]) -> T:
    """Return what a function of an exporter returns; the call is repeated if the source is unavailable.

    Raises: AssertionError if the source stays unavailable; every other error of the exporter.
    """
    attempt = 0
    while True:
        try:
            return call()
        except SourceUnavailable:
            _pause(what, attempt)
            attempt += 1


def _pause(what: str, attempt: int) -> None:
    """Wait before the next attempt, twice as long each time. Raises AssertionError after the last attempt."""
    require(attempt < RETRIES, f"{what}: the source is unavailable", "see that it runs while it is checked")
    time.sleep(FIRST_WAIT_SECONDS * 2**attempt)

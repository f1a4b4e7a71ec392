"""Changes that a source states itself: an archive of a feed then reads only what may have changed (docs/feeds.md)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias, runtime_checkable

from portability.api.exporters import Exporter
from portability.api.nouns import JSON, Dataset, Subject

RecordKey: TypeAlias = tuple[JSON, ...]
"""The values of `Dataset.key`, as in a record."""


class ChangeMode(StrEnum):
    """How a source states what has changed."""

    OUTBOX = "outbox"
    """A table of the source has an entry for each change, written in the transaction of the change."""
    UPDATED_AT = "updated_at"
    """Rows have the time of their last change: it shows no deletion, and no change of a relation."""


@dataclass(frozen=True, slots=True)
class DeclaredChanges:
    """What a source states about its changes."""

    mode: ChangeMode
    datasets: frozenset[str]
    """The datasets whose changes it states; all others are compared by hashes."""
    reconcile_days: int
    """After how many days an archive compares everything by hashes again."""


@runtime_checkable
class ChangingExporter(Exporter, Protocol):
    """Optional: says which records may have changed, and reads records by their keys (`Selection.keys`): ADR 85.

    Contract: a change is in the keys of `changed` if it became visible after the horizon `since` was taken. More keys
    than that are allowed, also of other subjects: records are read through the subject's filter, and are compared.
    """

    @property
    def changes(self) -> DeclaredChanges | None:
        """Return what the source states; None: nothing, so everything is compared by hashes."""
        ...

    def horizon(self) -> JSON:
        """Return the position of now: every change that is visible now is before it, or is given again.

        Raises: SourceUnavailable, SourceRefused.
        """
        ...

    def changed(self, subject: Subject, dataset: Dataset, since: JSON, limit: int) -> Collection[RecordKey] | None:
        """Return the keys that may have changed since a horizon.

        None: the source cannot say it from there, or there are more than `limit`. Raises: SourceUnavailable,
        SourceRefused.
        """
        ...

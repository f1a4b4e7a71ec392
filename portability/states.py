"""States of an export and of a dataset's ledger line, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class ExportState(StrEnum):
    """Where an export stands."""

    QUEUED = "queued"
    """Accepted; no worker has touched it."""
    RUNNING = "running"
    """Some volumes may be stored; claimed, or released until the next worker claims it."""
    CLOSING = "closing"
    """All slices are read; the closing volume is to be written."""
    READY = "ready"
    """The archive is whole, signed and stored; `complete` says whether it has gaps."""
    FAILED = "failed"
    """Gave up, with a reason; nothing is delivered."""
    CANCELLED = "cancelled"
    """Stopped on request; nothing is delivered."""


FOLLOWS: dict[ExportState, frozenset[ExportState]] = {
    ExportState.QUEUED: frozenset({ExportState.RUNNING, ExportState.CANCELLED}),
    ExportState.RUNNING: frozenset({ExportState.CLOSING, ExportState.READY, ExportState.FAILED, ExportState.CANCELLED}),
    ExportState.CLOSING: frozenset({ExportState.READY, ExportState.FAILED, ExportState.CANCELLED}),
    # What is missing is fetched by a retry; a stored volume may be lost.
    ExportState.READY: frozenset({ExportState.RUNNING, ExportState.FAILED}),
    ExportState.FAILED: frozenset({ExportState.QUEUED}),
    ExportState.CANCELLED: frozenset(),
}

OPEN = frozenset({ExportState.QUEUED, ExportState.RUNNING, ExportState.CLOSING})
"""States in which there is something to do for a worker."""


class SliceState(StrEnum):
    """Where a slice of an export stands."""

    OPEN = "open"
    """Claimed, or to be claimed."""
    WAITING = "waiting"
    """Number 0 alone: it has read its part and closes once the others have read theirs."""
    DONE = "done"


class DatasetState(StrEnum):
    """What became of a dataset: nothing is silently missing."""

    PENDING = "pending"
    """Not read to its end yet."""
    COMPLETE = "complete"
    PARTIAL = "partial"
    """Read, with gaps."""
    EMPTY = "empty"
    """Read to its end: nothing is held on this subject."""
    REFUSED = "refused"
    """The source said no before it gave anything."""
    NEEDS_INSTRUCTION = "needs_instruction"
    """Held for a tenant that has not ordered its export; the ledger names the tenant to ask."""


GAPLESS = frozenset({DatasetState.COMPLETE, DatasetState.EMPTY, DatasetState.NEEDS_INSTRUCTION})
"""States that leave an export `complete`: a missing instruction is another party's decision, told, not a gap."""

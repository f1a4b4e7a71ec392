"""States of an export and of a dataset's ledger line, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class ExportState(StrEnum):
    """Where an export stands."""

    REVIEW = "review"
    """Accepted; somebody else than who asked has to approve it before a worker begins."""
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
    DENIED = "denied"
    """Refused by a person, with reasons and remedies; no code does so by itself."""
    RECALLED = "recalled"
    """It went, or might go, to the wrong person: links are closed, objects deleted, a breach record is open."""

    EXPIRED = "expired"
    """Kept for its time and then deleted; a new one can be asked for."""


_S = ExportState
FOLLOWS: dict[ExportState, frozenset[ExportState]] = {
    _S.REVIEW: frozenset({_S.QUEUED, _S.DENIED, _S.CANCELLED, _S.RECALLED}),
    _S.QUEUED: frozenset({_S.REVIEW, _S.RUNNING, _S.CANCELLED, _S.DENIED, _S.RECALLED}),
    _S.RUNNING: frozenset({_S.CLOSING, _S.READY, _S.FAILED, _S.CANCELLED, _S.RECALLED}),
    _S.CLOSING: frozenset({_S.READY, _S.FAILED, _S.CANCELLED, _S.RECALLED}),
    # What is missing is fetched by a retry; a stored volume may be lost.
    _S.READY: frozenset({_S.RUNNING, _S.FAILED, _S.RECALLED, _S.EXPIRED}),
    _S.FAILED: frozenset({_S.QUEUED}),
    _S.CANCELLED: frozenset(),
    _S.DENIED: frozenset(),
    _S.RECALLED: frozenset(),
    _S.EXPIRED: frozenset(),
}

OPEN = frozenset({ExportState.QUEUED, ExportState.RUNNING, ExportState.CLOSING})
"""States in which there is something to do for a worker."""

UNDECIDED = OPEN | {ExportState.REVIEW}
"""States of a request that has no answer yet: its due date counts."""


class SliceState(StrEnum):
    """Where a slice of an export stands."""

    OPEN = "open"
    """Claimed, or to be claimed."""
    WAITING = "waiting"
    """Number 0 alone: it has read its part and closes once the others have read theirs, or nobody has approved it."""
    DONE = "done"


class DatasetState(StrEnum):
    """What became of a dataset: nothing is silently missing."""

    PENDING = "pending"
    """Not read to its end yet."""
    COMPLETE = "complete"
    REDACTED = "redacted"
    """Read to its end; some values were replaced by marks, and the ledger counts them by rule."""
    PARTIAL = "partial"
    """Read, with gaps."""
    EMPTY = "empty"
    """Read to its end: nothing is held on this subject."""
    REFUSED = "refused"
    """The source said no before it gave anything."""
    NEEDS_INSTRUCTION = "needs_instruction"
    """Held for a tenant that has not ordered its export; the ledger names the tenant to ask."""


GAPLESS = frozenset({DatasetState.COMPLETE, DatasetState.REDACTED, DatasetState.EMPTY, DatasetState.NEEDS_INSTRUCTION})
"""States that leave an export `complete`: a missing instruction is another party's decision, told, not a gap."""


class TransferState(StrEnum):
    """Where a transfer to a recipient stands."""

    HELD = "held"
    """A human looks at the recipient's country first."""
    QUEUED = "queued"
    """Being encrypted, or to be encrypted."""
    OFFERED = "offered"
    """The recipient is told, and may download it."""
    DELIVERED = "delivered"
    """The recipient has signed that it has received all of it."""
    REFUSED = "refused"
    """The recipient has signed that it cannot take it, and why; it may try again until the end."""
    DENIED = "denied"
    """The human who looked at it said no."""
    REVOKED = "revoked"
    """The subject has taken it back, or the recipient is one no more."""
    EXPIRED = "expired"
    """Nobody has fetched it in its time."""
    FAILED = "failed"
    """Gave up, with a reason."""


TRANSFER_LIVE = frozenset({TransferState.HELD, TransferState.QUEUED, TransferState.OFFERED, TransferState.REFUSED})
"""States of a transfer that may still be delivered."""

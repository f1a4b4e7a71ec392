"""States of exports, slices, datasets, volumes, transfers and links: their meanings and their transitions.

All sets of states are derived from these tables; only `portability.requests.transition` writes a state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from portability.messages.outbox import MessageKind

Event = str | None
"""Name of an event in the audit log; None: the change has no event."""


class TransferState(StrEnum):
    """The state of a transfer to a recipient."""

    HELD = "held"
    """A person must approve the recipient's country first."""
    QUEUED = "queued"
    """Waits for encryption, or is being encrypted."""
    OFFERED = "offered"
    """The recipient has its link, and may download it."""
    DELIVERED = "delivered"
    """The recipient has confirmed by signature that it has received everything."""
    REFUSED = "refused"
    """The recipient has refused it by signature, with a reason; it may try again until the end."""
    DENIED = "denied"
    """The person who reviewed it refused."""
    REVOKED = "revoked"
    """The subject has revoked it, the recipient was removed, or the export was recalled or erased."""
    EXPIRED = "expired"
    """Its time is over; the recipient has not confirmed it. A receipt may still follow."""
    FAILED = "failed"
    """Failed permanently, with a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferMeaning:
    """What a state of a transfer means."""

    next: Mapping[TransferState, Event]
    """The states that may follow, each with its event in the audit log."""
    is_live: bool = False
    """It may still be delivered, or be stopped."""
    is_fetchable: bool = False
    """Its copies are stored until it expires."""
    takes_receipts: bool = False
    """Its recipient may send a receipt, for some time after the offer."""
    is_made: bool = False
    """Its copies are being made, or will be."""
    is_arriving: bool = False
    """Its recipient has the archive, or is getting it."""
    is_told: bool = False
    """The person hears that the transfer was not completed, unless it was their own act or another message says so."""
    is_repeated: bool = False
    """It ended without a decision of a person or the recipient: a feed sends its archive again."""


_T = TransferState
_STOPS: Mapping[TransferState, Event] = {_T.REVOKED: "transfer.revoked", _T.EXPIRED: "transfer.expired"}
_RECEIPTS: Mapping[TransferState, Event] = {_T.DELIVERED: "transfer.delivered", _T.REFUSED: "transfer.refused"}
TRANSFERS: Mapping[TransferState, TransferMeaning] = {
    _T.HELD: TransferMeaning(
        next={_T.QUEUED: "transfer.approved", _T.DENIED: "transfer.denied", **_STOPS},
        is_live=True,
        is_made=True,
        is_arriving=True,
    ),
    _T.QUEUED: TransferMeaning(
        next={_T.OFFERED: "transfer.offered", _T.FAILED: "transfer.failed", **_STOPS},
        is_live=True,
        is_made=True,
        is_arriving=True,
    ),
    _T.OFFERED: TransferMeaning(
        next={**_RECEIPTS, **_STOPS}, is_live=True, is_fetchable=True, takes_receipts=True, is_arriving=True
    ),
    _T.DELIVERED: TransferMeaning(next={}, is_fetchable=True, takes_receipts=True, is_arriving=True),
    _T.REFUSED: TransferMeaning(
        next={**_RECEIPTS, **_STOPS}, is_live=True, is_fetchable=True, takes_receipts=True, is_told=True
    ),
    _T.DENIED: TransferMeaning(next={}, is_told=True),
    _T.REVOKED: TransferMeaning(next={}, is_told=True),
    # Downloaded in time, and confirmed later: the recipient's signature counts more than our clock.
    _T.EXPIRED: TransferMeaning(
        next={_T.DELIVERED: "transfer.delivered"}, takes_receipts=True, is_told=True, is_repeated=True
    ),
    _T.FAILED: TransferMeaning(next={}, is_told=True, is_repeated=True),
}


class ExportState(StrEnum):
    """The state of an export."""

    REVIEW = "review"
    """Accepted; another person than the one who asked has to approve it before a worker begins."""
    QUEUED = "queued"
    """Accepted; no worker has begun."""
    RUNNING = "running"
    """Some volumes may be stored; a worker has claimed it, or the next worker may."""
    CLOSING = "closing"
    """All slices are read; the closing volume is to be written."""
    READY = "ready"
    """The archive is complete, signed and stored; `complete` says whether it has gaps."""
    FAILED = "failed"
    """Failed permanently, with a reason; nothing is delivered."""
    CANCELLED = "cancelled"
    """Stopped on request; nothing is delivered."""
    DENIED = "denied"
    """Refused by a person, with reasons and remedies; never automatically."""
    RECALLED = "recalled"
    """It went, or may have gone, to the wrong person: links are closed, objects deleted, a breach record is open."""
    EXPIRED = "expired"
    """Kept for its time and then deleted; the person can ask for a new export."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportMeaning:
    """What a state of an export means."""

    next: Mapping[ExportState, Event]
    """The states that may follow, each with its event in the audit log."""
    reverts: Mapping[ExportState, Event] = field(default_factory=dict)
    """The state to which a revision that was given up goes back, with its event: the archive before is as it was."""
    is_begun: bool = True
    """A worker may have begun with it."""
    is_waiting: bool = False
    """No worker may claim a slice until the state changes."""
    is_open: bool = False
    """There is work for a worker."""
    is_unanswered: bool = False
    """The request has no answer yet: its due date counts."""
    is_ended: bool = False
    """No worker continues it unless a person retries it."""
    is_discarded: bool = False
    """Nothing is delivered: its objects, volumes and pseudonyms are deleted."""
    had_archive: bool = False
    """Of a discarded export: it had been an archive, so its deletion is attested (R41)."""
    is_readable: bool = False
    """A link leads to it: to an archive, or to the reasons of a refusal (GDPR Art. 12(4))."""
    message: MessageKind | None = None
    """The message to the person when the export reaches this state."""
    transfers_become: TransferState | None = None
    """The state that its live transfers get, because nothing is left to send. None: they stay unchanged."""
    ends_links: bool = False
    """Its links end, too. A request that failed may be retried: then they lead to the new archive."""


_E = ExportState
_CANCELLED: Mapping[ExportState, Event] = {_E.CANCELLED: "export.cancelled"}
_DENIED: Mapping[ExportState, Event] = {_E.DENIED: "export.denied"}
_FAILED: Mapping[ExportState, Event] = {_E.FAILED: "export.failed"}
_READY: Mapping[ExportState, Event] = {_E.READY: "export.ready"}
_REVERTED: Mapping[ExportState, Event] = {_E.READY: "export.reverted"}
_RECALLED: Mapping[ExportState, Event] = {_E.RECALLED: "export.recalled"}
EXPORTS: Mapping[ExportState, ExportMeaning] = {
    _E.REVIEW: ExportMeaning(
        next={_E.QUEUED: "export.approved", **_DENIED, **_CANCELLED, **_RECALLED},
        is_begun=False,
        is_waiting=True,
        is_unanswered=True,
    ),
    _E.QUEUED: ExportMeaning(
        next={_E.REVIEW: "approval.asked", _E.RUNNING: None, **_DENIED, **_CANCELLED, **_RECALLED},
        is_begun=False,
        is_open=True,
        is_unanswered=True,
    ),
    _E.RUNNING: ExportMeaning(
        # A subject that no source knows waits for a person's decision, before anything is read.
        next={_E.CLOSING: None, _E.REVIEW: "approval.asked", **_READY, **_FAILED, **_CANCELLED, **_RECALLED},
        reverts=_REVERTED,
        is_open=True,
        is_unanswered=True,
    ),
    _E.CLOSING: ExportMeaning(
        next={**_READY, **_FAILED, **_CANCELLED, **_RECALLED}, reverts=_REVERTED, is_open=True, is_unanswered=True
    ),
    _E.READY: ExportMeaning(
        # A retry fetches what is missing; the storage may lose a volume.
        next={_E.RUNNING: "export.gaps_retried", **_FAILED, **_RECALLED, _E.EXPIRED: "export.expired"},
        is_ended=True,
        is_readable=True,
        message=MessageKind.READY,
    ),
    _E.FAILED: ExportMeaning(
        # A fault does not answer the request: its due date counts until it is retried or withdrawn.
        next={_E.QUEUED: "export.retried", **_CANCELLED},
        is_unanswered=True,
        is_ended=True,
        is_discarded=True,
        message=MessageKind.FAILED,
        transfers_become=TransferState.EXPIRED,
    ),
    _E.CANCELLED: ExportMeaning(next={}, is_ended=True, is_discarded=True, transfers_become=TransferState.REVOKED),
    _E.DENIED: ExportMeaning(next={}, is_ended=True, is_discarded=True, is_readable=True, message=MessageKind.DENIED),
    _E.RECALLED: ExportMeaning(
        next={},
        is_ended=True,
        is_discarded=True,
        had_archive=True,
        transfers_become=TransferState.REVOKED,
        ends_links=True,
    ),
    _E.EXPIRED: ExportMeaning(
        next={},
        is_ended=True,
        is_discarded=True,
        had_archive=True,
        transfers_become=TransferState.EXPIRED,
        ends_links=True,
    ),
}


def exports_where(holds: Callable[[ExportMeaning], object]) -> frozenset[ExportState]:
    """Return the states of exports that have a property."""
    return frozenset(state for state, meaning in EXPORTS.items() if holds(meaning))


def transfers_where(holds: Callable[[TransferMeaning], object]) -> frozenset[TransferState]:
    """Return the states of transfers that have a property."""
    return frozenset(state for state, meaning in TRANSFERS.items() if holds(meaning))


OPEN = exports_where(lambda state: state.is_open)
ONGOING = exports_where(lambda state: not state.is_ended)
"""States before an end: a worker, or a person who approves, still has to act."""
UNANSWERED = exports_where(lambda state: state.is_unanswered)
CANCELLABLE = exports_where(lambda state: ExportState.CANCELLED in state.next)
UNBEGUN = exports_where(lambda state: not state.is_begun)
DISCARDED = exports_where(lambda state: state.is_discarded)
KEPT = exports_where(lambda state: not state.is_discarded)
"""States of an export whose stored volumes belong to it."""
MAY_FAIL = exports_where(lambda state: ExportState.FAILED in state.next)
HAD_ARCHIVE = exports_where(lambda state: state.had_archive)
WITH_CONTENTS = KEPT | HAD_ARCHIVE
"""States in which an archive is being made, is there, or was there: in the others no one gets what was read."""
READABLE = exports_where(lambda state: state.is_readable)
RECALLABLE = exports_where(lambda state: ExportState.RECALLED in state.next)
"""States in which data was delivered, or may still be delivered."""
TRANSFERS_LIVE = transfers_where(lambda state: state.is_live)
TRANSFERS_FETCHABLE = transfers_where(lambda state: state.is_fetchable)
TRANSFERS_RECEIPTED = transfers_where(lambda state: state.takes_receipts)
TRANSFERS_MADE = transfers_where(lambda state: state.is_made)


class VolumeState(StrEnum):
    """The state of a volume, or of an encrypted copy of one; once its object is deleted it has no row."""

    WRITING = "writing"
    """Known before its upload begins, so that the upload can be found and aborted."""
    STORED = "stored"
    """Storage has confirmed the whole object."""


VOLUMES: Mapping[VolumeState, frozenset[VolumeState]] = {
    VolumeState.WRITING: frozenset({VolumeState.STORED}),
    # A retried export writes its volumes again; the volumes of the failed attempt are withdrawn.
    VolumeState.STORED: frozenset({VolumeState.WRITING}),
}


class LinkState(StrEnum):
    """The state of a link, derived from its times: it expires automatically and has no state column."""

    VALID = "valid"
    """It leads to its archive."""
    EXPIRED = "expired"
    """Its time is over."""
    REVOKED = "revoked"
    """A person has revoked it, or its export or transfer has ended."""


LINKS: Mapping[LinkState, frozenset[LinkState]] = {
    LinkState.VALID: frozenset({LinkState.REVOKED, LinkState.EXPIRED}),
    LinkState.EXPIRED: frozenset({LinkState.REVOKED}),
    LinkState.REVOKED: frozenset(),
}


class SliceState(StrEnum):
    """The state of a slice of an export."""

    OPEN = "open"
    """Claimed, or waiting for a claim."""
    WAITING = "waiting"
    """Only number 0: its part is read and it waits for the other slices, or it waits for approval."""
    DONE = "done"
    """Everything it reads is stored, or its export has ended."""


class DatasetState(StrEnum):
    """The result of reading a dataset; nothing is missing without a statement."""

    PENDING = "pending"
    """Not read to its end yet."""
    COMPLETE = "complete"
    WITH_REMARKS = "with_remarks"
    """Complete, and some records are remarkable, or some values were replaced by marks; the ledger counts both."""
    PARTIAL = "partial"
    """Something is missing, and a gap names it; it stays missing until a later revision delivers it."""
    EMPTY = "empty"
    """Read to its end, and there was no row."""
    NEEDS_INSTRUCTION = "needs_instruction"
    """Processed for a tenant that has not ordered the export; the ledger names the tenant to ask."""
    REFUSED = "refused"
    """The tenant has refused the export, with a reason."""


REFERRED = frozenset({DatasetState.NEEDS_INSTRUCTION, DatasetState.REFUSED})
"""States of a dataset that is not read, because another party decides over it."""

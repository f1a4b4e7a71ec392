"""States of received transfers: their meanings and transitions. All sets of states are derived from this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from portability.messages.outbox import MessageKind

Event = str | None
"""Name of an event in the audit log; None: the change has no event."""


class ReceivedState(StrEnum):
    """The state of a received transfer."""

    OFFERED = "offered"
    """A sender has offered it; it is to be fetched, or is being fetched."""
    FETCHED = "fetched"
    """It is decrypted, verified and quarantined; an officer has to say whose data it is here."""
    COMPARING = "comparing"
    """The difference that its import would make is being computed."""
    COMPARED = "compared"
    """The difference is known; an officer decides."""
    IMPORTING = "importing"
    """An officer has accepted it, and it is being imported."""
    IMPORTED = "imported"
    """It is imported, and can be undone while its journal is kept."""
    UNDOING = "undoing"
    """The import is being undone."""
    UNDONE = "undone"
    """The import was undone."""
    DECLINED = "declined"
    """An officer has refused it, with a reason."""
    REFUSED = "refused"
    """A check has refused it, with a code."""
    WITHDRAWN = "withdrawn"
    """The sender has withdrawn it before it was imported: the person has revoked the consent, or the data is erased."""
    EXPIRED = "expired"
    """The offer ended before it was fetched, or no officer has decided in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMeaning:
    """What a state of a received transfer means."""

    next: Mapping[ReceivedState, Event]
    """The states that may follow, each with its event in the audit log."""
    is_work: bool = False
    """The receiving service has something to do."""
    has_link: bool = False
    """Its link is stored, encrypted."""
    keeps_files: bool = False
    """Its files are in quarantine."""
    shows_difference: bool = False
    """The difference is stored, encrypted."""
    is_ended: bool = False
    """Its record is kept for its time, and nothing else follows by itself."""
    message: MessageKind | None = None
    """The message to the person or company whose data it is."""
    receipt: bool = False
    """The sender gets a receipt."""


_S = ReceivedState
_STOPS: Mapping[ReceivedState, Event] = {
    _S.EXPIRED: "received.expired",
    _S.WITHDRAWN: "received.withdrawn",
}
_DECISIONS: Mapping[ReceivedState, Event] = {
    _S.COMPARING: "received.assigned",
    _S.DECLINED: "received.declined",
    **_STOPS,
}
RECEIVED: Mapping[ReceivedState, ReceivedMeaning] = {
    _S.OFFERED: ReceivedMeaning(
        next={_S.FETCHED: "received.fetched", _S.REFUSED: "received.refused", **_STOPS},
        is_work=True,
        has_link=True,
        keeps_files=True,
    ),
    _S.FETCHED: ReceivedMeaning(next=_DECISIONS, keeps_files=True),
    _S.COMPARING: ReceivedMeaning(
        # A target that does not fit leads back to the officer's choice.
        next={_S.COMPARED: None, _S.FETCHED: None, **_STOPS},
        is_work=True,
        keeps_files=True,
    ),
    _S.COMPARED: ReceivedMeaning(
        next={_S.IMPORTING: "received.accepted", **_DECISIONS}, keeps_files=True, shows_difference=True
    ),
    _S.IMPORTING: ReceivedMeaning(
        # After a final error what was imported is removed again, and the officer chooses again.
        next={_S.IMPORTED: "received.imported", _S.FETCHED: "received.failed"},
        is_work=True,
        keeps_files=True,
    ),
    _S.IMPORTED: ReceivedMeaning(
        next={_S.UNDOING: "received.undo_asked"},
        is_ended=True,
        message=MessageKind.RECEIVED_FOR_YOU,
        receipt=True,
    ),
    _S.UNDOING: ReceivedMeaning(next={_S.UNDONE: "received.undone", _S.IMPORTED: None}, is_work=True),
    _S.UNDONE: ReceivedMeaning(next={}, is_ended=True, message=MessageKind.RECEIVED_UNDONE),
    _S.DECLINED: ReceivedMeaning(next={}, is_ended=True, receipt=True),
    _S.REFUSED: ReceivedMeaning(next={}, is_ended=True, receipt=True),
    _S.WITHDRAWN: ReceivedMeaning(next={}, is_ended=True),
    _S.EXPIRED: ReceivedMeaning(next={}, is_ended=True, receipt=True),
}


def received_where(holds: Callable[[ReceivedMeaning], object]) -> frozenset[ReceivedState]:
    """Return the states of received transfers that have a property."""
    return frozenset(state for state, meaning in RECEIVED.items() if holds(meaning))


WORK = received_where(lambda state: state.is_work)
QUARANTINED = received_where(lambda state: state.keeps_files)
ENDED = received_where(lambda state: state.is_ended)
UNDECIDED = received_where(lambda state: ReceivedState.DECLINED in state.next)
"""States in which an officer decides."""
WITHDRAWABLE = received_where(lambda state: ReceivedState.WITHDRAWN in state.next)


class ReceiptState(StrEnum):
    """The state of the receipt for a received transfer."""

    QUEUED = "queued"
    SENT = "sent"
    """The sender has accepted it."""
    FAILED = "failed"
    """The sender does not accept it, or does not answer within its time."""


class DeclineReason(StrEnum):
    """Why an officer refuses a received transfer; the receipt contains it."""

    UNKNOWN_SUBJECT = "unknown_subject"
    """The person or company is not known here."""
    NOT_WANTED = "not_wanted"
    """The person or company does not want it here."""
    WRONG_CONTENT = "wrong_content"
    """It contains other data than expected."""
    OTHER = "other"


NOT_DECIDED = "not_decided"
"""The code of the receipt if no officer has decided in time."""

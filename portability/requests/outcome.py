"""The outcome of an export: what the archive answers, for the data we decide over, and for the data of companies.

Every place that shows an outcome reads the two words that `outcome` made when the export was closed: the archive, the
request log, the API, the pages, the messages and the exit code.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from portability.requests.states import REFERRED, DatasetState


class OwnOutcome(StrEnum):
    """The answer for the data that was to be read: as controller, or on a tenant's instruction."""

    COMPLETE = "complete"
    """Everything that was asked for was read and delivered."""
    WITH_REMARKS = "with_remarks"
    """Complete, and some records are remarkable, or some values were replaced by marks."""
    PARTIAL = "partial"
    """Something is missing, and a gap names it."""
    NOTHING_HELD = "nothing_held"
    """The subject was found, every dataset was read without a limit, and none had a row."""
    NOT_FOUND = "not_found"
    """Every source answered, and none knows the subject."""
    NONE = "none"
    """There was nothing to read: all data is referred to companies."""


class ProcessorOutcome(StrEnum):
    """The answer for the data that is processed for tenants (GDPR Art. 28(3))."""

    NONE = "none"
    """There is no such data to ask for."""
    DELIVERED = "delivered"
    """It was read on the instruction of the tenants that decide over it."""
    REFERRED = "referred"
    """A tenant that has not ordered the export decides over some of it; the ledger names the tenant."""
    REFUSED = "refused"
    """A tenant has refused, with a reason."""


UNDELIVERED = frozenset({ProcessorOutcome.REFERRED, ProcessorOutcome.REFUSED})
"""Data that belongs to the subject is not in the archive, because companies decide over it."""


@dataclass(frozen=True, slots=True)
class ExportOutcome:
    """Both parts of the answer."""

    own: OwnOutcome
    processor: ProcessorOutcome

    @property
    def complete(self) -> bool:
        """Return whether the archive contains everything that belongs to the subject: both parts must allow it."""
        return self.own in _WHOLE and self.processor not in UNDELIVERED

    @property
    def nothing_held(self) -> bool:
        """Return whether nothing is stored about the subject."""
        return self.own is OwnOutcome.NOTHING_HELD and self.complete


_WHOLE = frozenset({OwnOutcome.COMPLETE, OwnOutcome.WITH_REMARKS, OwnOutcome.NOTHING_HELD})
_WORST_FIRST = (DatasetState.PENDING, DatasetState.PARTIAL, DatasetState.WITH_REMARKS, DatasetState.COMPLETE)
_OWN: Mapping[DatasetState, OwnOutcome] = {
    DatasetState.PENDING: OwnOutcome.PARTIAL,
    DatasetState.PARTIAL: OwnOutcome.PARTIAL,
    DatasetState.WITH_REMARKS: OwnOutcome.WITH_REMARKS,
    DatasetState.COMPLETE: OwnOutcome.COMPLETE,
}


def outcome(
    lines: Sequence[Mapping[str, Any]],
    *,
    of_tenants: Collection[int] = (),
    of_requests: Collection[int] = (),
    limited: bool = False,
    unknown: bool = False,
) -> ExportOutcome:
    """Return the outcome of ledger lines.

    Args:
        lines: of the ledger, one for each dataset.
        of_tenants: the ordinals of the lines with data that is processed for tenants.
        of_requests: the ordinals of the lines about requests for data. What is missing there makes the answer partial;
            what is there does not prove that other data is stored.
        limited: whether the request or its profile leaves datasets or periods out; an archive without rows then does
            not prove that nothing is stored.
        unknown: whether no source knew the subject before it was read.
    """
    evidence = [line for line in lines if line["ordinal"] not in of_requests]
    if unknown and not any(line["records"] or line["files"] or line["gaps"] for line in evidence):
        own = OwnOutcome.NOT_FOUND
    else:
        own = _own(lines, evidence, limited=limited)
    return ExportOutcome(own, _processor(lines, frozenset(of_tenants)))


def _own(lines: Sequence[Mapping[str, Any]], evidence: Sequence[Mapping[str, Any]], *, limited: bool) -> OwnOutcome:
    read = [line for line in evidence if line["state"] not in REFERRED]
    states = {DatasetState(line["state"]) for line in lines if line["state"] not in REFERRED}
    worst = next((_OWN[state] for state in _WORST_FIRST if state in states), OwnOutcome.COMPLETE)
    if worst is OwnOutcome.PARTIAL:
        return worst
    if not read:
        # Without other lines the request asked for the records of requests alone.
        return worst if states and limited and not evidence else OwnOutcome.NONE
    if limited or any(line["state"] != DatasetState.EMPTY for line in read):
        return worst
    return OwnOutcome.NOTHING_HELD


def _processor(lines: Sequence[Mapping[str, Any]], of_tenants: frozenset[int]) -> ProcessorOutcome:
    states = {line["state"] for line in lines}
    if DatasetState.REFUSED in states:
        return ProcessorOutcome.REFUSED
    if DatasetState.NEEDS_INSTRUCTION in states:
        return ProcessorOutcome.REFERRED
    delivered = any(line["ordinal"] in of_tenants and (line["records"] or line["files"]) for line in lines)
    return ProcessorOutcome.DELIVERED if delivered else ProcessorOutcome.NONE


class ExportAnswer(StrEnum):
    """The outcome in one word, for a person; each has sentences of its own in the catalogues `pages` and `mail`."""

    COMPLETE = "complete"
    REMARKS = "remarks"
    GAPS = "gaps"
    NOTHING = "nothing"
    NOT_FOUND = "not_found"
    PARTLY_REFERRED = "partly_referred"
    REFERRED = "referred"


_LACKING = frozenset({ExportAnswer.GAPS, ExportAnswer.NOT_FOUND, ExportAnswer.PARTLY_REFERRED, ExportAnswer.REFERRED})
_BY_OWN: Mapping[OwnOutcome, ExportAnswer] = {
    OwnOutcome.COMPLETE: ExportAnswer.COMPLETE,
    OwnOutcome.WITH_REMARKS: ExportAnswer.REMARKS,
    OwnOutcome.PARTIAL: ExportAnswer.GAPS,
    OwnOutcome.NOTHING_HELD: ExportAnswer.NOTHING,
    OwnOutcome.NOT_FOUND: ExportAnswer.NOT_FOUND,
    OwnOutcome.NONE: ExportAnswer.NOTHING,
}


def answer(row: Mapping[Any, Any]) -> ExportAnswer:
    """Return the answer of a ready export; one of a release before outcomes is known as complete or not."""
    if not row["outcome_own"]:
        return ExportAnswer.GAPS if row["complete"] is False else ExportAnswer.COMPLETE
    own = OwnOutcome(row["outcome_own"])
    if row["outcome_processor"] in UNDELIVERED and _BY_OWN[own] not in {ExportAnswer.GAPS, ExportAnswer.NOT_FOUND}:
        return ExportAnswer.REFERRED if own is OwnOutcome.NONE else ExportAnswer.PARTLY_REFERRED
    return _BY_OWN[own]


def lacks(row: Mapping[Any, Any]) -> bool:
    """Return whether the answer does not contain everything about the subject."""
    return answer(row) in _LACKING

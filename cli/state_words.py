"""The state of an export in words for a person: its outcome, and a cancellation that has not ended it yet."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import RowMapping

from portability.requests.outcome import OwnOutcome, ProcessorOutcome
from portability.requests.states import DISCARDED, HAD_ARCHIVE, OPEN

OWN_WORDS: Mapping[str, str] = {
    OwnOutcome.COMPLETE: "complete",
    OwnOutcome.WITH_REMARKS: "complete with remarks",
    OwnOutcome.PARTIAL: "with gaps",
    OwnOutcome.NOTHING_HELD: "nothing stored",
    OwnOutcome.NOT_FOUND: "subject not found",
    OwnOutcome.NONE: "nothing of our own",
}
PROCESSOR_WORDS: Mapping[str, str] = {
    ProcessorOutcome.NONE: "",
    ProcessorOutcome.DELIVERED: "; data of companies delivered",
    ProcessorOutcome.REFERRED: "; data of companies referred",
    ProcessorOutcome.REFUSED: "; data of companies refused",
}


def state_words(row: RowMapping) -> str:
    """Return the state, with the outcome if there is or was an archive, and whether it is to be cancelled."""
    if row["state"] in OPEN and row["cancel_requested_at"]:
        return f"{row['state']}, to be cancelled at the next checkpoint"
    if row["state"] in DISCARDED - HAD_ARCHIVE:
        return str(row["state"])
    if not row["outcome_own"]:  # an archive of a release before outcomes
        return f"{row['state']}, with gaps" if row["complete"] is False else str(row["state"])
    return f"{row['state']}, {OWN_WORDS[row['outcome_own']]}{PROCESSOR_WORDS[row['outcome_processor']]}"

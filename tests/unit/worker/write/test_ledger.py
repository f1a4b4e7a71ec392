"""What a dataset ends as, and what its line counts by rule."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from portability.api.errors import SourceRefused
from portability.requests.states import DatasetState
from worker.write.ledger import LedgerTally, ending, merge


def line(**values: Any) -> dict[str, Any]:
    fresh = dict.fromkeys(("records", "files", "bytes", "gaps", "corrections"), 0)
    absent = dict.fromkeys(("reason", "redactions", "findings", "remarks", "withheld", "recipients"))
    absent |= dict.fromkeys(("reading_began_at", "reading_ended_at"))
    return {"ordinal": 0, "open_slices": 1, "state": DatasetState.PENDING, **fresh, **absent, **values}


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, DatasetState.EMPTY),
        ({"records": 1}, DatasetState.COMPLETE),
        ({"files": 1}, DatasetState.COMPLETE),
        ({"records": 1, "findings": {"card-number": 1}}, DatasetState.COMPLETE),
        ({"records": 1, "redactions": {"staff": 2}}, DatasetState.WITH_REMARKS),
        ({"records": 1, "remarks": {"past_retention": 1}}, DatasetState.WITH_REMARKS),
        ({"records": 1, "remarks": {"past_retention": 1}, "gaps": 1}, DatasetState.PARTIAL),
        ({"records": 1, "withheld": {"password_hash": 1}}, DatasetState.COMPLETE),
        ({"records": 1, "redactions": {"staff": 2}, "gaps": 1}, DatasetState.PARTIAL),
        ({"gaps": 1, "reason": SourceRefused.code}, DatasetState.PARTIAL),
        ({"records": 1, "gaps": 1, "reason": SourceRefused.code}, DatasetState.PARTIAL),
    ],
)
def test_how_a_dataset_ends(values: dict[str, Any], state: DatasetState) -> None:
    """A gap is worse than a remark or a redaction; what is only reported or withheld changes nothing."""
    assert ending(line(**values)) == state


def test_counts_by_rule_add_up_over_volumes() -> None:
    """Each volume's counts are added to those of the volumes before, rule by rule."""
    row = line(records=5, redactions={"staff": 2}, open_slices=2)
    tally = LedgerTally(records=1, ended=1, redactions=Counter(staff=1, note=3), findings=Counter({"card-number": 1}))

    (merged,) = merge([row], {0: tally})

    assert merged["redactions"] == {"note": 3, "staff": 3}
    assert merged["findings"] == {"card-number": 1}
    assert merged["state"] == DatasetState.PENDING  # another slice still reads it

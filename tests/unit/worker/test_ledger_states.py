"""What a dataset ends as, and what its line counts by rule."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from portability.errors import SourceRefused
from portability.states import GAPLESS, DatasetState
from worker.ledger import Tally, ending, merge


def line(**values: Any) -> dict[str, Any]:
    fresh = dict.fromkeys(("records", "files", "bytes", "gaps"), 0)
    absent = dict.fromkeys(("reason", "redactions", "findings", "reading_began_at", "reading_ended_at"))
    return {"ordinal": 0, "open_slices": 1, "state": DatasetState.PENDING, **fresh, **absent, **values}


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, DatasetState.EMPTY),
        ({"records": 1}, DatasetState.COMPLETE),
        ({"files": 1}, DatasetState.COMPLETE),
        ({"records": 1, "findings": {"card-number": 1}}, DatasetState.COMPLETE),
        ({"records": 1, "redactions": {"staff": 2}}, DatasetState.REDACTED),
        ({"records": 1, "redactions": {"staff": 2}, "gaps": 1}, DatasetState.PARTIAL),
        ({"gaps": 1, "reason": SourceRefused.code}, DatasetState.REFUSED),
        ({"records": 1, "gaps": 1, "reason": SourceRefused.code}, DatasetState.PARTIAL),
    ],
)
def test_how_a_dataset_ends(values: dict[str, Any], state: DatasetState) -> None:
    """A gap says more than a redaction; what is only reported changes nothing."""
    assert ending(line(**values)) == state
    assert (state in GAPLESS) == (not values.get("gaps"))


def test_counts_by_rule_add_up_over_volumes() -> None:
    """Each volume's counts are added to those of the volumes before, rule by rule."""
    row = line(records=5, redactions={"staff": 2}, open_slices=2)
    tally = Tally(records=1, ended=1, redactions=Counter(staff=1, note=3), findings=Counter({"card-number": 1}))

    (merged,) = merge([row], {0: tally})

    assert merged["redactions"] == {"note": 3, "staff": 3}
    assert merged["findings"] == {"card-number": 1}
    assert merged["state"] == DatasetState.PENDING  # another slice still reads it

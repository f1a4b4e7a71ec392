"""What a dataset ends as, and what its line counts by rule."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from factories import dataset

from portability.api import Subject, SubjectKind
from portability.api.errors import SourceRefused
from portability.api.nouns import first_identity
from portability.requests.states import DatasetState
from worker.plan.plan import ExportPlan, PlanLine
from worker.plan.position import Reading
from worker.read.counts import Expected
from worker.write.ledger import LedgerTally, ending, merge, new_lines

JANE = Subject(SubjectKind.USER, None, "sub_1", (first_identity(SubjectKind.USER, "usr_1", None),))


def planned(name: str, state: DatasetState = DatasetState.PENDING, *tenants: str) -> PlanLine:
    return PlanLine("made", dataset(name), frozenset({"id", "text"}), JANE, state, tenants)


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


def test_a_new_line_says_what_is_expected_and_which_tenant_has_to_order_it() -> None:
    """One dataset is read in two slices; another waits for the instruction of two companies, with this reason."""
    waits = planned("calls", DatasetState.NEEDS_INSTRUCTION, "ten_a", "ten_b")
    plan = ExportPlan((planned("things"), waits), ())
    readings = [Reading(0, label="a"), Reading(0, label="b")]
    first, second = new_lines("exp_1", plan, [Expected(4, 100, 2), Expected(0, 0)], readings)
    assert (first["state"], first["reason"], first["tenants"], first["open_slices"]) == ("pending", None, None, 2)
    assert (first["expected_records"], first["expected_bytes"], first["remarks"]) == (4, 100, {"no_person": 2})
    assert (second["state"], second["reason"]) == ("needs_instruction", "not_ordered")
    assert (second["tenants"], second["open_slices"], second["remarks"]) == (["ten_a", "ten_b"], 0, None)

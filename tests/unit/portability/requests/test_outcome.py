"""The outcome of an export: two words from the states of its datasets, and what they mean to programs and people."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from cli.requests import exit_code
from portability.requests.outcome import ExportOutcome, answer, lacks, outcome
from portability.requests.request_log import response
from portability.requests.states import DatasetState

OWN_STATES = ("complete", "with_remarks", "partial", "empty")


def ledger_lines(*states: str) -> list[dict[str, Any]]:
    counts = {"complete": 1, "with_remarks": 1, "partial": 0}
    return [
        {"ordinal": ordinal, "state": DatasetState(state), "records": counts.get(state, 0), "files": 0}
        for ordinal, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "own", "processor", "complete"),
    [
        (("complete", "empty"), "complete", "none", True),
        (("complete", "with_remarks", "empty"), "with_remarks", "none", True),
        (("complete", "with_remarks", "partial"), "partial", "none", False),
        (("empty", "partial"), "partial", "none", False),
        (("pending",), "partial", "none", False),
        (("empty", "empty"), "nothing_held", "none", True),
        (("complete", "needs_instruction"), "complete", "referred", False),
        (("empty", "needs_instruction"), "nothing_held", "referred", False),
        (("needs_instruction",), "none", "referred", False),
        (("needs_instruction", "refused"), "none", "refused", False),
        (("partial", "refused"), "partial", "refused", False),
    ],
)
def test_the_worst_state_decides(states: tuple[str, ...], own: str, processor: str, complete: bool) -> None:
    """Gaps are worse than remarks; an archive is complete only if nothing is referred or refused."""
    found = outcome(ledger_lines(*states))
    assert (found.own, found.processor, found.complete) == (own, processor, complete)


def test_nothing_stored_needs_an_unlimited_search() -> None:
    """No row in a limited period or in some datasets does not prove that nothing is stored."""
    assert outcome(ledger_lines("empty"), limited=True) == ExportOutcome("complete", "none")  # type: ignore[arg-type]  # words of a StrEnum
    assert not outcome(ledger_lines("empty"), limited=True).nothing_held
    assert outcome(ledger_lines("empty")).nothing_held


@pytest.mark.parametrize(
    ("of_requests", "others", "limited", "own"),
    [
        ("complete", ("complete", "empty"), False, "complete"),
        ("with_remarks", ("complete",), False, "with_remarks"),
        ("complete", ("empty",), False, "nothing_held"),
        ("with_remarks", ("empty",), False, "nothing_held"),
        ("complete", ("empty",), True, "complete"),
        ("partial", ("empty",), False, "partial"),
        ("partial", ("complete",), False, "partial"),
        ("partial", ("needs_instruction",), False, "partial"),
        ("complete", ("needs_instruction",), False, "none"),
        ("complete", ("needs_instruction",), True, "none"),
        ("complete", ("empty", "needs_instruction"), False, "nothing_held"),
        ("complete", (), True, "complete"),
        ("empty", (), True, "complete"),
        ("complete", (), False, "none"),
    ],
)
def test_records_of_requests_prove_nothing_about_sources(
    of_requests: str, others: tuple[str, ...], limited: bool, own: str
) -> None:
    """What is missing among them counts; what is there is neither data of a source nor hides a referral."""
    lines = ledger_lines(of_requests, *others)
    assert outcome(lines, of_requests=[0], limited=limited).own == own


@pytest.mark.parametrize("state", ["complete", "empty"])
def test_records_of_requests_do_not_make_a_subject_found(state: str) -> None:
    """No source knew the subject: a request that was stored for it changes nothing."""
    lines = [{**line, "gaps": 0} for line in ledger_lines(state, "empty")]
    assert outcome(lines, of_requests=[0], unknown=True).own == "not_found"
    assert outcome([*lines, {**lines[1], "ordinal": 2, "records": 1}], of_requests=[0], unknown=True).own != "not_found"


def test_nothing_stored_is_never_said_beside_a_referral() -> None:
    """A company may store something: only it can say that it does not."""
    assert not outcome(ledger_lines("empty", "needs_instruction")).nothing_held


def test_data_of_companies_is_delivered_if_some_was_read() -> None:
    """An order without any record leaves nothing to state."""
    assert outcome(ledger_lines("complete", "complete"), of_tenants=[1]).processor == "delivered"
    assert outcome(ledger_lines("complete", "empty"), of_tenants=[1]).processor == "none"


@pytest.mark.parametrize("states", [*product(OWN_STATES, repeat=3)])
def test_complete_and_a_gap_never_meet(states: tuple[str, ...]) -> None:
    """For every mixture of states: complete exactly if none is partial, nothing stored exactly if all are empty."""
    found = outcome(ledger_lines(*states))
    assert found.complete is ("partial" not in states)
    assert found.nothing_held is (set(states) == {"empty"})


@pytest.mark.parametrize(
    ("own", "processor", "code", "log", "word"),
    [
        ("complete", "none", 0, "complied", "complete"),
        ("complete", "delivered", 0, "complied", "complete"),
        ("with_remarks", "none", 0, "complied", "remarks"),
        ("nothing_held", "none", 0, "complied", "nothing"),
        ("complete", "referred", 3, "complied", "partly_referred"),
        ("nothing_held", "refused", 3, "complied", "partly_referred"),
        ("partial", "none", 3, "complied_in_part", "gaps"),
        ("partial", "referred", 3, "complied_in_part", "gaps"),
        ("not_found", "none", 4, "complied", "not_found"),
        ("none", "referred", 5, "referred", "referred"),
        ("none", "refused", 3, "referred", "referred"),
    ],
)
def test_every_place_reads_the_same_words(own: str, processor: str, code: int, log: str, word: str) -> None:
    """Exit code, request log and the word for a person, by both parts of the outcome (ADR 35)."""
    complete = own in {"complete", "with_remarks", "nothing_held"} and processor in {"none", "delivered"}
    row = {"outcome_own": own, "outcome_processor": processor, "complete": complete, "state": "ready"}
    row |= {"is_denied": False, "responded_at": "then"}
    assert (exit_code(row), response(row), answer(row)) == (code, log, word)
    assert lacks(row) is not complete


@pytest.mark.parametrize(("complete", "code", "word"), [(True, 0, "complete"), (False, 3, "gaps")])
def test_an_archive_before_outcomes_is_known_by_its_gaps(complete: bool, code: int, word: str) -> None:
    """Rows that an earlier release wrote have no outcome."""
    row = {"outcome_own": None, "outcome_processor": None, "complete": complete, "state": "ready"}
    assert (exit_code(row), answer(row)) == (code, word)


@pytest.mark.parametrize("state", ["failed", "cancelled", "denied", "expired", "review"])
def test_without_an_archive_the_command_has_failed(state: str) -> None:
    """Exit code 1, whatever an earlier attempt found."""
    assert exit_code({"state": state, "complete": True, "outcome_own": "complete", "outcome_processor": "none"}) == 1

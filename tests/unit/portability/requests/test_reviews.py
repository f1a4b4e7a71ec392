"""Reviews: which records a retry would miss, and which decisions are in force."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from factories import World

from portability.api import Identity
from portability.database.engine import writing
from portability.requests import exports, reviews
from portability.requests.policy import Actor
from portability.requests.reviews import ReviewState

BEFORE, BEGAN, AFTER = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
UNCLEAR = Identity("calls", "call", "old-1", verified=False, tenant="ten_a")
VERIFIED = Identity("calls", "call", "old-1", verified=True, tenant="ten_a")
ELSEWHERE = Identity("calls", "call", "old-1", verified=False, tenant="ten_b")


def review(seen_at: datetime = AFTER, number: int | None = None, state: str = "open") -> dict[str, Any]:
    return {
        "at_tenant": "ten_a",
        "kind": "call",
        "record": "old-1",
        "seen_at": seen_at,
        "number": number,
        "state": state,
    }


@pytest.mark.parametrize(
    ("row", "raw", "led", "lost"),
    [
        (review(), [UNCLEAR], [UNCLEAR], False),
        (review(), [], [], True),
        (review(), [ELSEWHERE], [ELSEWHERE], True),
        (review(), [VERIFIED], [VERIFIED], True),
        (review(), [UNCLEAR], [UNCLEAR, VERIFIED], True),
        (review(), [UNCLEAR], [VERIFIED, UNCLEAR], True),
        (review(BEFORE), [], [], False),
        (review(BEGAN), [], [], True),
        (review(number=3, state="theirs"), [], [], False),
        (review(number=4, state="not_theirs"), [], [], True),
        (review(number=4, state="theirs"), [UNCLEAR], [VERIFIED], False),
        (review(number=4, state="not_theirs"), [UNCLEAR], [VERIFIED], True),
    ],
)
def test_a_record_that_the_source_no_longer_shows_as_unclear_is_lost(
    row: dict[str, Any], raw: list[Identity], led: list[Identity], lost: bool
) -> None:
    """The export was read with decision 3. A record is safe if it is still unclear, or became verified as theirs.

    A record that the export did not meet, or that was decided before it was read, is not missed.
    """
    assert reviews.is_lost([row], {"began_at": BEGAN}, 3, raw, led) is lost


def test_decisions_up_to_a_number_are_in_force() -> None:
    """The last decision is number 2; with number 1 the second decision does not count yet."""
    rows = [
        {**review(number=1, state="theirs"), "record": "a"},
        {**review(number=2, state="not_theirs"), "record": "b"},
        {**review(), "record": "c"},
    ]
    assert (reviews.last(rows), reviews.last(rows[2:]), reviews.last([])) == (2, 0, 0)
    assert reviews.until(rows, 1) == {("ten_a", "call", "a"): True}
    assert reviews.until(rows, 2) == {("ten_a", "call", "a"): True, ("ten_a", "call", "b"): False}


def test_a_subject_has_a_thousand_open_reviews_at_most(made: World) -> None:
    """Further records are noted once some of these are decided; a record that is met again is noted once."""
    export_id = made.request()

    def note(*numbers: int) -> int:
        found = [(Identity("calls", "call", f"{n:04}", verified=False), "calls/calls") for n in numbers]
        reviews.note(connection, export, found)
        return len(reviews.of(connection, export))

    with writing(made.engine) as connection:
        export = exports.get(connection, export_id)
        assert note(*range(998)) == 998
        assert note(0, *range(997, 1001)) == 1000
        assert note(1000) == 1000
        first = reviews.find(connection, export, "calls/calls", "0000")
        officer = Actor("officer", "olga")
        reviews.decide(connection, export_id, first, ReviewState.NOT_THEIRS, reason="content", actor=officer)
        assert note(1000, 1001) == 1001

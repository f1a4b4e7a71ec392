"""What each state of an export means, written out: a set that loses a state loses requests."""

from __future__ import annotations

import pytest

from portability.requests import states

MEANINGS = {
    "ONGOING": "closing queued review running",
    "OPEN": "closing queued running",
    "UNANSWERED": "closing failed queued review running",
    "CANCELLABLE": "closing failed queued review running",
    "UNBEGUN": "queued review",
    "DISCARDED": "cancelled denied expired failed recalled",
    "KEPT": "closing queued ready review running",
    "MAY_FAIL": "closing ready running",
    "HAD_ARCHIVE": "expired recalled",
    "READABLE": "denied ready",
    "RECALLABLE": "closing queued ready review running",
    "TRANSFERS_LIVE": "held offered queued refused",
    "TRANSFERS_FETCHABLE": "delivered offered refused",
    "TRANSFERS_MADE": "held queued",
}


@pytest.mark.requirement("R2")
@pytest.mark.parametrize(("name", "members"), MEANINGS.items())
def test_a_set_of_states_has_its_members(name: str, members: str) -> None:
    """Derived from the table of states, from which all rooms take them."""
    assert " ".join(sorted(getattr(states, name))) == members


def test_a_waiting_export_is_in_review() -> None:
    """No worker may begin with it; every other state needs a worker, or none any more."""
    assert sorted(states.exports_where(lambda state: state.is_waiting)) == ["review"]


def test_states_that_end_an_archive_end_its_transfers() -> None:
    """Each in its own way."""
    ends = {state: meaning.transfers_become for state, meaning in states.EXPORTS.items() if meaning.transfers_become}
    assert ends == {"recalled": "revoked", "expired": "expired", "failed": "expired", "cancelled": "revoked"}
    discarded = {state for state in states.DISCARDED if state not in ends}
    assert discarded == {"denied"}  # before anything is made
    assert {state for state, meaning in states.EXPORTS.items() if meaning.ends_links} == {"recalled", "expired"}

"""The table of the states of received transfers, and what is stored of a difference."""

from __future__ import annotations

import re

import pytest
from repository import ROOT

from portability.api.errors import BadInput
from portability.inbox.differences import KEPT, VALUE_CHARACTERS, DifferenceCollector
from portability.inbox.senders import check_secret
from portability.inbox.states import ENDED, QUARANTINED, RECEIVED, WORK, ReceivedState


def test_each_state_is_reached_and_ends() -> None:
    """From the offer every state is reached, and from every state an end."""
    reached = {ReceivedState.OFFERED}
    for _ in RECEIVED:
        reached |= {to for state in reached for to in RECEIVED[state].next}
    assert reached == set(ReceivedState)
    for state in ReceivedState:
        ends = {state}
        for _ in RECEIVED:
            ends |= {to for known in ends for to in RECEIVED[known].next}
        assert ends & ENDED, state


def test_files_are_kept_only_before_an_end() -> None:
    """What has ended has no files, no link and no work; only what is compared shows its difference."""
    assert not QUARANTINED & ENDED
    assert not WORK & ENDED
    assert [state for state, meaning in RECEIVED.items() if meaning.has_link] == [ReceivedState.OFFERED]
    assert [state for state, meaning in RECEIVED.items() if meaning.shows_difference] == [ReceivedState.COMPARED]


def test_each_state_is_documented() -> None:
    """docs/receiving.md has a row for each state."""
    page = (ROOT / "docs" / "receiving.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {*ReceivedState} <= {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}


def test_a_difference_is_bounded() -> None:
    """100 records of each dataset and kind, and 300 characters of a value; other values are texts too."""
    collector = DifferenceCollector()
    for number in range(KEPT + 5):
        fields = {"text": {"theirs": "x" * 1000}, "count": {"ours": 1, "theirs": [1, 2], "conflict": True}}
        collector.add({"dataset": "a/b", "what": "new", "id": str(number), "fields": fields})
    collector.add({"dataset": "a/b", "what": "deleted_here", "id": "1"})

    assert [record["what"] for record in collector.kept] == ["new"] * KEPT + ["deleted_here"]
    shown = collector.kept[0]["fields"]
    assert shown["text"]["theirs"] == "x" * VALUE_CHARACTERS + "…"
    assert shown["count"] == {"ours": "1", "theirs": "[1,2]", "conflict": True}


@pytest.mark.parametrize("secret", ["", "whsec_", "A" * 44, "whsec_AAAA", "whsec_" + "!" * 44, "whsec_" + "A" * 200])
def test_a_secret_has_the_form_of_standard_webhooks(secret: str) -> None:
    """24 to 64 bytes in base64 after `whsec_`; the error does not repeat it."""
    with pytest.raises(BadInput) as error:
        check_secret(secret)
    assert not secret or secret not in f"{error.value} {error.value.hint}" or secret == "whsec_"

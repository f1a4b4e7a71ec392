"""Retries: which gaps are read together."""

from __future__ import annotations

from typing import Any

from portability.requests import retries


def gap(identifier: int, **resume: Any) -> Any:
    return {"id": identifier, "resume": {"ordinal": 0, "after": "5", **resume}}


def test_gaps_at_one_position_are_read_together() -> None:
    """A record to which the identities of two plug-ins lead is delivered once; the rest of the dataset is separate.

    What is missing of a batch is read as this batch again. Readings are in the order of the ledger, with a label each.
    """
    batch = {"only": [["things", "1"]], "but": None}
    gaps = [
        gap(1, beyond=["crm"]),
        gap(2),
        gap(3, beyond=["account", "crm"]),
        gap(4, missed=batch),
        gap(5, missed=batch),
        gap(6, ordinal=1),
        gap(7, after="9"),
    ]
    added = {"ordinal": 0, "instructed": [["ten_a", "con_1"]], "gaps": []}
    found = retries._readings(gaps, 3, [added])
    assert [reading["label"] for reading in found] == ["r3-01", "r3-02", "r3-03", "r3-04", "r3-05", "r3-06"]
    assert [reading["gaps"] for reading in found] == [[1, 3], [2], [4, 5], [7], [], [6]]
    assert [reading.get("beyond") for reading in found] == [["account", "crm"], None, None, None, None, None]
    assert [reading.get("missed") for reading in found][2] == {"only": [], "but": None}
    assert [reading["ordinal"] for reading in found] == [0, 0, 0, 0, 0, 1]

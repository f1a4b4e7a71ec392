"""The processing trails name recipients, and the notice finds them there."""

from __future__ import annotations

import pytest

from exporters.reference import trail
from exporters.sql.source import TableSource


@pytest.mark.requirement("R25", "R26")
@pytest.mark.parametrize("source", [trail.OF_USERS, trail.OF_CONTACTS])
def test_a_trail_declares_who_received_data(source: TableSource) -> None:
    """Both trails, of account holders and of contacts, by the same fields."""
    declared = source.dataset.disclosures
    assert declared is not None
    assert (declared.recipient, declared.at) == ("recipient", "occurred_at")
    assert {"recipient", "occurred_at"} <= {field.name for field in source.dataset.fields}

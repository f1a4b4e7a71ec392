"""The processing trails name recipients, and the notice finds them there."""

from __future__ import annotations

import pytest

from exporters.reference.maps import form_of
from exporters.sql.mapped.compiling import dataset_of_map
from exporters.sql.mapped.forms import SqlDatasetForm


@pytest.mark.requirement("R25", "R26")
@pytest.mark.parametrize("stated", form_of("trail").dataset, ids=lambda stated: str(stated.name))
def test_a_trail_declares_who_received_data(stated: SqlDatasetForm) -> None:
    """Both trails, of account holders and of contacts, by the same fields."""
    found = dataset_of_map(form_of("trail"), stated)
    assert found.disclosures is not None
    assert (found.disclosures.recipient, found.disclosures.at) == ("recipient", "occurred_at")
    assert {"recipient", "occurred_at"} <= {field.name for field in found.fields}

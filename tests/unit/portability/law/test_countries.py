"""Data may go to a country with adequate protection, or under a named safeguard; all else waits for a person (R47)."""

from __future__ import annotations

import pytest

from portability.law import countries


@pytest.mark.parametrize(
    ("country", "home", "adequate"),
    [
        ("ID", "ID", True),
        ("DE", "ID", True),
        ("JP", "ID", True),
        ("ID", "DE", False),
        ("US", "DE", False),
        ("US", None, False),
        ("FR", None, True),
        ("CH", None, True),
    ],
)
def test_protection_is_adequate_at_home_in_the_eea_and_where_it_was_found_so(
    country: str, home: str | None, adequate: bool
) -> None:
    """The country of this service, a member of the European Economic Area, or a country with a decision (Art. 45)."""
    assert countries.is_adequate(country, home) is adequate


@pytest.mark.parametrize(
    ("country", "mechanism", "safeguard", "waits"),
    [
        ("FR", "none", None, False),
        ("US", "scc", "Contract 12 of 2026", False),
        ("US", "binding_rules", "Rules of 2025", False),
        ("US", "scc", None, True),
        ("US", "scc", "", True),
        ("US", "binding_rules", None, True),
        ("US", "consent", "Consent of 2026", True),
        ("US", "none", None, True),
        ("US", "adequacy", "Contract 12 of 2026", True),
    ],
)
def test_a_transfer_without_protection_or_safeguard_waits(
    country: str, mechanism: str, safeguard: str | None, waits: bool
) -> None:
    """A safeguard counts only if it is named; consent is a decision for a single case, which a person takes."""
    recipient = {"country": country, "mechanism": mechanism, "safeguard": safeguard}

    assert countries.needs_human(recipient, "DE") is waits

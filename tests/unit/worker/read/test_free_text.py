"""Addresses in free text: other people's are masked, the subject's own stay, and other numbers stay."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.read.free_text import FreeText

pytestmark = pytest.mark.slow

OWN = FreeText.of(["con_1", "Ana@Example.org", "+6281200000001", "+49 30 901820204"])
NO_ONE = FreeText.of([])
M = "[redacted:other-address]"


def masked(text: str, own: FreeText = OWN) -> str:
    """The text after masking; each mark is counted."""
    counted: Counter[str] = Counter()
    found = own.masked(text, counted)
    assert counted == Counter({"other-address": found.count(M)} if M in found else {})
    return found


@pytest.mark.requirement("R27")
@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Ask her brother at brother@secret.example or +4930901820999 first.", f"Ask her brother at {M} or {M} first."),
        ("<bob@x.de>,BOB@X.DE;mailto:bob@x.de.", f"<{M}>,{M};mailto:{M}."),
        ("b\u00f6b@b\u00fccher.example, bob+tag@sub.x-y.co.uk", f"{M}, {M}"),
        ("030 901820999 / 040 1234567", f"{M} / {M}"),
        ("(212) 555-0123 or 212-555-0123", f"{M} or {M}"),
        ("0049 30 901820999 and +49 (0)30-901820-999", f"{M} and {M}"),
        ("tel:+6281200000002", f"tel:{M}"),
        ("\uff0b62 812 0000 0002", M),
        ("0812-0000-0002", M),
        # A number of Berlin without its prefix, as a subject from Germany may write it.
        ("30901820998", M),
    ],
)
def test_other_people_s_addresses_are_masked(text: str, left: str) -> None:
    """In every usual notation, with the text around them unchanged."""
    assert masked(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "ana@example.org, ANA@EXAMPLE.ORG",
        "+6281200000001, +62 812-0000-0001, 0812 0000 0001, 006281200000001, tel:+62-812-0000-0001",
        "+6281200000001 2026-01-01",
        "on 2026-11-24 08:30:00, 01.02.2026, 1/2/2026 and 24-11-2026 10:00",
        "1.250.000,00 and 0.123456789 and 98765432109876543210.123456789012345678",
        "order 12345678, INV-20260101, id=081234567890, v1.2.3.4567, 192.168.100.200",
        "0a1b2c3d-1234-1234-1234-123456789012",
        "@ana, a@b, 17 @ 3.50",
        "call 112 or 0800",
        "",
    ],
)
def test_own_addresses_and_other_numbers_stay(text: str) -> None:
    """The subject's own addresses in any notation, dates, amounts, identifiers, and handles without a mailbox."""
    assert masked(text) == text


def test_without_own_addresses_every_address_is_another_s() -> None:
    """Only a verified identity makes an address the subject's."""
    assert masked("ana@example.org +6281200000001", NO_ONE) == f"{M} {M}"


@given(st.text())
def test_any_text_is_masked_once(text: str) -> None:
    """Masking is complete: what it leaves has nothing more to mask."""
    assert masked(masked(text)) == masked(text)


@given(st.text("ab1 .", max_size=20), st.text("ab1 .", max_size=20))
def test_an_address_is_found_anywhere(before: str, after: str) -> None:
    """Whatever is around it."""
    found = masked(f"{before} secret@hidden.example {after}")
    assert "hidden" not in found


@pytest.mark.parametrize("text", ["1 " * 20_000, "a" * 100_000 + "@", "@" * 50_000, "+1" * 20_000, "12 34 56 " * 5_000])
def test_a_hostile_text_costs_no_minutes(text: str) -> None:
    """The time grows with the length of the text, not with its square."""
    began = time.process_time()
    masked(text)
    assert time.process_time() - began < 20

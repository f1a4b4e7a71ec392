from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portability.people.addresses import EMAIL, PHONE, is_national, normal


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("+62 812-0000-0001", b"+6281200000001"),
        ("tel:+62-812-0000-0001", b"+6281200000001"),
        ("+49 30 123456 ext. 7", b"+4930123456;ext=7"),
        ("081200000001", b"081200000001"),
        (" anonymous ", b"anonymous"),
    ],
)
def test_a_number_becomes_e164(address: str, form: bytes) -> None:
    """With its extension; a text without country code, or that is not a number, stays as it is."""
    assert normal(PHONE, address) == form


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("Ann@EXAMPLE.test", b"ann@example.test"),
        (" ann@example.test ", b"ann@example.test"),
        ("ann@b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", "ann@b\u00fccher.example".encode()),
        ("ann@xn--bcher-kva.example", "ann@b\u00fccher.example".encode()),
        ("\N{KELVIN SIGN}im@example.test", "\u212aim@example.test".encode()),
        ("\u00c4NN@example.test", "\u00c4nn@example.test".encode()),
        ("not an address", b"not an address"),
    ],
)
def test_an_address_keeps_its_mailbox(address: str, form: bytes) -> None:
    """The domain gets one form and ASCII case is ignored; a look-alike letter is another mailbox."""
    assert normal(EMAIL, address) == form


@given(st.sampled_from([EMAIL, PHONE]), st.text())
def test_every_text_has_a_normal_form(kind: str, address: str) -> None:
    """Whatever a cell contains is compared without an error, and surrounding spaces do not count."""
    assert normal(kind, f" {address} ") == normal(kind, address)


@pytest.mark.parametrize(
    ("number", "known", "is_unclear"),
    [
        ("081200000001", "+6281200000001", True),
        ("006281200000001", "+6281200000001", True),
        ("+6281200000001", "+6281200000001", False),
        ("081200000002", "+6281200000001", False),
        ("0-2345-678", "+4912345678", True),
        ("0-345-678", "+4912345678", False),
    ],
)
def test_a_number_without_country_code(number: str, known: str, is_unclear: bool) -> None:
    """Such a number may be an international number that ends with the same digits; with less than 7 it may be anyone's.

    Zeros at its beginning do not count.
    """
    assert is_national(PHONE, number, known) is is_unclear
    assert not is_national(EMAIL, number, known)

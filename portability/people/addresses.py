"""The normal form of phone numbers and e-mail addresses: two addresses are equal if its bytes are (ADR 37)."""

from __future__ import annotations

import phonenumbers
from email_validator import EmailNotValidError, ValidatedEmail, validate_email
from phonenumbers import NumberParseException, PhoneNumberFormat

from portability.people.folding import fold

EMAIL, PHONE = "email", "phone"
_NATIONAL_DIGITS_MIN = 7
"""A shorter number without country code may be anyone's."""


def normal(kind: str, address: str) -> bytes:
    """Return the normal form of an address: two addresses are equal if their normal forms are.

    A phone number becomes E.164 with its extension. The domain of an e-mail address gets one form (IDNA), and ASCII
    letters become lower case; other letters of a mailbox stay as they are, because look-alikes are other mailboxes. A
    text that is not a valid address is only equal to itself.
    """
    text = address.strip()
    form = phone(text) or text if kind == PHONE else email(text) or fold(text)
    return form.encode("utf-8", "surrogatepass")


def is_national(kind: str, address: str, international: str) -> bool:
    """Return whether a number without country code may be that international number: a person must decide."""
    if kind != PHONE or phone(address.strip()) is not None:
        return False
    digits, known = _digits(address), _digits(international)
    without_prefix = digits.lstrip("0")
    return len(without_prefix) >= _NATIONAL_DIGITS_MIN and known.endswith(without_prefix)


def phone(text: str) -> str | None:
    """Return a phone number with its country code as E.164 with its extension; None for another text."""
    try:
        number = phonenumbers.parse(text, None)
    except NumberParseException:
        return None
    extension = f";ext={number.extension}" if number.extension else ""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164) + extension


def email(text: str) -> str | None:
    """Return an e-mail address in its normal form; None for another text."""
    valid = _valid(text)
    mailbox, _, _ = text.rpartition("@")
    return None if valid is None else fold(f"{mailbox}@{valid.domain}")


def for_mail(address: str) -> str:
    """Return an e-mail address as mail servers take it: its domain in ASCII (IDNA)."""
    valid = _valid(address)
    mailbox, _, _ = address.rpartition("@")
    return address if valid is None else f"{mailbox}@{valid.ascii_domain}"


def _valid(text: str) -> ValidatedEmail | None:
    try:
        # Domains for tests are accepted: whether a mailbox exists is not decided here.
        return validate_email(text, check_deliverability=False, test_environment=True, allow_domain_literal=True)
    except EmailNotValidError:
        return None


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isascii() and letter.isdigit())

"""Letters of addresses in one case. It needs neither the library for phone numbers nor that for e-mail addresses."""

from __future__ import annotations


def fold(address: str) -> str:
    """Convert ASCII letters to lower case. In Unicode the Kelvin sign would become k: another person's mailbox."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in address)

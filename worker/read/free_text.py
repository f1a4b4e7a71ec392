"""Masks addresses of other people in free text: e-mail addresses and phone numbers; the subject's own stay (R27)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import phonenumbers
from phonenumbers import NumberParseException

from portability.people.addresses import EMAIL, PHONE, is_national, normal

RULE = "other-address"
MARK = "[redacted:other-address]"
"""Is in the text instead of another person's address."""

_EMAIL = re.compile(r"""[^\s@<>()\[\]{},;:"'|\\]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_][\w-]{1,62}""")
_GROUPS = r"\(?\d{1,17}(?:[ ()./\-\u00a0\u2010-\u2015]{1,3}\d{1,17}){0,6}"
_NUMBERS = re.compile(rf"(?<![\w@/=-])(?<!\d[.,])(?:[+\uff0b] ?)?{_GROUPS}(?![\w@])")
"""Up to seven groups of digits with the separators of phone numbers: one number, several, or none."""
_GROUP = re.compile(r"\d+")
_OTHER_NUMBER = re.compile(
    r"(?:\d{1,2}[./-] ?\d{1,2}[./-] ?\d{2,4}|\d{4}[./-]\d{1,2}[./-]\d{1,2})(?!\d)|0\.\d+(?![ ()/.-])"
)
"""A date or a decimal fraction."""
_NANP = re.compile(r"\(?\d{3}\)?[-. ] ?\d{3}[-. ]\d{4}")
"""A number of North America as it is written without country code; it has no prefix for long distance."""
_DIGITS_OF = range(7, 18)
"""How many digits a phone number may have, with 00 and the country code."""
_TRUNK_DIGITS = range(8, 14)
"""How many digits a number has with the prefix 0 for long distance; two more with 00 for other countries."""
_PLUS = ("+", "\uff0b")


@dataclass(frozen=True, slots=True)
class FreeText:
    """Masks the addresses in a text that are not the subject's."""

    emails: frozenset[bytes] = field(repr=False)
    """Normal forms of the subject's own addresses."""
    phones: frozenset[str] = field(repr=False)
    """The subject's own numbers in E.164."""

    @classmethod
    def of(cls, own: Iterable[str]) -> FreeText:
        """Take the subject's addresses from its verified identities of any kind."""
        values = list(own)
        emails = frozenset(normal(EMAIL, value) for value in values if "@" in value)
        phones = (normal(PHONE, value).decode("utf-8", "replace") for value in values)
        return cls(emails, frozenset(phone for phone in phones if phone.startswith("+")))

    def masked(self, text: str, counted: Counter[str]) -> str:
        """Return the text with a mark for each address of another person; each is counted by rule."""
        others = [match.span() for match in _EMAIL.finditer(text) if not self._is_own_email(match[0])]
        others += self._other_phones(text)
        if not others:
            return text
        parts, at = [], 0
        for start, end in sorted(others):
            if start >= at:
                parts += [text[at:start], MARK]
                at = end
                counted[RULE] += 1
        return "".join([*parts, text[at:]])

    def _is_own_email(self, address: str) -> bool:
        return normal(EMAIL, address) in self.emails

    def _other_phones(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where phone numbers are that are not the subject's, in any notation."""
        at = 0
        while (match := _NUMBERS.search(text, at)) is not None:
            digits, start = match[0], match.start()
            ends = [group.end() for group in _GROUP.finditer(digits)]
            longest_first = [digits[:end] for end in reversed(ends) if _count(digits[:end]) in _DIGITS_OF]
            found = next(filter(self._is_own_phone, longest_first), None)
            if found is None:
                found = next(filter(self._is_phone, longest_first), None)
                if found is not None:
                    yield start, start + len(found)
            at = start + (ends[0] if found is None else len(found))

    def _is_phone(self, digits: str) -> bool:
        if digits.startswith(_PLUS):
            return True
        if _OTHER_NUMBER.match(digits):
            return False
        plain = "".join(filter(str.isdigit, digits))
        if plain.startswith("0"):
            return len(plain) - 2 * plain.startswith("00") in _TRUNK_DIGITS
        return _NANP.fullmatch(digits) is not None or any(_is_valid(digits, own) for own in self.phones)

    def _is_own_phone(self, number: str) -> bool:
        form = normal(PHONE, number).decode("utf-8", "replace")
        return form in self.phones or any(is_national(PHONE, number, own) for own in self.phones)


def _count(text: str) -> int:
    return sum(map(str.isdigit, text))


def _is_valid(digits: str, own: str) -> bool:
    """Return whether digits without country code are a phone number as they are assigned in the country of `own`."""
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(own, None))
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(digits, region)))
    except NumberParseException:
        return False

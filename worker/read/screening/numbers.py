"""Finds numbers of payment cards and Indonesian identity cards in text, by their checkable properties."""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from portability.law.scan_rules import Brand, Ruleset, built_in

CARD, NIK = "card-number", "nik"
"""Ids of the rules."""
DIGITS_MIN, DIGITS_MAX, NIK_DIGITS = 13, 19, 16
PHONE_DIGITS_MAX = 15
"""E.164."""
LEAP_YEAR = 2000
WOMAN = 40
"""Added to the day of birth in a woman's NIK."""
THOUSANDS = 3
POINTED = frozenset({(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (2, 2, 2, 6, 4)})
"""Sizes of groups that may be separated by points; others are amounts, addresses or versions."""
DECIMALS_MAX = 6
"""The group size of an amount."""
FRACTION_DIGITS = 19
"""More digits after a point than a computer's decimal fraction has."""
PLUS_DIGITS_MIN = 14
"""A shorter number after a plus is a phone number, whatever else it matches."""
NEAR = 60
"""How many characters beside a number are examined."""

SEPARATORS = " -.,\u00a0\u2007\u2009\u202f\u3000\u2010\u2011\u2012\u2013\u2014\u2015"
"""Characters allowed between the digits of one number, up to three of them."""
_RUN = re.compile(rf"(?<!\d)\d(?:[{re.escape(SEPARATORS)}]{{0,3}}+\d){{12,}}+")
_NEAR_RUN = re.compile(rf"\d[\d{re.escape(SEPARATORS)}]{{12,}}+")
_NEAR_ASCII_RUN = re.compile(r"[0-9][0-9 .,-]{12,}+")
"""A wider pattern around a run, three times as fast to find."""
_GROUP = re.compile(r"\d+")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_BEFORE = re.compile(r"([+.])([0-9]*)$")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


@dataclass(frozen=True, slots=True)
class Found:
    """Where a value is in a text, and which rule found it."""

    start: int
    end: int
    rule: str
    kept: str = ""
    """The part shown in the mark: the last four digits of a card."""


class _Group(NamedTuple):
    """A group of adjacent digits."""

    start: int
    end: int
    digits: str
    gap: str
    """The text between the previous group and this group."""


def find(text: str) -> Iterator[Found]:
    """Yield card numbers and NIK, from left to right, without overlaps.

    They may be written in groups with one kind of separator. Parts of phone numbers (`+62...`), of decimal fractions,
    of amounts with points between thousands and of names such as UUIDs do not count.
    """
    if len(text) < DIGITS_MIN:
        return
    for near in (_NEAR_ASCII_RUN if text.isascii() else _NEAR_RUN).finditer(text):
        for run in _RUN.finditer(text, near.start(), near.end()):
            yield from _in_run(text, run.start(), run.end())


def rule_of(number: str) -> str | None:
    """Return the rule for a number given as digits only."""
    brands = _by_beginning().get(number[:2])
    if brands is None:
        return None
    if any(brand.issues(number) for brand in brands) and luhn(number):
        return CARD
    return NIK if is_nik(number, built_in()) else None


def luhn(number: str) -> bool:
    """Return whether the check digit is right."""
    values = [int(digit) for digit in reversed(number)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


def is_nik(number: str, rules: Ruleset) -> bool:
    """Return whether the 16 digits may be a Nomor Induk Kependudukan: an existing region, and a valid day of birth."""
    if len(number) != NIK_DIGITS or number[:2] not in rules.provinces:
        return False
    region, district, day, month, serial = (int(number[a:b]) for a, b in ((2, 4), (4, 6), (6, 8), (8, 10), (12, 16)))
    regency, city = rules.provinces[number[:2]]
    day -= WOMAN if day > WOMAN else 0
    is_region = 1 <= region <= regency or 71 <= region <= city  # noqa: PLR2004  # cities are numbered from 71
    is_day = 1 <= month <= 12 and 1 <= day <= monthrange(LEAP_YEAR, month)[1]  # noqa: PLR2004  # months
    return is_region and district > 0 and is_day and serial > 0


@cache
def _by_beginning() -> Mapping[str, Sequence[Brand]]:
    """Return brands by the first two digits of their numbers; provinces have none, so most numbers need one look-up."""
    rules = built_in()
    found: dict[str, list[Brand]] = {province: [] for province in rules.provinces}
    for brand in rules.brands:
        for low, high in brand.prefixes:
            for number in range(int(low[:2].ljust(2, "0")), int(high[:2].ljust(2, "9")) + 1):
                found.setdefault(f"{number:02}", []).append(brand)
    return found


def _in_run(text: str, start: int, end: int) -> Iterator[Found]:
    if not _is_worth_it(text[start:end]):
        return
    groups = _groups(text, start, end)
    first = 0
    while first < len(groups):
        found = _from(groups, first)
        if found is None or _is_part(text, groups, first, found[0]):
            first += 1
            continue
        last, rule, number = found
        yield Found(groups[first].start, groups[last].end, rule, number[-4:] if rule == CARD else "")
        first = last + 1


def _is_worth_it(run: str) -> bool:
    """Return whether a run may contain a number: a quick check for the most common other cases, ids and fractions."""
    if run.isdecimal():
        return len(run) <= DIGITS_MAX and (not run.isascii() or rule_of(run) is not None)
    whole, point, fraction = run.partition(".")
    is_fraction = point == "." and whole.isdecimal() and fraction.isdecimal()
    return not is_fraction or len(whole) >= DIGITS_MIN or len(fraction) >= FRACTION_DIGITS


def _groups(text: str, start: int, end: int) -> list[_Group]:
    groups: list[_Group] = []
    at = start
    for match in _GROUP.finditer(text, start, end):
        digits = match.group()
        if not digits.isascii():
            digits = "".join(str(unicodedata.digit(digit)) for digit in digits)
        groups.append(_Group(match.start(), match.end(), digits, text[at : match.start()]))
        at = match.end()
    return groups


def _from(groups: Sequence[_Group], first: int) -> tuple[int, str, str] | None:
    """Return the longest number that begins with a group: its last group, its rule, its digits."""
    found, number, gap = None, "", None
    for place in range(first, len(groups)):
        group = groups[place]
        if place > first:
            gap = group.gap if gap is None else gap
            if group.gap != gap:
                break
        number += group.digits
        if len(number) > DIGITS_MAX:
            break
        if len(number) >= DIGITS_MIN and _is_one(groups, first, place) and (rule := rule_of(number)):
            found = place, rule, number
    return found


def _is_part(text: str, groups: Sequence[_Group], first: int, last: int) -> bool:
    """Return whether a matching number is a part of something else."""
    start, end = groups[first].start, groups[last].end
    if not first and _is_glued(text[max(0, start - NEAR) : start][::-1]):
        return True
    if last == len(groups) - 1 and _is_glued(text[end : end + NEAR]):
        return True
    count = sum(len(group.digits) for group in groups[first : last + 1])
    if first == last < len(groups) - 1 and _is_decimals(groups[last + 1]):
        return True
    before = _BEFORE.search(_plain(text, start))
    if before is not None:
        digits = len(before[2])
        if before[1] == "+" and (count <= PHONE_DIGITS_MAX if not digits else digits + count < PLUS_DIGITS_MIN):
            return True
        if before[1] == "." and digits + count < FRACTION_DIGITS and _is_point(text, text.rindex(".", 0, start)):
            return True
    return _in_uuid(text, start, end)


def _is_decimals(group: _Group) -> bool:
    """Return whether the group follows the point of an amount; `.0` is how programs write integers."""
    return group.gap == "." and len(group.digits) <= DECIMALS_MAX and group.digits != "0"


def _is_point(text: str, at: int) -> bool:
    """Return whether it may be a decimal point, and not the end of a sentence (`. 4`) or of a word (`no.4`)."""
    letter, after = text[max(0, at - 1) : at], text[at + 1 : at + 3]
    return not (after[:1] == " " and after[1:].isdigit()) and not (letter.isascii() and letter.isalpha())


def _plain(text: str, end: int) -> str:
    """Return the text before a number, as the prefilter sees it: without separators."""
    return "".join(
        one for one in text[max(0, end - NEAR) : end] if one == "." or (one.isascii() and one not in SEPARATORS)
    )


def _is_one(groups: Sequence[_Group], first: int, last: int) -> bool:
    """Return whether the separators between the groups may be inside one number."""
    gap = groups[last].gap if last > first else ""
    if "." not in gap and gap != ",":
        return True
    lengths = tuple(len(group.digits) for group in groups[first : last + 1])
    return lengths in POINTED if "." in gap else any(length != THOUSANDS for length in lengths[1:])


def _is_glued(beside: str) -> bool:
    """Return whether the characters beside a number, nearest first, make it a part of a name such as `a1-b2c3`.

    A word directly beside a card number does not: people often omit the space.
    """
    if not beside or not (beside[0].isalnum() or beside[0] == "_"):
        return False
    for character in beside:
        if character == "_" or character.isdigit():
            return True
        if not character.isalnum() and character != "-":
            return False
    return len(beside) == NEAR


def _in_uuid(text: str, start: int, end: int) -> bool:
    offset = max(0, start - NEAR)
    near = _UUID.finditer(text, offset, end + NEAR)
    return any(uuid.start() < end and start < uuid.end() for uuid in near)

"""Numbers in text that are a payment card's or an Indonesian identity card's, by what can be checked of them."""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from portability.scan import Brand, Ruleset, built_in

CARD, NIK = "card-number", "nik"
"""Ids of the rules."""
DIGITS_MIN, DIGITS_MAX, NIK_DIGITS = 13, 19, 16
PHONE_DIGITS_MAX = 15
"""E.164."""
LEAP_YEAR = 2000
WOMAN = 40
"""Added to the day of birth in her NIK."""
THOUSANDS = 3
POINTED = frozenset({(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (2, 2, 2, 6, 4)})
"""Groups that may have points between them: else it is an amount, an address or a version."""
DECIMALS_MAX = 6
"""Of an amount."""
FRACTION_DIGITS = 19
"""So many digits behind a point are no decimal fraction of a computer's any more."""
PLUS_DIGITS_MIN = 14
"""A shorter number behind a plus is a phone's, whatever it looks like."""
NEAR = 60
"""Characters beside a number that are looked at."""

SEPARATORS = " -.,\u00a0\u2007\u2009\u202f\u3000\u2010\u2011\u2012\u2013\u2014\u2015"
"""What may stand between the digits of one number, up to three of them."""
_RUN = re.compile(rf"(?<!\d)\d(?:[{re.escape(SEPARATORS)}]{{0,3}}+\d){{12,}}+")
_NEAR_RUN = re.compile(rf"\d[\d{re.escape(SEPARATORS)}]{{12,}}+")
_NEAR_ASCII_RUN = re.compile(r"[0-9][0-9 .,-]{12,}+")
"""What a run is within: three times as fast to find."""
_GROUP = re.compile(r"\d+")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_BEFORE = re.compile(r"([+.])([0-9]*)$")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


@dataclass(frozen=True, slots=True)
class Found:
    """Where a value stands in a text, and by which rule it was found."""

    start: int
    end: int
    rule: str
    kept: str = ""
    """What a mark may tell of it: the last four digits of a card."""


class _Group(NamedTuple):
    """Digits without anything between them."""

    start: int
    end: int
    digits: str
    gap: str
    """What stands between the group before and this one."""


def find(text: str) -> Iterator[Found]:
    """Card numbers and NIK, from left to right, none of which overlap.

    They may be written in groups with one kind of separator. Parts of phone numbers (`+62...`), of decimal fractions,
    of amounts with points between thousands and of names such as UUIDs are none.
    """
    if len(text) < DIGITS_MIN:
        return
    for near in (_NEAR_ASCII_RUN if text.isascii() else _NEAR_RUN).finditer(text):
        for run in _RUN.finditer(text, near.start(), near.end()):
            yield from _in_run(text, run.start(), run.end())


def rule_of(number: str) -> str | None:
    """The rule that a number of digits alone falls under."""
    brands = _by_beginning().get(number[:2])
    if brands is None:
        return None
    if any(brand.issues(number) for brand in brands) and luhn(number):
        return CARD
    return NIK if is_nik(number, built_in()) else None


def luhn(number: str) -> bool:
    """Whether the last digit is right."""
    values = [int(digit) for digit in reversed(number)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


def is_nik(number: str, rules: Ruleset) -> bool:
    """Whether the 16 digits may be a Nomor Induk Kependudukan: a region that there is, and a day of birth."""
    if len(number) != NIK_DIGITS or number[:2] not in rules.provinces:
        return False
    region, district, day, month, serial = (int(number[a:b]) for a, b in ((2, 4), (4, 6), (6, 8), (8, 10), (12, 16)))
    regency, city = rules.provinces[number[:2]]
    day -= WOMAN if day > WOMAN else 0
    is_region = 1 <= region <= regency or 71 <= region <= city  # noqa: PLR2004  # cities are counted from 71 on
    is_day = 1 <= month <= 12 and 1 <= day <= monthrange(LEAP_YEAR, month)[1]  # noqa: PLR2004  # months
    return is_region and district > 0 and is_day and serial > 0


@cache
def _by_beginning() -> Mapping[str, Sequence[Brand]]:
    """Brands by the first two digits of their numbers, none for a province: most numbers are no more than looked up."""
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
    """Whether there may be a number in a run: a look at the two commonest kinds, ids and decimal fractions."""
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
    """The longest number that begins with a group: its last group, its rule, its digits."""
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
    """Whether what looks like a number is a part of something else."""
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
    """Whether the group stands behind the point of an amount; `.0` is what programs make of whole numbers."""
    return group.gap == "." and len(group.digits) <= DECIMALS_MAX and group.digits != "0"


def _is_point(text: str, at: int) -> bool:
    """Whether it may be a decimal point, and no end of a sentence (`. 4`) or of a word (`no.4`)."""
    letter, after = text[max(0, at - 1) : at], text[at + 1 : at + 3]
    return not (after[:1] == " " and after[1:].isdigit()) and not (letter.isascii() and letter.isalpha())


def _plain(text: str, end: int) -> str:
    """What stands before a number, as the prefilter sees it: without what may stand between digits."""
    return "".join(
        one for one in text[max(0, end - NEAR) : end] if one == "." or (one.isascii() and one not in SEPARATORS)
    )


def _is_one(groups: Sequence[_Group], first: int, last: int) -> bool:
    """Whether what stands between the groups may stand within one number."""
    gap = groups[last].gap if last > first else ""
    if "." not in gap and gap != ",":
        return True
    lengths = tuple(len(group.digits) for group in groups[first : last + 1])
    return lengths in POINTED if "." in gap else any(length != THOUSANDS for length in lengths[1:])


def _is_glued(beside: str) -> bool:
    """Whether the characters beside a number, nearest first, make it a part of a name such as `a1-b2c3`.

    Words may stand right beside a card number, as they do where people write in haste.
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

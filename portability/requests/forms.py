"""Which formats a request has by default, and which its profile allows (docs/formats.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from portability.api.errors import BadInput
from portability.errors import MissingExtra
from portability.law.profiles import Profile
from portability.plugins import check_format_names, load_document_formats, load_formats, load_forms

DEFAULT_FORMATS = ("jsonl", "csv", "vcon")
"""Formats of every profile: together they hold every value."""
DEFAULT_FORMS: Mapping[Profile, tuple[str, ...]] = {
    Profile.ACCESS: ("xlsx", "webvtt"),
    Profile.PORTABILITY: ("vcard", "icalendar", "webvtt"),
    Profile.SWITCH: (),
}
"""Forms that a request gets without asking, by profile."""
OTHER_FORMS: Mapping[Profile, tuple[str, ...]] = {
    Profile.ACCESS: ("vcard", "icalendar", "eml", "sqlite"),
    Profile.PORTABILITY: ("xlsx", "eml", "sqlite"),
    Profile.SWITCH: ("sqlite", "vcard", "parquet"),
}
"""Forms that a request may ask for. A workbook is too small for a company, and single messages are too many."""
BUILT_IN = frozenset(name for forms in (DEFAULT_FORMS, OTHER_FORMS) for names in forms.values() for name in names)


def default_formats(profile: Profile) -> tuple[str, ...]:
    """Return the formats of a request that names none."""
    return (*DEFAULT_FORMATS, *DEFAULT_FORMS[profile])


def offered_formats(profile: Profile) -> tuple[str, ...]:
    """Return the built-in formats that a request may name here, those of `default_formats` first."""
    others = [name for name in OTHER_FORMS[profile] if name not in _without_extra()]
    return (*default_formats(profile), *others)


def check_formats(profile: Profile, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the formats of a request in the given order, without duplicates; None gives those of the profile.

    Raises: UnknownFormat; MissingExtra if a form needs a package that is not installed; BadInput for an empty list, a
    form that the profile does not allow, and forms alone, which do not hold every value.
    """
    if names is None:
        return default_formats(profile)
    hint = f"remove --format to use {', '.join(default_formats(profile))}"
    if not names:
        raise BadInput("the list of formats is empty", hint=hint)
    wanted = tuple(check_format_names(names))
    if refused := [name for name in wanted if name in BUILT_IN - {*default_formats(profile), *OTHER_FORMS[profile]}]:
        offered = ", ".join(offered_formats(profile))
        raise BadInput(f"profile {profile} does not allow the form {refused[0]}", hint=f"use {offered}")
    if not load_formats(wanted) and not load_document_formats(wanted):
        raise BadInput("these forms do not hold every value", hint="add jsonl, the exact copy")
    _check_extras(wanted)
    return wanted


@cache
def _without_extra() -> frozenset[str]:
    """Return the built-in forms that need a package that is not installed."""
    missing = set()
    for name in BUILT_IN:
        try:
            _check_extras([name])
        except MissingExtra:
            missing.add(name)
    return frozenset(missing)


def _check_extras(names: Sequence[str]) -> None:
    """Begin each form without a record: one that needs a package says so here. Raises MissingExtra."""
    for form in load_forms(names).values():
        form.open(_NoSink()).abort()


class _NoSink:
    def begin(self, name: str) -> None:
        """Ignore it: no dataset begins."""

    def write(self, block: bytes, /) -> None:
        """Ignore it."""

    def take(self, name: str, file: object) -> None:
        """Ignore it."""

"""The formats of a request: defaults of its profile, and what it may name."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec

import pytest

from portability.api.errors import BadInput
from portability.errors import MissingExtra, UnknownFormat
from portability.law.profiles import Profile
from portability.requests import forms
from portability.requests.forms import check_formats, default_formats, offered_formats


def test_each_profile_has_its_forms() -> None:
    """A person gets a workbook, or files for their programs; a company gets tables unless it asks for more."""
    tables = ("jsonl", "csv", "vcon")
    assert check_formats(Profile.ACCESS, None) == (*tables, "xlsx", "webvtt")
    assert check_formats(Profile.PORTABILITY, None) == (*tables, "vcard", "icalendar", "webvtt")
    assert check_formats(Profile.SWITCH, None) == tables


@pytest.mark.parametrize("profile", Profile)
def test_what_is_offered_may_be_asked_for(profile: Profile) -> None:
    """Defaults come first, nothing twice, and every name is accepted."""
    offered = offered_formats(profile)
    assert offered[: len(default_formats(profile))] == default_formats(profile)
    assert len(set(offered)) == len(offered)
    assert check_formats(profile, offered) == offered


@pytest.mark.parametrize(
    ("profile", "names", "message"),
    [
        (Profile.ACCESS, [], "the list of formats is empty"),
        (Profile.SWITCH, ["jsonl", "xlsx"], "profile switch does not allow the form xlsx"),
        (Profile.ACCESS, ["jsonl", "parquet"], "profile access does not allow the form parquet"),
        (Profile.ACCESS, ["xlsx", "sqlite"], "these forms do not hold every value"),
    ],
)
def test_what_a_profile_does_not_allow_is_refused(profile: Profile, names: list[str], message: str) -> None:
    """The error names the form, and its hint what to use."""
    with pytest.raises(BadInput, match=message) as raised:
        check_formats(profile, names)
    assert "jsonl" in str(raised.value.hint)


def test_an_unknown_format_is_refused() -> None:
    """As before, with the list of those that are installed."""
    with pytest.raises(UnknownFormat, match="unknown format 'docx'"):
        check_formats(Profile.ACCESS, ["jsonl", "docx"])


def test_a_form_that_needs_an_extra_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, not in the worker; it is not offered either."""
    find = importlib.util.find_spec

    def without(name: str) -> ModuleSpec | None:
        return None if name == "pyarrow" else find(name)

    monkeypatch.setattr("formats.parquet.find_spec", without)
    forms._without_extra.cache_clear()
    with pytest.raises(MissingExtra, match="Parquet needs pyarrow") as raised:
        check_formats(Profile.SWITCH, ["jsonl", "parquet"])
    assert "[parquet]" in str(raised.value.hint)
    assert "parquet" not in offered_formats(Profile.SWITCH)
    forms._without_extra.cache_clear()

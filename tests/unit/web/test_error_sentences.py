"""Each code of an error has a sentence in each language, and pages show it instead of the message in English."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import pytest

from portability import locale
from portability.api.errors import all_errors
from portability.inbox.states import NOT_DECIDED, DeclineReason
from portability.law.omissions import explanation, explanations
from receiver.importer.values import Reason
from web import words

OF_RECORDS = {*map(str, Reason)} - {"not_json"}
"""`not_json` is a reason of gaps, too, and has its sentence there."""
STATED = {"denied", NOT_DECIDED, *map(str, DeclineReason), *OF_RECORDS}
"""Codes that are stored beside those of errors: of refused requests, receipts and refused records."""


ROOMS = ("archive", "cli", "exporters", "formats", "portability", "receiver", "web", "worker")


@cache
def codes() -> frozenset[str]:
    """Return the codes of all errors of the product, and of what stands in their place."""
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if "migrations" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    rooms = tuple(f"{room}." for room in ROOMS)
    return frozenset({error.code for error in all_errors() if error.__module__.startswith(rooms)} | STATED)


@pytest.mark.slow
@pytest.mark.parametrize("language", locale.languages())
def test_each_code_has_a_sentence_in_each_language(language: str) -> None:
    """Nor has the catalogue a sentence for a code that no error has."""
    own = {code for code in codes() if locale.translated(language, f"errors.{code}", "")}

    assert len(own) > 140
    assert codes() - own == set()
    assert locale.sentences(language, "errors").keys() - codes() == set()


@pytest.mark.parametrize("language", locale.languages())
def test_a_code_of_another_package_has_a_sentence_too(language: str) -> None:
    """The code stands beside it; what it means is known to that package."""
    assert words.error(language, "quota_of_a_plugin") == locale.text(language, "errors.portability_error")


@pytest.mark.parametrize("language", locale.languages())
def test_a_reason_of_a_gap_has_its_sentence(language: str) -> None:
    """Reasons have those that the archive shows; a code of an error that became a gap has that of the error."""
    assert words.error(language, "truncated") == explanation("truncated", language)
    assert words.error(language, "source_stalled") == locale.text(language, "errors.source_stalled")
    assert explanation("object_missing", language) == locale.text(language, "errors.object_missing")


def test_an_unknown_reason_has_no_sentence() -> None:
    """A known code that became a gap is explained in every language."""
    assert explanation("quota_of_a_plugin") is None
    assert explanations("quota_of_a_plugin") == {}
    assert explanations("storage_refused").keys() == {*locale.languages()}

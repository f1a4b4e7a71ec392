"""The sentences of the viewer, as a script that gives those of all languages to the page."""

from __future__ import annotations

from functools import cache

from archive.viewer.script import call
from portability.api import JSON
from portability.locale import SOURCE, languages, own_name, section, sentences

COLUMNS = "data.columns"
"""Codes of names of fields, as heads of columns; SOURCE has none: the page makes the name itself readable."""


@cache
def catalogue() -> bytes:
    """Return the script `viewer/catalogue.js`: each sentence, state and reason of each language.

    The page shows the language that the reader's browser prefers, and has a button for each other language.
    """
    by_language: dict[str, JSON] = {language: _of(language) for language in languages()}
    return b"".join(call("translate", {"source": SOURCE, "languages": by_language}))


def _of(language: str) -> dict[str, JSON]:
    return {
        "name": own_name(language),
        "strings": {**sentences(language, "viewer")},
        "states": {**section(language, "archive.states")},
        "remarks": {**section(language, "archive.remarks")},
        "redactions": {**section(language, "archive.redactions")},
        "reasons": {**section(language, "archive.reasons")},
        "referrals": {**section(language, "archive.referrals")},
        "reviews": {**section(language, "archive.reviews")},
        "columns": {**section(language, COLUMNS)},
    }

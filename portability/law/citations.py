"""Citations: where a law gives a right, in the words and signs of a language.

The register and the tables of regimes hold them in one form, such as `GDPR Art. 15(1)(a)-(h), 15(2); UU PDP Art. 7`.
The catalogue `archive` has what differs by language: the name of a law, the word for an article, and the signs of its
paragraphs and letters. Other places, such as sections, keep the form of their own law.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from portability.law.regime import Regime
from portability.locale import text

_WORDS = "archive.citations"
LAWS = {"GDPR": "gdpr", "FADP": "fadp"}
"""Names at the beginning of a citation that have a translation, with the rest of its code."""
_ARTICLE = "Art. "
_SEPARATOR = "; "
_LAW = re.compile(rf"^({'|'.join(LAWS)})\b")
_PARAGRAPHS = re.compile(r"\((\d+)\)(?:-\((\d+)\))?")
_LETTERS = re.compile(r"\(([a-z])\)(?:-\(([a-z])\))?")


def cite(citation: str, language: str) -> str:
    """Return a citation of one or more laws as people who read the language write it."""
    return _SEPARATOR.join(_one(each, language) for each in citation.split(_SEPARATOR))


def names_of_laws(regimes: Mapping[str, Regime], language: str) -> Mapping[str, str]:
    """Return the names of the laws of regimes, by the names of the regimes."""
    return {name: cite(regime.law or name.replace("_", " "), language) for name, regime in regimes.items()}


def _one(citation: str, language: str) -> str:
    named = _LAW.sub(lambda law: text(language, f"{_WORDS}.{LAWS[law[0]]}"), citation)
    if _ARTICLE not in named:
        return named
    marked = _LETTERS.sub(
        partial(_part, language, "letter"), _PARAGRAPHS.sub(partial(_part, language, "paragraph"), named)
    )
    return marked.replace(_ARTICLE, text(language, f"{_WORDS}.article", place=""))


def _part(language: str, kind: str, found: re.Match[str]) -> str:
    code = f"{_WORDS}.{kind}s" if found[2] else f"{_WORDS}.{kind}"
    return text(language, code, first=found[1], last=found[2])

"""Translations of what authors describe in SOURCE: datasets, fields and what is withheld, in one form everywhere.

The form is a language map for each text, as in JSON-LD 1.1 (section 4.6.1) and in the keyword `translations` that was
proposed for JSON Schema: `{"title": {"id": "Profil akun"}}` beside `"title": "Account profile"` (ADR 32).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

from portability.api import Dataset, Field, Withheld
from portability.locale import SOURCE, languages, translated

Translations: TypeAlias = dict[str, dict[str, str]]
"""By the name of the text, then by language; SOURCE is not among the languages."""


def of_dataset(exporter: str, dataset: Dataset) -> Translations:
    """Return the translations of a dataset's title and description."""
    return _translations(_code(exporter, dataset), title="title", description="description")


def of_field(exporter: str, dataset: Dataset, field: Field) -> Translations:
    """Return the translations of a field's description."""
    return _translations(_code(exporter, dataset), description=f"fields.{field.name}")


def of_withheld(exporter: str, dataset: Dataset, withheld: Withheld) -> Translations:
    """Return the translations of what is withheld and why."""
    code = f"withheld.{withheld.name}"
    return _translations(_code(exporter, dataset), what=f"{code}.what", reason=f"{code}.reason")


@cache
def by_language(code: str) -> Mapping[str, str]:
    """Return the translations that the catalogues have of a code, without SOURCE."""
    texts = {language: translated(language, code, "") for language in languages() if language != SOURCE}
    return {language: text for language, text in texts.items() if text}


def _code(exporter: str, dataset: Dataset) -> str:
    return f"data.{exporter}/{dataset.name}"


def _translations(code: str, **names: str) -> Translations:
    """Look texts up, each given as the rest of its code; a text without any translation is left out."""
    found = {name: by_language(f"{code}.{rest}") for name, rest in names.items()}
    return {name: dict(texts) for name, texts in found.items() if texts}

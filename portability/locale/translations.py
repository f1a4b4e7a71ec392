"""Translations of what authors describe in SOURCE: datasets, fields and what is withheld, in one form everywhere.

The form is a language map for each text, as in JSON-LD 1.1 (section 4.6.1) and in the keyword `translations` that was
proposed for JSON Schema: `{"title": {"id": "Profil akun"}}` beside `"title": "Account profile"` (ADR 32).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

from portability.api import Dataset, Exporter, Field, FieldValue, TitledExporter, Withheld
from portability.locale import SOURCE, languages, translation

Translations: TypeAlias = dict[str, dict[str, str]]
"""By the name of the text, then by language; SOURCE is not among the languages."""
COLUMNS = "data.columns"
"""Codes of names of fields, as heads of columns."""
_CAPITALS = re.compile(r"\b(id|ip|url|urls|mfa|ai|api|sha256)\b")


def of_exporter(name: str, title: str) -> Translations:
    """Return the translations of an exporter's title."""
    return _translations(title=(f"data.exporters.{name}.title", title))


def titles_of(exporters: Mapping[str, Exporter]) -> Mapping[str, Mapping[str, str]]:
    """Return the titles of exporters that have one, by language; SOURCE too."""
    return {
        name: {SOURCE: exporter.title, **of_exporter(name, exporter.title).get("title", {})}
        for name, exporter in exporters.items()
        if isinstance(exporter, TitledExporter)
    }


def of_dataset(exporter: str, dataset: Dataset) -> Translations:
    """Return the translations of a dataset's title and description."""
    code = _code(exporter, dataset)
    return _translations(
        title=(f"{code}.title", dataset.title), description=(f"{code}.description", dataset.description)
    )


def of_field(exporter: str, dataset: Dataset, field: Field) -> Translations:
    """Return the translations of a field's description."""
    return _translations(description=(f"{_code(exporter, dataset)}.fields.{field.name}", field.description))


def of_label(name: str) -> dict[str, str]:
    """Return the names of a field for people, by language: SOURCE too, which has the field's own name as words."""
    return {SOURCE: label(name), **by_language(f"{COLUMNS}.{name}")}


def of_value(exporter: str, dataset: Dataset, field: Field, value: FieldValue) -> dict[str, str]:
    """Return the labels of a field's value by language, SOURCE too."""
    code = f"{_code(exporter, dataset)}.values.{field.name}.{value.value}"
    return {SOURCE: value.label, **by_language(code, value.label)}


def in_language(texts: Mapping[str, str], language: str) -> str:
    """Return the text of a language, else that of SOURCE."""
    return texts.get(language) or texts[SOURCE]


def label(name: str) -> str:
    """Return the name of a field as words: `started_at` as `Started at`, as the viewer does (page.js)."""
    words = _CAPITALS.sub(lambda found: found[0].upper(), name.replace("_", " "))
    return words[:1].upper() + words[1:]


def of_withheld(exporter: str, dataset: Dataset, withheld: Withheld) -> Translations:
    """Return the translations of what is withheld and why."""
    code = f"{_code(exporter, dataset)}.withheld.{withheld.name}"
    return _translations(what=(f"{code}.what", withheld.what), reason=(f"{code}.reason", withheld.reason))


@cache
def by_language(code: str, source: str = "") -> Mapping[str, str]:
    """Return the translations that the catalogues have of a code, without SOURCE; of this text, if one is given."""
    texts = {language: translation(language, code, source) for language in languages() if language != SOURCE}
    return {language: text for language, text in texts.items() if text}


def _code(exporter: str, dataset: Dataset) -> str:
    return f"data.{exporter}/{dataset.name}"


def _translations(**texts: tuple[str, str]) -> Translations:
    """Look texts up, each given with its code; a text without any translation is left out."""
    found = {name: by_language(code, source) for name, (code, source) in texts.items()}
    return {name: dict(by) for name, by in found.items() if by}

"""What the pages of an archive say in both languages: en.toml, id.toml, and what data tells of itself."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "id")
PHRASES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    language: tomllib.loads((Path(__file__).parent / f"{language}.toml").read_text("utf-8")) for language in LANGUAGES
}


def told(about: Any, name: str, language: str) -> str | None:  # noqa: ANN401  # a dataset, or a line of export.json
    """A text of a dataset or of something withheld in a language; in English where it has no other."""
    names = [f"{name}_id", name] if language == "id" else [name]
    found = [about.get(one) if isinstance(about, Mapping) else getattr(about, one) for one in names]
    return next((str(text) for text in found if text), None)


def reason(language: str, text: str) -> str:
    """Why something is not there, in words; what is not known stands as it is."""
    return PHRASES[language]["reasons"].get(text, text)

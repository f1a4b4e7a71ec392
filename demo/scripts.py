"""The scripts of demo.talk, read from scripts.toml, by language."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """One conversation topic from beginning to end."""

    subject: str
    summary: str
    intent: str
    sentiment: str
    lines: list[str]


_LANGUAGES = tomllib.loads(files("demo").joinpath("scripts.toml").read_text("utf-8"))
PRODUCTS: dict[str, list[str]] = {name: words["products"] for name, words in _LANGUAGES.items()}
GREETINGS: dict[str, list[str]] = {name: words["greetings"] for name, words in _LANGUAGES.items()}
THANKS: dict[str, list[tuple[str, str]]] = {name: words["thanks"] for name, words in _LANGUAGES.items()}
SCRIPTS: dict[str, list[Script]] = {
    name: [Script(**one) for one in words["scripts"]] for name, words in _LANGUAGES.items()
}

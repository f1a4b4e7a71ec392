"""What the descriptions say in Indonesian: descriptions/id.toml, by the English text that stands in the code."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "descriptions" / "id.toml"


def indonesian(text: str) -> str | None:
    """The text in Indonesian; None: nobody has translated it yet."""
    return translated().get(text)


@cache
def translated() -> Mapping[str, str]:
    """All of them."""
    return tomllib.loads(FILE.read_text("utf-8"))

"""Names of exporters and datasets: they become folders, files and tables of every archive, on every system.

Windows and macOS ignore the case of a file's name, SQLite and DuckDB that of a table's name, and Windows reserves some
names. A name that does not fit makes an archive that does not verify, so it is refused where it is declared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
BOTH_CHARS = 120
"""Characters of the names of an exporter and its dataset together: the path of a schema has both."""
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""Names of files that Windows reserves, with any extension."""


def name_fault(name: str) -> str:
    """Return what is wrong with a name, for an error that quotes it; empty if an archive may contain it."""
    if not NAME.fullmatch(name):
        return "needs 1 to 100 of A-Z a-z 0-9 _ -"
    return "is reserved by Windows" if RESERVED.match(name) else ""


def is_text(text: str) -> bool:
    """Return whether a text says something to people, and every archive and database can store it."""
    return bool(text.strip()) and text == storable(text)


def storable(text: str) -> str:
    """Remove characters that JSON (lone surrogates) or PostgreSQL (NUL) cannot store."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def same_names(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that are the same if their case is ignored; None: all names differ."""
    found: dict[str, str] = {}
    for name in names:
        if name.lower() in found:
            return found[name.lower()], name
        found[name.lower()] = name
    return None

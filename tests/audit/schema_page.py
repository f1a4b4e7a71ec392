"""Reads docs/source-schema.md: the tables of the platform, their columns and what becomes of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "source-schema.md"
HEADING = re.compile(r"### (\w+)")
DATASET = re.compile(r"Read by `\w+` as \*\*(\w+/\w+)\*\*\.")
COLUMN = re.compile(r"\| `(\w+)` \| (.+?)( \\\*)? \| (.+) \|")


@dataclass(frozen=True, slots=True)
class PageColumn:
    """A column as the page describes it. `fate` is what becomes of it: exported, never or internal, with remarks."""

    name: str
    kind: str
    required: bool
    fate: str

    @property
    def is_exported(self) -> bool:
        return self.fate.startswith("exported")

    @property
    def is_verbatim(self) -> bool:
        """Whether a copy for a person must contain the text exactly as it is in the source."""
        return self.fate in {"exported, provided", "exported, observed", "exported, derived"}


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table with its columns by name, and the dataset that it becomes."""

    name: str
    dataset: str
    columns: Mapping[str, PageColumn]


def tables(page: str | None = None) -> Mapping[str, PageTable]:
    """Read all tables of the page by name. Raises ValueError for a table that names no dataset or has no columns."""
    text = PAGE.read_text() if page is None else page
    found = [_table(name, body) for name, body in _sections(text)]
    return {table.name: table for table in found}


def _sections(text: str) -> Sequence[tuple[str, str]]:
    headings = list(HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    return [(heading[1], text[heading.end() : end]) for heading, end in zip(headings, ends, strict=True)]


def _table(name: str, body: str) -> PageTable:
    dataset = DATASET.search(body)
    columns = {
        match[1]: PageColumn(match[1], match[2], match[3] is not None, match[4]) for match in COLUMN.finditer(body)
    }
    if dataset is None or not columns:
        raise ValueError(f"docs/source-schema.md, {name}: no dataset or no columns")
    return PageTable(name, dataset[1], columns)

"""Numbers with their nouns, in what commands print for people."""

from __future__ import annotations


def quantity(count: int, noun: str) -> str:
    """Return a number with its noun: `1 file`, `2 files`, `8,312 bytes`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"

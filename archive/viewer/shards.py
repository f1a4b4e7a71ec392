"""Shards: all records of a volume as scripts of bounded size, which the viewer loads when it needs them.

A page from `file://` may add scripts of its own folder and of the folders beside it, and may not `fetch`. Each volume
has the shards of its records among its tag files, so its signature covers them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archive.viewer.script import REGISTRY, literal
from portability.api import JSON, rows

SHARD_BYTES = 300 << 10
"""Size of its lines from which a shard ends; browsers load its script in some 10 ms."""


def path(number: int, folder: str = "rows") -> str:
    """Return the path of a shard in its volume, or of a part of a list; the page accepts no other scripts."""
    return f"viewer/{folder}/{number:05}.js"


def lines(columns: Sequence[Sequence[JSON]]) -> list[bytes]:
    """Return the lines of a shard: the values of each record, in the order of the dataset's fields, as a JSON array."""
    return [rows.text(values) + b"\n" for values in zip(*columns, strict=True)]


def script(name: str, text: bytes) -> Iterator[bytes]:
    """Yield the blocks of a shard's script: its name, and its lines as one literal."""
    yield REGISTRY + b".arrive(" + literal(name.encode()) + b"," + literal(text) + b");\n"

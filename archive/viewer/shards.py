"""Shards: all records of a volume as scripts of bounded size, which the viewer loads when it needs them.

A page from `file://` may add scripts of its own folder and of the folders beside it, and may not `fetch`. Each volume
has the shards of its records among its tag files, so its signature covers them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import orjson

from archive.viewer.script import REGISTRY, literal
from portability.api import JSON

SHARD_BYTES = 512 << 10
"""Size from which a shard ends, as JSON Lines; its script has about half of it, which browsers load in some 10 ms."""


def path(number: int, folder: str = "rows") -> str:
    """Return the path of a shard in its volume, or of a part of a list; the page accepts no other scripts."""
    return f"viewer/{folder}/{number:05}.js"


def cut(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a member of JSON Lines in shards: each ends with the line that fills it."""
    pending = bytearray()
    for block in blocks:
        begin = 0
        while begin < len(block):
            room = SHARD_BYTES - len(pending)
            end = block.find(b"\n", begin + max(room - 1, 0)) + 1
            pending += block[begin : end or len(block)]
            if not end:
                break
            yield bytes(pending)
            pending.clear()
            begin = end
    if pending:
        yield bytes(pending)


def values(rows: Iterable[Mapping[str, JSON]]) -> bytes:
    """Return the lines of a shard: the values of each record, in the order of the dataset's fields, as a JSON array."""
    return b"".join([orjson.dumps(list(row.values()), option=orjson.OPT_APPEND_NEWLINE) for row in rows])


def script(name: str, text: bytes) -> Iterator[bytes]:
    """Yield the blocks of a shard's script: its name, and its lines as one literal."""
    yield REGISTRY + b".arrive(" + literal(name.encode()) + b"," + literal(text) + b");\n"

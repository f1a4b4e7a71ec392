"""Scans text files while they are written: they are not changed, and findings are reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from worker.read.screening.prefilter import BLOCK_BYTES, Prefilter
from worker.read.screening.values import Counts, Values, ValueScan

LINE_BYTES_MAX = 1 << 20
"""A longer line is cut here; a value across the cut is not found."""
_TEXTS = ("application/json", "application/jsonl", "application/x-ndjson", "application/csv", "application/xml")


def is_text(media_type: str) -> bool:
    """Return whether a file of this media type is read as UTF-8."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind in _TEXTS or kind.endswith(("+json", "+xml"))


class TextScan:
    """The scan of one file, or of a part of it."""

    def __init__(self, values: Values, prefilter: Prefilter, check: Callable[[Counts], None]) -> None:
        self._values = values
        self._prefilter = prefilter
        self._check = check
        self._counts = Counts()
        self._rest = b""

    def feed(self, block: bytes) -> None:
        """Scan the next bytes of the file. Raises ScanBlocked."""
        self._rest += block
        if len(self._rest) < BLOCK_BYTES:
            return
        end = self._rest.rfind(b"\n") + 1
        if not end and len(self._rest) < LINE_BYTES_MAX:
            return
        self._look(self._rest[: end or None])
        self._rest = self._rest[end:] if end else b""

    def close(self) -> Counter[str]:
        """Return what was found in all of it, by rule. Raises ScanBlocked."""
        self._look(self._rest)
        self._rest = b""
        return self._counts.masked + self._counts.reported

    def _look(self, text: bytes) -> None:
        # The prefilter expects a character before a number: a text line may begin with one, a JSON line never does.
        suspects = self._prefilter.suspects(b'"' + text.replace(b"\n", b'\n"'))
        if not suspects:
            return
        lines = text.split(b"\n")
        for place in sorted(suspects.numbers | suspects.words):
            look = ValueScan(place in suspects.numbers, place in suspects.words)
            self._values.text(lines[place].decode("utf-8", "replace"), self._counts, look)
        self._check(self._counts)

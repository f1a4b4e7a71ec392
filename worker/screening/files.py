"""Files that are text, looked through while they pass by: they leave as they are, and what is found is reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from worker.screening.prefilter import BLOCK_BYTES, Prefilter
from worker.screening.values import Counts, Look, Values

LINE_BYTES_MAX = 1 << 20
"""A longer line is cut here; what lies across the cut is not found."""
_TEXTS = ("application/json", "application/jsonl", "application/x-ndjson", "application/csv", "application/xml")


def is_text(media_type: str) -> bool:
    """Whether a file of this media type is read as UTF-8."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind in _TEXTS or kind.endswith(("+json", "+xml"))


class TextScan:
    """One file, or a part of it."""

    def __init__(self, values: Values, prefilter: Prefilter, check: Callable[[Counts], None]) -> None:
        self._values = values
        self._prefilter = prefilter
        self._check = check
        self._counts = Counts()
        self._rest = b""

    def feed(self, block: bytes) -> None:
        """The next bytes of the file. Raises ScanBlocked."""
        self._rest += block
        if len(self._rest) < BLOCK_BYTES:
            return
        end = self._rest.rfind(b"\n") + 1
        if not end and len(self._rest) < LINE_BYTES_MAX:
            return
        self._look(self._rest[: end or None])
        self._rest = self._rest[end:] if end else b""

    def close(self) -> Counter[str]:
        """What was found in all of it, by rule. Raises ScanBlocked."""
        self._look(self._rest)
        self._rest = b""
        return self._counts.masked + self._counts.reported

    def _look(self, text: bytes) -> None:
        # The prefilter looks for numbers behind something: a line may begin with one, a JSON line never does.
        suspects = self._prefilter.suspects(b'"' + text.replace(b"\n", b'\n"'))
        if not suspects:
            return
        lines = text.split(b"\n")
        for place in sorted(suspects.numbers | suspects.words):
            look = Look(place in suspects.numbers, place in suspects.words)
            self._values.text(lines[place].decode("utf-8", "replace"), self._counts, look)
        self._check(self._counts)

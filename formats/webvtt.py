"""WebVTT (W3C): the transcript of each call as subtitles of its recording, one file each (docs/forms.md).

A dataset is one of transcripts if it has `call_id`, `starts_seconds` and `text`. Seconds are numbers or decimals. The
segments of a call need not follow each other, so cues wait in memory. If they are too many, the call that began first
is written, and what still comes of it is counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from formats.values import visible_sign
from portability.api import JSON, Dataset, FormatWriter, Record, RecordChecker, Sink, Unit

FOLDER = "transcripts"
FILES_MAX = 5_000
"""Calls of a volume; the tables have all."""
HELD_BYTES = 8 << 20
CUE_BYTES = 256
"""Memory of a cue beside its text."""
LAST_SECONDS = 5.0
"""How long the last cue is shown if its end is unknown."""
SECONDS_MAX = 10**9
"""A later second, some thirty years after the beginning of a call, is not a time."""

_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_Cue: TypeAlias = tuple[float, float, str]
"""Beginning, end (at the beginning if it is unknown) and text."""


class WebVtt:
    """The form `webvtt`."""

    unit = Unit.RECORD

    @property
    def suffix(self) -> str:
        return ".vtt"

    @property
    def media_type(self) -> str:
        return "text/vtt"

    def open(self, out: Sink) -> FormatWriter:
        """Begin the transcripts of a volume."""
        return WebVttWriter(out)


class WebVttWriter:
    """Writes one file for each call."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._is_known = False
        self._calls: dict[str, list[_Cue]] = {}
        self._written: set[str] = set()
        """The names of files."""
        self._held = 0
        self._losses: Counter[str] = Counter()

    @property
    def held(self) -> int:
        return self._held

    def begin(self, exporter: str, dataset: Dataset) -> None:
        self._checker, self._exporter = RecordChecker(dataset), exporter
        self._names = [field.name for field in dataset.fields]
        self._is_known = {"call_id", "starts_seconds", "text"} <= set(self._names)
        speakers = (field.values for field in dataset.fields if field.name == "speaker")
        self._speakers = {one.value: one.label for values in speakers for one in values}

    def write(self, records: Sequence[Record]) -> None:
        if not self._is_known:
            return
        for values in zip(*self._checker.columns(records), strict=True):
            record = dict(zip(self._names, values, strict=True))
            if _is_said(record):
                self._keep(f"{FOLDER}/{self._exporter}/{record['call_id']}.vtt", self._cue(record))
        while self._held > HELD_BYTES and len(self._calls) > 1:
            self._put(next(iter(self._calls)))

    def close(self) -> Mapping[str, int]:
        for name in list(self._calls):
            self._put(name)
        return dict(self._losses)

    def abort(self) -> None:
        self._calls.clear()
        self._held = 0

    def _keep(self, name: str, cue: _Cue) -> None:
        is_new = name not in self._calls
        if is_new and (name in self._written or len(self._written) + len(self._calls) == FILES_MAX):
            self._losses["rows_cut"] += 1
            return
        self._calls.setdefault(name, []).append(cue)
        self._held += _size(cue)

    def _put(self, name: str) -> None:
        cues = sorted(self._calls.pop(name))
        self._held -= sum(map(_size, cues))
        self._written.add(name)
        self._out.begin(name)
        self._out.write("".join(_lines(cues)).encode())

    def _cue(self, record: Record) -> _Cue:
        begin, end = _seconds(record["starts_seconds"]) or 0.0, _seconds(record.get("ends_seconds"))
        speaker = record.get("speaker")
        voice = _one_line(self._speakers.get(speaker, speaker) if isinstance(speaker, str) else None)
        text = _one_line(record["text"])
        said, replaced = _CONTROLS.subn(visible_sign, f"<v {voice}>{text}" if voice else text)
        if replaced:
            self._losses["controls_replaced"] += 1
        return begin, max(begin, end or 0.0), said


def _is_said(record: Record) -> bool:
    return _seconds(record["starts_seconds"]) is not None and bool(_one_line(record["text"]))


def _seconds(value: JSON) -> float | None:
    """Return a time within a call; None for anything else."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) else -1.0
    except (OverflowError, ValueError):
        return None
    return seconds if 0 <= seconds <= SECONDS_MAX else None


def _size(cue: _Cue) -> int:
    return CUE_BYTES + len(cue[2])


def _lines(cues: Sequence[_Cue]) -> Iterator[str]:
    yield "WEBVTT\n"
    following = [begin for begin, _end, _said in cues[1:]]
    for (begin, end, said), after in zip(cues, [*following, None], strict=True):
        until = end if end > begin else after if after is not None and after > begin else begin + LAST_SECONDS
        yield f"\n{_time(begin)} --> {_time(until)}\n{said}\n"


def _time(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def _one_line(value: JSON) -> str:
    """Return a text in one line and with its markup escaped: an empty line would end the cue."""
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


format = WebVtt()  # noqa: A001  # the name in the entry point and the plug-in guide

"""WebVTT (W3C): the transcript of each call as subtitles of its recording, one file each (docs/forms.md).

A dataset is one of transcripts if it has `call_id`, `starts_seconds` and `text`. A file has the segments of a call that
follow each other, which are together in memory. Seconds are numbers or decimals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from portability.api import JSON, Dataset, FormatWriter, Record, RecordChecker, Sink, Unit

FOLDER = "transcripts"
FILES_MAX = 5_000
"""Calls of a volume; the tables have all."""
LAST_SECONDS = 5.0
"""How long the last cue is shown if its end is unknown."""
SECONDS_MAX = 10**9
"""A later second, some thirty years after the beginning of a call, is not a time."""


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
    """Writes one file for each run of segments of one call."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._is_known = False
        self._segments: list[Record] = []
        self._held = self._files = 0
        self._losses: Counter[str] = Counter()

    @property
    def held(self) -> int:
        return self._held

    def begin(self, exporter: str, dataset: Dataset) -> None:
        self._flush()
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
            if self._segments and record["call_id"] != self._segments[0]["call_id"]:
                self._flush()
            self._segments.append(record)
            self._held += len(str(record["text"]))

    def close(self) -> Mapping[str, int]:
        self._flush()
        return dict(self._losses)

    def abort(self) -> None:
        self._segments.clear()
        self._held = 0

    def _flush(self) -> None:
        cues = sorted(map(self._cue, filter(_is_said, self._segments)))
        if cues and self._files == FILES_MAX:
            self._losses["rows_cut"] += len(self._segments)
        elif cues:
            self._files += 1
            self._out.begin(f"{FOLDER}/{self._exporter}/{self._segments[0]['call_id']}.vtt")
            self._out.write("".join(_lines(cues)).encode())
        self.abort()

    def _cue(self, record: Record) -> tuple[float, float, str]:
        """Return beginning, end (at the beginning if it is unknown) and text of a cue."""
        begin, end = _seconds(record["starts_seconds"]) or 0.0, _seconds(record.get("ends_seconds"))
        speaker = record.get("speaker")
        voice = _one_line(self._speakers.get(speaker, speaker) if isinstance(speaker, str) else None)
        said = f"<v {voice}>{_one_line(record['text'])}" if voice else _one_line(record["text"])
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


def _lines(cues: Sequence[tuple[float, float, str]]) -> Iterator[str]:
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

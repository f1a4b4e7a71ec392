"""`forms`, `forms_rss`: the cost of a person's default forms beside JSON Lines, and the memory of all forms."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import closing

from bench.figures import Figure
from bench.scan_records import Lines, platform
from portability.api import WriterFormat, encoded
from portability.api.rows import Batched, Rows
from portability.law.profiles import Profile
from portability.plugins import load_formats, load_forms
from portability.requests.forms import DEFAULT_FORMS
from worker.write.forms import VolumeForms

RECORD_BYTES = 470
"""The size of records that the target refers to."""
TARGET_US = 30.0
TARGET_MB = 40
"""Above the memory at the beginning, whatever the number of records."""
ALL_FORMS = ("xlsx", "sqlite", "vcard", "icalendar", "eml")


def measure(*, long: bool) -> Figure:
    """Measure microseconds of processor time for a record of 470 bytes: forms of `access` versus JSON Lines."""
    pieces, jsonl = list(platform()), load_formats(["jsonl"])["jsonl"]
    scale = RECORD_BYTES / sum(piece.bytes for piece in pieces) * 1e6
    forms = load_forms(DEFAULT_FORMS[Profile.ACCESS])
    runs = 10 if long else 3
    ours = min(_seconds(forms, pieces) for _run in range(runs)) * scale
    theirs = []
    for _run in range(runs):
        began = time.process_time()
        for piece in pieces:
            b"".join(encoded(jsonl, piece.dataset, Batched(piece.batches)))
        theirs.append(time.process_time() - began)
    us = min(theirs) * scale
    return Figure("forms", ours, us, TARGET_US / us, "us", runs)


def measure_rss(*, long: bool) -> Figure:
    """Measure MB that the forms of the base installation add while they write many records."""
    pieces = list(platform())
    before = _peak_mb()
    forms = load_forms(ALL_FORMS)
    _seconds(forms, pieces, rounds=60 if long else 20)
    return Figure("forms_rss", _peak_mb() - before, TARGET_MB, 1.0, "MB", 1)


def _seconds(forms: Mapping[str, WriterFormat], pieces: list[Lines], rounds: int = 1) -> float:
    with closing(VolumeForms(forms)) as volume:
        began = time.process_time()
        for _round in range(rounds):
            for piece in pieces:
                # As the worker gives them: lines, from which the values are read again.
                volume.write("bench", piece.dataset, _slim(piece))
        return time.process_time() - began


def _slim(piece: Lines) -> Iterator[Rows]:
    for records in piece.batches:
        if isinstance(records, Rows):
            yield records.slim()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

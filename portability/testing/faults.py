"""Checks what an exporter does when its source fails: at each call, and when a worker is killed between batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from portability.api import Batch, CountingExporter, Exporter, ResolvingExporter, Selection, Subject
from portability.api.errors import SourceError, SourceRefused, SourceUnavailable
from portability.testing.reading import DatasetReading, reported, require
from portability.testing.source_faults import FaultMode, SourceFaults

PLACES_MAX = 20
"""Calls of a reading at which the source fails, spread evenly over all its calls."""
KILLS_MAX = 20
CALLS_MAX = 300
"""Calls for one batch: with a second for each, the default of PORTABILITY_SOURCE_SECONDS is reached."""
EXPECTED: Mapping[FaultMode, type[SourceError]] = {
    FaultMode.UNAVAILABLE: SourceUnavailable,
    FaultMode.SLOW: SourceUnavailable,
    FaultMode.REFUSED: SourceRefused,
}
EVERYTHING = Selection()


def check_faults(
    make: Callable[[], Exporter],
    subject: Subject,
    faults: SourceFaults,
    *,
    selection: Selection = EVERYTHING,
) -> None:
    """Check that faults of the source become errors of the API, and that nothing is lost, doubled or silently missing.

    Args:
        make: makes the exporter as its factory does, with a source that `faults` watches: once for each new worker.
        subject: a subject with records in at least one dataset, with all its identities.
        faults: lets calls of the source fail.
        selection: which part of each dataset is read.

    Raises:
        AssertionError: with the rule that is broken, and how to mend it.
    """
    exporter = make()
    seen = 0
    for dataset in exporter.datasets:
        if subject.kind not in (dataset.subject_kinds or exporter.subject_kinds):
            continue
        read = DatasetReading(exporter, subject, dataset, selection)
        faults.arm()
        whole = _read_counted(read, faults)
        calls = faults.calls
        seen += calls
        for mode, at in _places(calls):
            faults.arm(mode, at)
            _check_reading(read, whole, mode)
        faults.arm()
        _check_kills(make, read, whole)
        if isinstance(exporter, CountingExporter):
            count = partial(exporter.count, subject, dataset, selection)
            seen += _check_call(f"{dataset.name}: count()", count, faults)
    if isinstance(exporter, ResolvingExporter):
        seen += _check_call("identities()", lambda: list(exporter.identities(subject)), faults)
    faults.arm()
    require(
        seen > 0,
        "no call of the source was seen",
        "let the exporter read through what `faults` watches: an engine, a file store or a transport",
    )


def _read_counted(read: DatasetReading, faults: SourceFaults) -> Sequence[Batch]:
    """Read a dataset, and check how many calls each batch needs."""
    batches: list[Batch] = []
    with closing(read.exporter.export(read.subject, read.dataset, read.selection)) as source:
        while True:
            before = faults.calls
            batch = next(source, None)
            require(
                faults.calls - before <= CALLS_MAX,
                f"{read.dataset.name}: a batch needs more than {CALLS_MAX} calls of the source",
                "read related rows together, or yield smaller batches, each within PORTABILITY_SOURCE_SECONDS",
            )
            if batch is None:
                return batches
            batches.append(batch)


def _places(calls: int) -> Iterator[tuple[FaultMode, int]]:
    """Yield which calls fail, and how."""
    for mode in FaultMode:
        yield from ((mode, at) for at in range(1, calls + 1, max(1, -(-calls // PLACES_MAX))))


def _check_reading(read: DatasetReading, whole: Sequence[Batch], mode: FaultMode) -> None:
    """Check a reading in which one call fails, and what a retry after its last batch reads."""
    name, batches = read.dataset.name, list[Batch]()
    try:
        with closing(read.exporter.export(read.subject, read.dataset, read.selection)) as source:
            batches.extend(source)
    except Exception as error:  # noqa: BLE001  # a plug-in may raise anything
        _check_error(f"{name}: export()", error, mode)
    else:
        is_said = any(batch.gaps for batch in batches)
        require(
            is_said or reported(batches) == reported(whole),
            f"{name}: a call of the source that is {mode} looks like the end of the data",
            f"raise {EXPECTED[mode].__name__}, or name what is missing in a Gap",
        )
        return
    if mode is not FaultMode.REFUSED:
        rest = read.batches(batches[-1].cursor if batches else None)
        require(
            reported([*batches, *rest]) == reported(whole),
            f"{name}: a retry after a call that is {mode} gives other records",
            "yield only complete batches, whose cursor is after their last record",
        )


def _check_call(what: str, call: Callable[[], object], faults: SourceFaults) -> int:
    """Check a function of the exporter in which one call fails; returns how many calls it needs."""
    faults.arm()
    answer = call()
    calls = faults.calls
    for mode, at in _places(calls):
        faults.arm(mode, at)
        try:
            given = call()
        except Exception as error:  # noqa: BLE001  # as above
            _check_error(what, error, mode)
        else:
            require(
                given == answer,
                f"{what} gives another answer if a call of the source is {mode}",
                f"raise {EXPECTED[mode].__name__}: what is unknown is not absent",
            )
    return calls


def _check_error(what: str, error: Exception, mode: FaultMode) -> None:
    expected = EXPECTED[mode]
    host = "retries" if expected.retryable else "does not retry"
    require(
        isinstance(error, expected),
        f"{what} raises {type(error).__name__} if a call of the source is {mode}",
        f"catch it and raise {expected.__name__}, which the host {host}",
    )


def _check_kills(make: Callable[[], Exporter], read: DatasetReading, whole: Sequence[Batch]) -> None:
    """Check that a new worker continues after each batch: the process that read it was killed."""
    for number in range(0, len(whole), max(1, len(whole) // KILLS_MAX)):
        rest = replace(read, exporter=make()).batches(whole[number].cursor)
        require(
            reported(rest) == reported(whole[number + 1 :]),
            f"{read.dataset.name}: a new worker after batch {number} reads other records",
            "keep the whole place in the cursor, and nothing in the exporter",
        )

"""Check of the sources: every dataset is read for subjects that do not exist, as an export would read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import structlog

from portability.api import BadInput, Dataset, Exporter, PreparedExporter, ResolvingExporter, Selection, Subject
from portability.api.errors import SourceError, SourceRefused, SourceUnavailable
from worker.process.synthetic_subjects import PROFILES, synthetic_subjects
from worker.read.reader import SourcePatience, source_fault

log = structlog.get_logger()


def refusals(exporters: Mapping[str, Exporter], patience: SourcePatience) -> Mapping[str, SourceError]:
    """Return the first fault of each dataset that cannot be read, and of each search for identities, by name.

    A source that does not answer is asked once.
    """
    return {what: fault for name, exporter in exporters.items() for what, fault in _faults(name, exporter, patience)}


def prepare(exporters: Mapping[str, Exporter], patience: SourcePatience) -> None:
    """Compare each declaration with its source. Raises BadInput; a source that does not answer is checked later."""
    for name, exporter in exporters.items():
        if not isinstance(exporter, PreparedExporter):
            continue
        error = patience.once(f"{name}: prepare()", exporter.prepare).error
        if isinstance(error, BadInput):
            raise type(error)(f"[{name}]: {error}", hint=error.hint) from error
        if error is not None:
            fault = source_fault(name, error)
            log.warning("source.not_prepared", exporter=name, code=fault.code)


def _faults(name: str, exporter: Exporter, patience: SourcePatience) -> Iterator[tuple[str, SourceError]]:
    seen: set[str] = set()
    answered: set[str] = set()
    of_ids: dict[str, SourceError] = {}
    for what, call in _calls(name, exporter):
        if what in seen:
            continue
        error = patience.once(what, call).error
        fault = source_fault(what, error) if error else None
        if isinstance(fault, SourceRefused) and fault.is_about_value:
            of_ids.setdefault(what, fault)
        elif fault:
            seen.add(what)
            yield what, fault
            if isinstance(fault, SourceUnavailable):
                return
        else:
            answered.add(what)
    # A policy that reads the tenant as a UUID refuses other ids: it is a fault if it refuses ids of each form.
    yield from ((what, fault) for what, fault in of_ids.items() if what not in seen | answered)


def _calls(name: str, exporter: Exporter) -> Iterator[tuple[str, Callable[[], object]]]:
    for kind in sorted(exporter.subject_kinds & PROFILES.keys()):
        for subject, _ in synthetic_subjects(kind, {name: exporter}):
            if isinstance(exporter, ResolvingExporter):
                yield f"{name}: identities()", partial(exporter.identities, subject)
            for dataset in exporter.datasets:
                if kind in (dataset.subject_kinds or exporter.subject_kinds):
                    yield f"{name}/{dataset.name}", partial(_read_one, exporter, subject, dataset)


def _read_one(exporter: Exporter, subject: Subject, dataset: Dataset) -> None:
    with closing(exporter.export(subject, dataset, Selection(began_at=datetime.now(UTC)))) as batches:
        next(batches, None)

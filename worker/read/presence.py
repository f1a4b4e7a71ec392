"""Presence: whether any source knows the subject, asked before an export is planned.

A mistyped id must not become a signed archive that says "nothing is stored". An archive without rows is an answer only
for a subject that a source knows; an outage is not an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial

from portability.api import Exporter, KnowingExporter, Selection, Subject
from portability.api.errors import SourceError
from portability.requests.states import DatasetState
from worker.plan.plan import PlanLine
from worker.read.identities import ask
from worker.read.reader import Reader, SourcePatience


def is_unknown(
    subject: Subject,
    exporters: Mapping[str, Exporter],
    lines: Sequence[tuple[PlanLine, int | None]],
    selection: Selection,
    patience: SourcePatience,
) -> bool:
    """Return whether every source answered, and none knows the subject.

    `lines` are the plan's lines with the expected number of records; None: the source cannot count.

    A source knows it if it has a record of it, or says so; records of requests for data do not count. The counts are
    there already, so sources are asked only if none of them shows a record. Where no source can say whether it knows a
    subject, the identity that the request was accepted with counts: the answer is False.

    Raises: SourceError if a source gives no answer and no other one knows the subject.
    """
    evidence = [(line, expected) for line, expected in lines if not line.dataset.of_requests]
    if any(line.state is not DatasetState.PENDING or (expected or 0) > 0 for line, expected in evidence):
        return False
    answers, fault = _statements(subject, exporters, patience)
    if True in answers or (False not in answers and fault is None):
        return False
    uncounted = [line for line, expected in evidence if expected is None]
    for found, error in _have_records(uncounted, exporters, selection, patience):
        if found:
            return False
        fault = fault or error
    if fault is not None:
        raise fault
    return True


def _statements(
    subject: Subject, exporters: Mapping[str, Exporter], patience: SourcePatience
) -> tuple[list[object], SourceError | None]:
    answers: list[object] = []
    fault: SourceError | None = None
    for name, exporter in exporters.items():
        if isinstance(exporter, KnowingExporter):
            try:
                answers.append(ask(patience, f"{name}: knows()", partial(exporter.knows, subject)))
            except SourceError as error:
                fault = fault or error
    return answers, fault


def _have_records(
    lines: Sequence[PlanLine], exporters: Mapping[str, Exporter], selection: Selection, patience: SourcePatience
) -> Iterator[tuple[bool, SourceError | None]]:
    """Yield for each dataset whether it has a record, a file or a gap, and the fault of its source."""
    for line in lines:
        with closing(Reader(exporters[line.exporter], line, selection, None, patience)) as reader:
            # A slow source may give a place without records first.
            while (batch := reader.next()) is not None and not (batch.records or batch.files or batch.gaps):
                pass
            yield batch is not None, reader.fault

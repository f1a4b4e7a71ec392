"""Documents: a batch of a dataset whose records become files of their own, one or more of each document format."""

from __future__ import annotations

from collections.abc import Mapping

from archive.volume import MEMBER_BYTES
from portability.api import Dataset, Document, DocumentFormat, Gap, Record
from portability.errors import FormatError
from worker import pieces
from worker.people import Treat, as_it_is
from worker.pieces import Piece
from worker.promises import storable
from worker.reader import Reader
from worker.screening import Screen
from worker.screening.values import Counts

Made = list[tuple[DocumentFormat, Document]]


def read(
    reader: Reader, dataset: Dataset, formats: Mapping[str, DocumentFormat], screen: Screen, treat: Treat = as_it_is
) -> Piece:
    """The next batch as a piece: a volume ends between batches, so that a cursor is a place to go on.

    A record that a format cannot carry, or that no format knows, is a gap by its id; the others are written. What the
    scan finds in a record is masked before it becomes a document. Raises ScanBlocked.
    """
    before = reader.after
    batch = reader.next()
    if batch is None:
        return Piece(0, {}, before, before, (), ())
    batch, redactions = treat(dataset, batch)
    counts = Counts(masked=redactions)
    batch = screen.batch(dataset, batch, counts)
    documents: Made = []
    lost: list[Gap] = []
    written = 0
    for record in batch.records:
        made, reason = _of_record(dataset, record, formats)
        documents += made
        written += bool(made)
        if reason is not None:
            lost.append(Gap(_named(dataset, record), reason))
    short = tuple(pieces.shortfalls([batch], [before]))
    return Piece(
        *(written, {}, batch.cursor, before, batch.files, short),
        documents=documents,
        lost=tuple(lost),
        redactions=counts.masked,
        findings=counts.reported,
    )


def _of_record(dataset: Dataset, record: Record, formats: Mapping[str, DocumentFormat]) -> tuple[Made, str | None]:
    """The record's documents, and why some of them are missing."""
    made: Made = []
    reason = None
    for form in formats.values():
        try:
            made += [(form, document) for document in form.documents(dataset, record)]
        except FormatError as fault:
            reason = fault.code
    if any(len(document.body) > MEMBER_BYTES for _form, document in made):
        return [], "too_large"
    return made, reason if made or reason else "no_format"


def _named(dataset: Dataset, record: Record) -> str:
    return storable("/".join([dataset.name, *(str(record.get(name)) for name in dataset.key)]))

"""Documents: a batch of a dataset whose records become separate files, one or more of each document format."""

from __future__ import annotations

from collections.abc import Mapping

from archive.write.volume import MEMBER_BYTES
from portability.api import Dataset, Document, DocumentFormat, Gap, Record
from portability.api.errors import FormatError
from portability.api.names import storable
from worker.read.reader import Reader
from worker.read.redaction import Redact, as_it_is
from worker.read.screening import Screen
from worker.write import disclosures, pieces
from worker.write.changes import Choose, arrive, everything
from worker.write.pieces import DatasetPiece

Made = list[tuple[DocumentFormat, Document]]


def read(
    reader: Reader,
    dataset: Dataset,
    formats: Mapping[str, DocumentFormat],
    screen: Screen,
    redact: Redact = as_it_is,
    *,
    choose: Choose = everything,
) -> DatasetPiece:
    """Read the next batch as a piece: a volume ends between batches, so that a cursor is a position to continue at.

    A record that a format cannot represent, or that no format knows, is a gap with its id; the others are written.
    Findings of the scan in a record are masked before it becomes a document. Raises ScanBlocked.
    """
    before = reader.after
    batch = reader.next()
    if batch is None:
        return DatasetPiece(0, {}, before, before, (), ())
    given = len(batch.records)
    batch, counts = arrive(dataset, batch, redact, screen, choose)
    documents: Made = []
    lost: list[Gap] = []
    written: list[Record] = []
    for record in batch.records:
        documents_made, reason = of_record(dataset, record, formats)
        documents += documents_made
        written += [record] if documents_made else []
        if reason is not None:
            lost.append(Gap(_named(dataset, record), reason))
    short = tuple(pieces.shortfalls([batch], [before]))
    return DatasetPiece(
        *(len(written), {}, batch.cursor, before, batch.files, short),
        last_records=given,
        documents=documents,
        lost=tuple(lost),
        redactions=counts.masked,
        findings=counts.reported,
        remarks=pieces.count_rows([batch.remarks]),
        withheld=pieces.count_rows([batch.withheld]),
        recipients=disclosures.recipients(dataset, written),
        unsure=(written,) if lost else None,
    )


def of_record(dataset: Dataset, record: Record, formats: Mapping[str, DocumentFormat]) -> tuple[Made, str | None]:
    """Return the record's documents, and why some of them are missing."""
    documents_made: Made = []
    reason = None
    for form in formats.values():
        try:
            documents_made += [(form, document) for document in form.documents(dataset, record)]
        except FormatError as fault:
            reason = fault.code
    if any(len(document.body) > MEMBER_BYTES for _form, document in documents_made):
        return [], "too_large"
    return documents_made, reason if documents_made or reason else "no_format"


def _named(dataset: Dataset, record: Record) -> str:
    return storable("/".join([dataset.name, *(str(record.get(name)) for name in dataset.key)]))

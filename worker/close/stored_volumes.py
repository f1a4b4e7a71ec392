"""The stored volumes before an export closes: each object is as it was written, and together they are the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import RowMapping

from archive import counts
from archive.counts import NUMBERS, DatasetCount
from portability.api.errors import ArchiveError, ObjectMissing
from portability.database import incidents
from portability.database.incidents import Incident
from worker.context import WorkerContext

log = structlog.get_logger()


class CountsDiffer(ArchiveError):
    """The volumes of an export do not contain what its ledger says: it never becomes ready."""

    code = "counts_differ"
    default_hint = "`portability retry` makes the archive anew; report this fault"


def check(context: WorkerContext, export_id: str, rows: Iterable[RowMapping], check_claim: Callable[[], None]) -> None:
    """Look up the object of each volume: its size, its ETag, and its content if the ETag has changed.

    Stores change the ETag of the same content when they copy it to another tier or region. A volume that an earlier
    release stored has no ETag in its row: only its size is compared.

    Raises: ObjectMissing, also for an object that is not the one that was stored; StorageUnavailable.
    """
    for row in rows:
        check_claim()
        if not _is_same(context, row, check_claim):
            incidents.count(context.engine, Incident.OBJECT_LOST)
            raise ObjectMissing(
                f"export {export_id}: storage has lost volume {row['number']}, or has other bytes for it"
            )


def has_earlier(context: WorkerContext, rows: Iterable[RowMapping], revision: int) -> bool:
    """Return whether storage has the volumes of an export that belong to revisions before `revision`.

    Raises: StorageError.
    """
    earlier = (row for row in rows if row["revision"] < revision)
    return all(_is_same(context, row, lambda: None) for row in earlier)


def _is_same(context: WorkerContext, row: RowMapping, check_claim: Callable[[], None]) -> bool:
    try:
        found = context.storage.stat(row["object_key"])
    except ObjectMissing:
        return False
    is_known = row["etag"] in {None, found.etag}
    return found.bytes == row["bytes"] and (is_known or _sha256(context, row, check_claim) == row["sha256"])


def _sha256(context: WorkerContext, row: RowMapping, check_claim: Callable[[], None]) -> str:
    log.info("volume.read_again", export=row["export_id"], volume=row["number"])
    digest = hashlib.sha256()
    for block in context.storage.read(row["object_key"]):
        check_claim()
        digest.update(block)
    return digest.hexdigest()


def compare(
    export_id: str, rows: Sequence[RowMapping], own: Sequence[DatasetCount], lines: Sequence[Mapping[str, Any]]
) -> None:
    """Compare the counts of all volumes, the closing volume's `own` included, with the ledger. Raises CountsDiffer.

    Exports with a volume that an earlier release stored without counts are not compared.
    """
    if any(row["counts"] is None for row in rows):
        return
    stored = [count for row in rows for count in counts.from_json(row["counts"])]
    expected = [
        DatasetCount(line["exporter"], line["dataset"], *(line[number] for number in NUMBERS)) for line in lines
    ]
    for difference in counts.differences([*stored, *own], expected):
        raise CountsDiffer(f"export {export_id}: its volumes and its ledger differ: {difference}")

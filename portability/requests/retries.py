"""Retries: a failed export from the beginning, or the gaps of a ready one, as the archive's next revision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, select, update

from portability.database import models
from portability.errors import WrongState
from portability.requests import earlier_revisions, exports, ledger_lines, referrals, reviews, slices
from portability.requests.states import ONGOING, DatasetState, ExportState
from portability.requests.transition import rewrite_volumes, transition

VOLUME, LEDGER, GAP, EXPORT = models.volume, models.ledger, models.gap, models.export
ARCHIVE, LINK, CLAIM = models.feed_archive, models.link, models.link_claim
UNDECIDED = dict.fromkeys(("complete", "outcome_own", "outcome_processor", "erasure_ground"))
"""Columns of an export that is open again: what is made now is another copy than an officer permitted to erase."""
PLACE = ("ordinal", "slice", "after", "files", "without", "instructed", "reviewed")
"""Values of a reading: gaps with the same values are read together."""


def retry(connection: Connection, identifier: str, *, actor: str) -> None:
    """Start a failed export again: the same request, the same due date.

    Raises: UnknownExport; WrongState if it has not failed, or was ready in a feed; ErasureRunning.
    """
    row = exports.lock_unerased(connection, identifier)
    if row["state"] != ExportState.FAILED:
        hint = "add --gaps to fetch what is missing in a ready export" if row["state"] == ExportState.READY else None
        raise WrongState(f"export {identifier} is {row['state']}; it must be failed", hint=hint)
    _check_never_ready(connection, row)
    _check_alone(connection, row)
    for table in (LEDGER, GAP):
        connection.execute(delete(table).where(table.c.export_id == identifier))
    for table in (models.feed_part, models.feed_step):
        of_feed = (table.c.feed_id == row["feed_id"], table.c.export_id == identifier)
        connection.execute(delete(table).where(*of_feed))
    earlier_revisions.forget(connection, identifier)
    # The first claim deletes remaining objects and pseudonyms of the failed attempt.
    rewrite_volumes(connection, identifier)
    _end_claims(connection, identifier)
    last = connection.scalar(select(func.max(VOLUME.c.number)).where(VOLUME.c.export_id == identifier)) or 0
    slices.reopen_first(connection, identifier, None)
    fresh = {**UNDECIDED, "began_at": None, "volume_counter": last, "revision": 1, "open_slices": 0}
    transition(connection, row, ExportState.QUEUED, actor=actor, columns=fresh)


def retry_gaps(connection: Connection, identifier: str, *, actor: str) -> int:
    """Make a ready export fetch what is missing; returns the number of gaps that are read again.

    New volumes and a new closing volume become the next revision; nothing of it is delivered before it is complete. If
    it fails or is cancelled, the archive is ready again as it was.

    Raises: UnknownExport; WrongState if it is not ready, or has no gap that reading again could fill;
    ErasureRunning.
    """
    row = exports.lock_unerased(connection, identifier)
    if row["state"] != ExportState.READY:
        raise WrongState(f"export {identifier} is {row['state']}; it must be ready")
    if row["feed_id"] is not None:
        raise WrongState(
            f"export {identifier} is an archive of feed {row['feed_id']}, which goes on",
            hint=f"`portability feeds next {row['feed_id']}` reads what was missing again",
            caller_hint="the next archive of the feed reads what was missing again",
        )
    last = reviews.last(reviews.of(connection, row))
    found, answers = _fillable(exports.gaps(connection, identifier), last), referrals.answered(connection, identifier)
    if not found and not answers:
        raise WrongState(
            f"export {identifier} has no gap that reading again could fill",
            hint="`portability reviews list ID` lists the records on which an officer must decide first",
            caller_hint="an officer must decide first on the records that may be the person's",
        )
    earlier_revisions.keep(connection, row, answers)
    revision = row["revision"] + 1
    instructed = ledger_lines.answer(connection, identifier, answers)
    readings = _readings(found, revision, instructed)
    for ordinal in {reading["ordinal"] for reading in readings}:
        again = sum(reading["ordinal"] == ordinal for reading in readings)
        line = update(LEDGER).where(LEDGER.c.export_id == identifier, LEDGER.c.ordinal == ordinal)
        connection.execute(line.values(open_slices=again, state=DatasetState.PENDING, reason=None))
    referrals.apply(connection, answers)
    slices.reopen_first(connection, identifier, readings)
    detail = {"gaps": len(found), "answers": len(answers), "revision": revision}
    columns = {**UNDECIDED, "revision": revision, "reviewed": last}
    transition(connection, row, ExportState.RUNNING, actor=actor, detail=detail, columns=columns)
    return len(found)


def apply_answers(connection: Connection, identifier: str, *, actor: str) -> bool:
    """Make a ready export show the answers of tenants, as its next revision; returns whether it does now.

    While the export runs, they wait: its next retry shows them. Those about a feed are in its next archive.
    Raises UnknownExport, ErasureRunning.
    """
    row = exports.lock(connection, identifier)
    if row["state"] != ExportState.READY or row["feed_id"] is not None:
        return False
    retry_gaps(connection, identifier, actor=actor)
    return True


def is_of_this_archive() -> ColumnElement[bool]:
    """Return the condition for claims of an archive that was not made anew since."""
    return CLAIM.c.expires_at > CLAIM.c.created_at


def archive_number(connection: Connection, identifier: str) -> int:
    """Return which archive of a feed an export is, from the moment it was ready; 0: none."""
    return connection.scalar(select(ARCHIVE.c.number).where(ARCHIVE.c.export_id == identifier)) or 0


def count_fillable(connection: Connection, export: RowMapping) -> int:
    """Return the number of an export's gaps that a retry could fill, and of tenants' answers that it does not show."""
    if export["feed_id"] is not None:
        return 0
    last = reviews.last(reviews.of(connection, export))
    answers = referrals.answered(connection, export["id"])
    return len(_fillable(exports.gaps(connection, export["id"]), last)) + len(answers)


def _fillable(gaps: Iterable[RowMapping], last_decision: int) -> Sequence[RowMapping]:
    """Return the gaps that reading again could fill; for a review, an officer must have decided since it was read."""
    return [
        gap
        for gap in gaps
        if gap["resume"] is not None and gap["resume"].get("reviewed", last_decision - 1) < last_decision
    ]


def _check_never_ready(connection: Connection, export: RowMapping) -> None:
    """Check that it was no archive of a feed: another would follow its own, and forget it. Raises WrongState."""
    if number := archive_number(connection, export["id"]):
        feed = export["feed_id"]
        raise WrongState(
            f"export {export['id']} was archive {number} of feed {feed}, and was ready",
            hint=f"a recipient that has it goes on with `portability feeds next {feed}`; for others begin another feed",
            caller_hint=f"a recipient that has it goes on with POST /v1/feeds/{feed}/next; for others begin another",
        )


def _check_alone(connection: Connection, export: RowMapping) -> None:
    """Check that no other archive of its feed is being written: each begins where the last ends. Raises WrongState."""
    others = (EXPORT.c.feed_id == export["feed_id"], EXPORT.c.state.in_(ONGOING))
    if export["feed_id"] is not None and (other := connection.scalar(select(EXPORT.c.id).where(*others).limit(1))):
        raise WrongState(f"export {other} of the same feed has not ended")


def _end_claims(connection: Connection, export_id: str) -> None:
    """End the downloads of the archive that was there before: its numbers and names are given again, to other bytes."""
    of_export = CLAIM.c.link_id.in_(select(LINK.c.id).where(LINK.c.export_id == export_id))
    connection.execute(update(CLAIM).where(of_export).values(expires_at=CLAIM.c.created_at))


def _readings(
    gaps: Iterable[RowMapping], revision: int, more: Iterable[dict[str, Any]] = ()
) -> Sequence[dict[str, Any]]:
    """Return one reading for all gaps at one position: records after a cursor, or what is missing of one batch.

    `more` are readings that no gap asks for.
    """
    places: dict[bytes, dict[str, Any]] = {}
    for gap in gaps:
        resume = dict(gap["resume"])
        missed, beyond = resume.pop("missed", None), resume.pop("beyond", ())
        place = {name: resume.get(name) for name in PLACE}
        merged = places.setdefault(
            orjson.dumps([place, missed is None, not beyond], option=orjson.OPT_SORT_KEYS), {**resume, "gaps": []}
        )
        merged["gaps"].append(gap["id"])
        if beyond:
            merged["beyond"] = sorted({*merged.get("beyond", ()), *beyond})
        if missed is not None:
            # Each gap says itself what it lacks; the reading only says that it reads a batch again.
            merged["missed"] = {"only": [], "but": None}
    ordered = sorted((*places.values(), *more), key=lambda reading: int(reading["ordinal"]))
    return [{**reading, "label": f"r{revision}-{number:02}"} for number, reading in enumerate(ordered, 1)]

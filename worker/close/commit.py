"""Commit: all database changes of one volume, as one value that one transaction writes.

The closing volume's document is made from the same value, so that the archive and the database agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping

from archive.counts import DatasetCount
from archive.parts import SealedVolume
from portability.api import JSON, Identity
from portability.database import models
from portability.database.engine import writing
from portability.feeds import archives, feeds, parts
from portability.requests import keeping, referrals, reviews, slices
from portability.requests.cursor_seals import CursorSealer
from portability.requests.planned_maps import PlannedMaps
from portability.requests.states import DatasetState, ExportState
from portability.requests.transition import store_volume
from worker.claim import fenced_writes
from worker.claim.claims import Claim
from worker.close import closing_document, signing_keys
from worker.context import WorkerContext
from worker.plan.plan import ExportPlan, PlanLine
from worker.plan.position import Position
from worker.read import identities
from worker.write import ledger
from worker.write.changes import VolumeChanges
from worker.write.ledger import LedgerTally
from worker.write.open_volume import OpenVolume

VOLUME = models.volume


class NextStep(StrEnum):
    """What happens after a volume."""

    GO_ON = "go_on"
    """The slice has more to read: the next claim continues at the position."""
    END_SLICE = "end_slice"
    """The slice is read: it is done, or waits for the others, or as the last one it allows the export to close."""
    END_EXPORT = "end_export"
    """It was the closing volume: the export is ready."""


@dataclass(frozen=True, slots=True)
class ClosingRows:
    """An export's rows when all its other slices are read."""

    volumes: Sequence[RowMapping]
    """The stored volumes."""
    lines: Sequence[Mapping[Any, Any]]
    """The ledger lines."""
    gaps: Sequence[RowMapping]
    reviewed: Sequence[Mapping[str, JSON]] = ()
    """The counts of reviews on which an officer decided."""
    maps: PlannedMaps | None = None
    """The maps with which the export was planned."""


@dataclass(frozen=True, slots=True)
class VolumeCommit:
    """The database changes of a volume that storage has confirmed."""

    volume: RowMapping
    """The volume's reserved row."""
    sealed: SealedVolume | None
    """The volume as it was signed; None if there was nothing to write: the row is deleted."""
    etag: str | None
    """The version of the stored object."""
    tallies: Mapping[int, LedgerTally]
    """Changes of ledger lines, by ordinal."""
    gaps: Sequence[Mapping[str, Any]]
    """Rows of new gaps."""
    filled: Sequence[int]
    """Ids of older gaps that it fills or replaces."""
    position: Position
    """Where the slice's next volume begins."""
    next_step: NextStep
    plan: ExportPlan
    unknown: bool
    """Whether no source knew the subject, and a person approved the export."""
    rows: ClosingRows | None = None
    """What the closing volume states: no other slice adds to it any more. None: other slices may."""
    unclear: Sequence[tuple[Identity, str]] = ()
    """The identities that name records for a review, with the records' datasets; noted with the closing volume."""

    referred: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By tenant: the people whose data needs its instruction; noted with the closing volume."""
    changes: VolumeChanges | None = None
    """What it delivers of a feed; None: the export belongs to no feed."""

    @property
    def closes(self) -> bool:
        """Return whether this is the closing volume's commit."""
        return self.next_step is NextStep.END_EXPORT

    @property
    def counts(self) -> Sequence[DatasetCount]:
        """Return what the volume adds to the ledger, by dataset."""
        return ledger.counts(self.plan, self.tallies)


def draft_commit(row: RowMapping, volume: OpenVolume, rows: ClosingRows | None) -> VolumeCommit:
    """Make the commit of a volume that is filled and not sealed yet; `rows` are those of a closing volume."""
    closes = bool(rows)
    following = NextStep.END_EXPORT if closes else NextStep.END_SLICE
    planned = volume.job.plan.lines
    read = (line.subject for line in planned if line.state is DatasetState.PENDING)
    return VolumeCommit(
        volume=row,
        sealed=None,
        etag=None,
        tallies=volume.tallies,
        gaps=ledger.gap_rows(volume.job.plan, volume.tallies, row["number"]),
        filled=[identifier for tally in volume.tallies.values() for identifier in tally.filled],
        position=volume.position,
        next_step=following if volume.is_read else NextStep.GO_ON,
        plan=volume.job.plan,
        unknown=volume.job.unknown_approved,
        rows=rows,
        unclear=tuple(identities.unclear(read, volume.job.exporters.values())) if closes else (),
        referred=_referred(planned) if closes else {},
        changes=volume.changes,
    )


def _referred(lines: Sequence[PlanLine]) -> Mapping[str, Sequence[str]]:
    """Return by tenant the people whose data is referred to it."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for line in lines:
        for tenant, person in line.people:
            found[tenant][person] = None
    return {tenant: list(people) for tenant, people in found.items()}


def apply_commit(context: WorkerContext, claim: Claim, commit: VolumeCommit) -> int:
    """Write the commit in one transaction; returns how many workers to wake.

    Raises: LeaseLost, Cancelled; VolumeFault, KeyRevoked as `signing_keys.check` says.
    """
    with writing(context.engine) as connection:
        export = fenced_writes.lock_export(connection, claim)
        fenced_writes.check_wanted(export)
        if commit.sealed is None:
            fenced_writes.forget_volume(connection, claim, commit.volume)
        else:
            signing_keys.check(connection, claim.id, commit.sealed)
            own = fenced_writes.own(claim)
            store_volume(connection, VOLUME, commit.volume, _columns(commit, commit.sealed), condition=own)
        _store_delivered(connection, claim, commit)
        seals = CursorSealer(connection, context.settings.keys)
        gaps = [{**gap, "resume": gap["resume"] and seals.sealed(gap["resume"])} for gap in commit.gaps]
        stated = commit.rows.lines if commit.rows else None
        lines = ledger.add(connection, claim.id, commit.tallies, gaps, commit.filled, stated)
        if commit.closes and commit.changes is not None and commit.changes.archive is not None:
            archives.note(connection, commit.changes.feed, export, commit.changes.archive, lines)
        position = seals.sealed(commit.position.to_json())
        match commit.next_step:
            case NextStep.GO_ON:
                version = slices.stored_version([position])
                fenced_writes.settle(connection, claim, position=position, large=True, **version)
                return 1
            case NextStep.END_SLICE:
                fenced_writes.write(connection, claim, position=position)
                return int(fenced_writes.end_slice(connection, claim))
            case NextStep.END_EXPORT:
                answer = closing_document.outcome_of(export, commit.plan, lines, unknown=commit.unknown)
                columns = {
                    "complete": answer.complete,
                    "outcome_own": answer.own,
                    "outcome_processor": answer.processor,
                    **keeping.recorded(context.settings, export, export["present"]),
                }
                reviews.note(connection, export, commit.unclear)
                counted = {"volumes": len(commit.rows.volumes) + 1} if commit.rows else {}
                fenced_writes.end_locked(connection, export, ExportState.READY, columns=columns, detail=counted)
                referrals.note(connection, context.settings, export, commit.referred)
                return 0


def _store_delivered(connection: Connection, claim: Claim, commit: VolumeCommit) -> None:
    """Store what the volume has delivered of a feed, and advance the feed with the closing volume. Raises FeedMoved."""
    if commit.changes is None:
        return
    feed = commit.changes.feed
    number = feed["number"]
    if commit.closes:
        is_full, progress = not commit.changes.is_by_changes, commit.changes.progress
        feeds.advance(connection, feed["id"], number, claim.id, is_full=is_full, progress=progress)
    parts.store(connection, feed["id"], number + 1, claim.id, commit.volume["number"], commit.changes.parts())


def _columns(commit: VolumeCommit, sealed: SealedVolume) -> dict[str, object]:
    return {
        "closing": commit.closes,
        "counts": [count.to_json() for count in commit.counts],
        "etag": commit.etag,
        "bytes": sealed.bytes,
        "sha256": sealed.sha256,
        "tagmanifest_sha256": sealed.tagmanifest_sha256,
        "files": sealed.files,
        "payload_bytes": sealed.payload_bytes,
    }

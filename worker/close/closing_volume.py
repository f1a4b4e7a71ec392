"""The closing volume: what the last volume of an export contains beside data: export.json, the notice, the viewer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import RowMapping

from archive.summary.words import ArchiveSummary
from archive.viewer.index import ViewerIndex
from archive.viewer.pages import pages
from archive.write.notice import document as notice_document
from portability.api import JSON, RowRemark
from portability.database import incidents
from portability.database.engine import reading
from portability.database.incidents import Incident
from portability.errors import Incomplete
from portability.law import tenants
from portability.law.regime import Regime, SubjectFacts
from portability.law.regimes import giving_rights
from portability.requests import exports, reviews
from portability.requests.exports import BegunExport
from worker.claim.claims import Claim
from worker.close import closing_document, stored_volumes, tombstones
from worker.close.commit import ClosingRows, VolumeCommit
from worker.close.summary import make_summary
from worker.context import WorkerContext
from worker.write import excerpts, ledger, shards
from worker.write.open_volume import OpenVolume

log = structlog.get_logger()
LISTED = ("number", "name", "bytes", "sha256", "tagmanifest_sha256")
"""What export.json states about each earlier volume."""


@dataclass(frozen=True, slots=True)
class ClosingFiles:
    """Files added when the volume is sealed; empty for a volume that does not close."""

    document: Mapping[str, JSON] | None = None
    """export.json."""
    notice: Mapping[str, JSON] | None = None
    """notice.json."""
    summary: ArchiveSummary | None = None
    """What README.html and the viewer show first, and summary.pdf."""
    viewer: Iterable[tuple[str, Iterable[bytes]]] | None = None
    """(path, blocks) of each file."""
    index: ViewerIndex | None = None
    """The viewer's index of the whole archive."""

    @property
    def are_final(self) -> bool:
        """Return whether no volume follows: the archive is closed, and has no gaps that a retry could fill."""
        return bool(self.document and not self.document["gaps"])


def rows_to_close(context: WorkerContext, claim: Claim, export: BegunExport) -> ClosingRows | None:
    """Read what the closing volume describes; None while other slices are read. Slice 0 is the one that closes."""
    if claim.number:
        return None
    with reading(context.engine) as connection:
        if export.open_slices:
            # Other slices may have stored volumes while this volume was filled: its list names them too.
            export = exports.begun(connection, claim.id)
        if export.open_slices:
            return None
        lines = export.lines or exports.ledger(connection, claim.id)
        gaps = exports.gaps(connection, claim.id) if any(line["gaps"] for line in lines) else ()
        reviewed = reviews.examined(connection, {**claim.export, "reviewed": export.reviewed})
    return ClosingRows(export.stored, lines, gaps, reviewed, export.maps)


def report_remarks(context: WorkerContext, claim: Claim, commit: VolumeCommit, rows: ClosingRows) -> None:
    """Alarm the operator about records that their source should have deleted."""
    for line in ledger.merge(rows.lines, commit.tallies):
        past = (line["remarks"] or {}).get(RowRemark.PAST_RETENTION, 0)
        if past:
            names = {"exporter": line["exporter"], "dataset": line["dataset"]}
            log.warning("retention.exceeded", export=claim.id, **names, records=past)
            incidents.count(context.engine, Incident.PAST_RETENTION, past)


def make_files(
    context: WorkerContext, claim: Claim, volume: OpenVolume, commit: VolumeCommit, rows: ClosingRows
) -> ClosingFiles:
    """Make the files that describe the export after this commit. Raises Incomplete, StorageUnavailable, VolumeFault."""
    plan, export = volume.job.plan, claim.export
    lines = ledger.merge(rows.lines, commit.tallies)
    named = sorted({f"{line['exporter']}/{line['dataset']}" for line in lines if line["gaps"]})
    if export["require_complete"] and named:
        raise Incomplete(
            f"export {claim.id} has gaps in {', '.join(named)}, but the request demanded a complete export"
        )
    gaps = [*(dict(gap) for gap in rows.gaps if gap["id"] not in commit.filled), *commit.gaps]
    stored_volumes.check(context, claim.id, rows.volumes, volume.job.check)
    stored_volumes.compare(claim.id, rows.volumes, commit.counts, lines)
    listed = [_listed(row) for row in rows.volumes]
    own: dict[str, JSON] = {"number": commit.volume["number"], "name": volume.output.name}
    listed.append({**own, "counts": [count.to_json() for count in commit.counts]})
    document = closing_document.document(
        *(export, plan, lines, gaps, listed, claim.present()),
        unknown=volume.job.unknown_approved,
        reviewed=rows.reviewed,
        tenants=tenants.load(context.settings.tenants_file),
        maps=rows.maps,
        covered=volume.job.coverage,
        feed=None if volume.changes is None else volume.changes.feed,
        exporters=volume.job.exporters,
    )
    tombstones.write_changes(context, claim, volume, gaps, rows.maps)
    excerpts.absorb(context.storage, volume.excerpts, rows.volumes, export["revision"])
    index = None
    if volume.shards is not None:
        index = shards.merge(context.storage, volume.shards.index, rows.volumes, export["revision"])
    envelope = volume.output.envelope
    summary = make_summary(export, plan, document, volume.excerpts, index, envelope, volume.typesetter)
    return ClosingFiles(
        document,
        notice_document(
            *(envelope, document, context.notice, closing_document.notice_lines(plan.lines, lines)),
            _rights_giving(context, export),
        ),
        summary,
        pages(envelope, document, volume.excerpts.shown(plan.lines), index, summary=summary, has_notice=True),
        index,
    )


def _listed(row: RowMapping) -> dict[str, JSON]:
    described: dict[str, JSON] = {name: row[name] for name in LISTED}
    return described if row["counts"] is None else {**described, "counts": row["counts"]}


def _rights_giving(context: WorkerContext, export: RowMapping) -> Sequence[Regime]:
    """Return the laws that give rights to the subject of an export."""
    facts = SubjectFacts(export["subject_kind"], export["residence"], export["tenant"])
    return giving_rights(context.settings.laws, export["profile"], facts)

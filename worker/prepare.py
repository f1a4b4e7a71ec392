"""Prepare what a slice reads. At an export's first claim the plan is stored, and large datasets are cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from typing import Any

import structlog
from sqlalchemy import Connection, RowMapping

from portability.api import Selection, Subject, SubjectKind
from portability.api.errors import ExporterFault, SourceStalled, WorkerDied
from portability.api.nouns import first_identity
from portability.database import incidents
from portability.database.engine import reading, writing
from portability.database.incidents import Incident
from portability.feeds import steps
from portability.feeds.parts import FeedKey
from portability.feeds.steps import FeedStep
from portability.law import scan_rules
from portability.law.notice import Register
from portability.law.profiles import Profile
from portability.people import resolution
from portability.people.resolution import Resolution, Unresolved
from portability.plugins import load_document_formats, load_formats, load_forms
from portability.requests import approvals, cursor_seals, exports, instructions, planned_maps, reviews, slices
from portability.requests.cursor_seals import CursorSealer
from portability.requests.exports import BegunExport
from portability.requests.instructions import Order
from portability.setting_values import listed
from portability.settings import Settings
from portability.tracing import traces
from portability.trust import audit, keys
from worker.claim import fenced_writes
from worker.claim.claims import Claim
from worker.context import WorkerContext
from worker.plan import plan
from worker.plan.coverage import PlannedCoverage
from worker.plan.plan import ExportPlan, PlanLine
from worker.plan.planned_maps import to_store
from worker.plan.position import Position, Reading
from worker.read import changed, coverage, identities, redaction
from worker.read.bounded_calls import Check, Report, unreported
from worker.read.files import UNREADABLE
from worker.read.identities import Resolving
from worker.read.presence import is_unknown
from worker.read.reader import SourcePatience
from worker.read.screening import Screen
from worker.write import deaths, division, ledger, shortages
from worker.write.division import Division
from worker.write.open_volume import SliceJob, VolumeLimits

log = structlog.get_logger()
INCIDENTS: Mapping[str, Incident] = {
    SourceStalled.code: Incident.SOURCE_STALLED,
    ExporterFault.code: Incident.EXPORTER_FAULT,
    WorkerDied.code: Incident.EXPORTER_FAULT,
    UNREADABLE: Incident.EXPORTER_FAULT,
}
"""Incidents by the reason of a gap."""


def job(context: WorkerContext, claim: Claim, check: Check, report: Report = unreported) -> SliceJob:
    """Make the job of the claimed slice; its readings are empty if it has no plan yet."""
    export, settings = claim.export, context.settings
    patience = _patience(context, claim, check, report)
    with reading(context.engine) as connection:
        orders = instructions.orders(connection)
        is_planned = claim.slice["readings"] is not None
        if is_planned:
            keys.signing(connection, settings.keys)  # reports a missing key before hours of reading
        begun = exports.ledger(connection, claim.id) if is_planned else ()
        unknown_approved = claim.fence > 1 and approvals.is_unknown_approved(connection, claim.id)
        readings = tuple(map(Reading.from_json, claim.slice["readings"] or ()))
        at = Position.from_json(claim.slice["position"]).reading
        gaps = exports.gaps(connection, claim.id) if at < len(readings) else ()
    begun_without = identities.begun_without(readings[at], gaps) if gaps else {}
    asked = resolution.needed(context.exporters, export["include"], context.trust)
    resolving = Resolving(_first_subject(export), asked, patience, context.trust)
    found = (reviewed := _resolve(context, claim, resolving, begun_without)).found
    formats, documents = load_formats(export["formats"]), load_document_formats(export["formats"])
    make = partial(_make_plan, context, export, bool(formats), bool(documents))
    made = make(found.subject, orders, context.notice)
    return SliceJob(
        plan=plan.as_begun(make(found.subject, orders), begun, made.omissions) if is_planned else made,
        readings=readings,
        exporters=context.exporters,
        formats=formats,
        selection=Selection(since=export["since"], until=export["until"], began_at=export["began_at"]),
        limits=VolumeLimits(settings.volume_bytes, settings.volume_members, settings.piece_bytes),
        patience=patience,
        check=check,
        document_formats=documents,
        forms=load_forms(export["formats"]),
        screen=screen(context.settings, export["profile"]),
        report_gap=partial(_report_gap, context),
        redact=redaction.redact(context.engine, claim.id, Profile(export["profile"]), found.subject),
        unresolved=resolving.by_exporter(found.unresolved),
        open_gaps={gap["id"]: gap for gap in gaps},
        begun_without=tuple(begun_without),
        begins_at=at,
        retention_cutoff=partial(retention_cutoff, context.notice, export["began_at"]),
        reviewed=reviewed.number,
        has_shards=export["profile"] not in listed(settings.viewer_excerpts),
        is_review_lost=reviewed.is_lost,
        coverage=tuple(PlannedCoverage(**one) for one in export["coverage"] or ()),
        plan_for=_plans_for(make, resolving, found.unresolved, orders, reviewed.rows, begun),
        unknown_approved=unknown_approved,
        open_cursor=partial(cursor_seals.opened, settings.keys),
        confirm=resolving.confirm,
        present=claim.present,
    )


def _patience(context: WorkerContext, claim: Claim, check: Check, report: Report) -> SourcePatience:
    settings = context.settings
    return SourcePatience(
        settings.source_retries,
        seconds=settings.source_seconds,
        check=check,
        report=report,
        judge=partial(shortages.raise_own, claim, settings.attempts_max),
        suspects=deaths.suspects(context, claim),
    )


@dataclass(frozen=True, slots=True)
class ReviewedSubject:
    """The subject of a job, with the decisions on its reviews."""

    found: Resolution
    rows: Sequence[RowMapping] = ()
    """All reviews of the subject."""
    number: int = 0
    """The number of the last decision that applies."""
    is_lost: bool = False
    """Whether the source no longer shows a record as unclear whose gap a reading is to fill."""


def _resolve(
    context: WorkerContext, claim: Claim, resolving: Resolving, unresolved: Mapping[str, Unresolved]
) -> ReviewedSubject:
    """Resolve the subject, first without decisions: most subjects have no unclear record."""
    export, stored = claim.export, claim.slice["readings"]
    found = resolving.without(unresolved, {})
    bases = [reading["reviewed"] for reading in stored or () if reading.get("reviewed") is not None]
    if not bases and not any(identities.unclear([found.subject], context.exporters.values())):
        return ReviewedSubject(found, number=export["reviewed"])
    with reading(context.engine) as connection:
        rows = reviews.of(connection, export)
    number = reviews.last(rows) if stored is None else export["reviewed"]
    decided = reviews.until(rows, number)
    is_lost = False
    if bases:
        led = resolving.without(unresolved, {key: True for key, is_theirs in decided.items() if is_theirs})
        is_lost = reviews.is_lost(rows, export, min(bases), found.subject.identities, led.subject.identities)
    return ReviewedSubject(resolving.without(unresolved, decided), rows, number, is_lost)


def _make_plan(
    context: WorkerContext,
    export: RowMapping,
    records: bool,  # bound by position in `job`
    documents: bool,  # as above
    subject: Subject,
    orders: Sequence[Order],
    register: Register | None = None,
) -> ExportPlan:
    arguments = (Profile(export["profile"]), subject, context.exporters, orders, export["include"])
    return plan.make(*arguments, notice=register, records=records, documents=documents, trust=context.trust)


def _plans_for(
    make: Callable[[Subject, Sequence[Order]], ExportPlan],
    resolving: Resolving,
    unresolved: Mapping[str, Unresolved],
    orders: Sequence[Order],
    decided: Sequence[RowMapping],
    begun: Sequence[RowMapping],
) -> Callable[[tuple[str, ...], int, tuple[tuple[str, str], ...]], ExportPlan]:
    """Return what makes the plan for the subject without some plug-ins, decisions and instructions."""

    @cache
    def plan_for(names: tuple[str, ...], number: int, later: tuple[tuple[str, str], ...]) -> ExportPlan:
        left = {**unresolved, **dict.fromkeys(names, Unresolved(""))}
        fewer = resolving.without(left, reviews.until(decided, number))
        earlier = [order for order in orders if (order.tenant, order.contact_id) not in later]
        return plan.as_begun(make(fewer.subject, earlier), begun)

    return plan_for


def write_plan(context: WorkerContext, claim: Claim, unplanned: SliceJob) -> tuple[SliceJob, int] | None:
    """Store the plan, once; returns the job with its readings, and the number of additional slices.

    None: no source knows the subject, so a person has to decide first.

    Raises: LeaseLost, Cancelled, SourceError if a source gives no answer and no other one knows the subject.
    """
    # What was recorded about the request before its begin is read from the chain, as part of its subject's data.
    if claim.has_unchained:
        audit.chain_all(context.engine)
    step = _feed_step(context, claim, unplanned)
    divided = division.divide(context, unplanned, frozenset() if step is None else step[1].read_by_keys)
    if division.may_take_long(context, divided):
        with reading(context.engine) as connection:
            keys.signing(connection, context.settings.keys)  # as in `job`; a short reading sees it when it is sealed
    if _is_unknown(context, claim, unplanned, divided):
        with writing(context.engine) as connection:
            export = fenced_writes.lock(connection, claim)
            fenced_writes.check_wanted(export)
            fenced_writes.release(connection, claim, attempts=0)
            approvals.ask_about_unknown(connection, export, actor=fenced_writes.ACTOR)
        return None
    own = [run.to_json() for run in divided.own]
    covered = coverage.of_plan(context, unplanned.plan, unplanned.patience)
    version = slices.planned_version(claim.slice["version"], unplanned.plan.datasets)
    of_slice = {"readings": own, "large": division.is_large(context, divided), "version": version}
    of_export: dict[str, Any] = {
        "open_slices": len(divided.cut),
        "reviewed": unplanned.reviewed,
        "coverage": [one.to_json() for one in covered] or None,
    }
    maps = to_store(context, claim.export)
    with writing(context.engine) as connection:
        if step is not None or maps or any(claim.export[name] != value for name, value in of_export.items()):
            fenced_writes.lock(connection, claim, **of_slice)
            of_export |= {"maps": planned_maps.store(connection, maps)} if maps else {}
            fenced_writes.write_export(connection, claim, **of_export)
        else:
            fenced_writes.write(connection, claim, **of_slice)
        if step is not None:
            steps.store(connection, step[0].feed_id, claim.id, step[1].seal(step[0]))
        lines = ledger.open_lines(connection, claim.id, unplanned.plan, divided.expected, [*divided.own, *divided.cut])
        if divided.cut:
            _open_slices(context, connection, claim, divided.cut)
    planned = of_export.get("maps", claim.export["maps"])
    # A request that is made again after a failure may have volumes.
    is_first = not divided.cut and not claim.export["volume_counter"]
    begun = BegunExport(0, planned, unplanned.reviewed, (), (), lines) if is_first else None
    return replace(unplanned, readings=tuple(divided.own), coverage=covered, begun=begun), len(divided.cut)


def _open_slices(context: WorkerContext, connection: Connection, claim: Claim, cut: Sequence[Reading]) -> None:
    seals = CursorSealer(connection, context.settings.keys)
    slices.open_more(connection, claim.id, [seals.sealed(run.to_json()) for run in cut])
    # Its own part is read when its turn comes, like the parts of the others.
    fenced_writes.release(connection, claim, attempts=0)


def _is_unknown(context: WorkerContext, claim: Claim, unplanned: SliceJob, divided: Division) -> bool:
    """Return whether no source knows the subject, and no person has approved the export nevertheless."""
    if unplanned.unknown_approved:
        return False
    lines = [(line, records) for line, (records, *_) in zip(unplanned.plan.lines, divided.expected, strict=True)]
    subject = _first_subject(claim.export)
    return is_unknown(subject, context.exporters, lines, unplanned.selection, unplanned.patience)


def _feed_step(context: WorkerContext, claim: Claim, unplanned: SliceJob) -> tuple[FeedKey, FeedStep] | None:
    """Decide how an archive of a feed is read; None: it compares everything by hashes, as far as it is of a feed."""
    if claim.export["feed_id"] is None:
        return None
    unresolved = [name for name, leading in unplanned.unresolved.items() if leading]
    lines = changed.covered(unplanned.plan, context.exporters, unresolved, unplanned.patience)
    return changed.decide(context, claim.export, lines, unplanned.patience, unplanned.reviewed)


def retention_cutoff(notice: Register | None, began_at: datetime | None, line: PlanLine) -> datetime | None:
    """Return `Selection.retention_cutoff` of a dataset for an export; None if no register states it."""
    if notice is None or began_at is None:
        return None
    return notice.retention_cutoff(line.exporter, line.dataset.name, began_at)


def _report_gap(context: WorkerContext, line: PlanLine, code: str, seen: str) -> None:
    log.warning("source.gap", exporter=line.exporter, dataset=line.dataset.name, code=code, seen=seen)
    traces.fault(code)
    if code in INCIDENTS:
        incidents.count(context.engine, INCIDENTS[code])


def screen(settings: Settings, profile: str) -> Screen:
    """Make the scan for all outgoing data, with its actions."""
    arguments = scan_rules.asked_actions(settings.scan_actions)
    return Screen(scan_rules.actions(profile, settings.laws, arguments), scan_rules.listed(settings.scan_canaries))


def _first_subject(export: RowMapping) -> Subject:
    kind, identifier, tenant = SubjectKind(export["subject_kind"]), export["subject_id"], export["tenant"]
    return Subject(kind, tenant, export["subject_ref"], (first_identity(kind, identifier, tenant),))

"""Prepare: what a slice reads. At an export's first claim the plan is written down, and large datasets are cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import structlog

from portability import exports, incidents, instructions, keys, scan, slices, subjects
from portability.api import Selection, Slice, Subject, SubjectKind
from portability.db import reading, writing
from portability.errors import ExporterFault, SourceStalled
from portability.incidents import Incident
from portability.plugins import load_document_formats, load_formats
from portability.ranges import WHOLE
from portability.requests import Profile
from portability.settings import Settings
from portability.states import DatasetState
from worker import checkpoint, ledger, people, plan
from worker.claims import Claim
from worker.collection import Job, Limits
from worker.files import UNREADABLE
from worker.ledger import Expected
from worker.plan import Line
from worker.position import Reading
from worker.reader import Patience
from worker.screening import Screen
from worker.slices import RECORD_BYTES, Offer, how_many, offered
from worker.workplace import Workplace

log = structlog.get_logger()
INCIDENTS: Mapping[str, Incident] = {
    SourceStalled.code: Incident.SOURCE_STALLED,
    ExporterFault.code: Incident.EXPORTER_FAULT,
    UNREADABLE: Incident.EXPORTER_FAULT,
}
"""By the reason of a gap: what somebody has to look at."""


@dataclass(frozen=True, slots=True)
class Division:
    """Who reads what."""

    expected: Sequence[Expected]
    own: Sequence[Reading]
    """What slice 0 reads: every dataset that is not cut."""
    cut: Sequence[Reading]
    """One more slice each."""


def job(place: Workplace, held: Claim, check: Callable[[], None]) -> Job:
    """What the claimed slice has to do; its readings are none where it has not been planned yet."""
    export, settings = held.export, place.settings
    patience = Patience(settings.source_retries, seconds=settings.source_seconds, check=check)
    with closing(patience.bounded("identities")) as source:
        find = partial(_subject, place, held)
        source.begin(find)
        with reading(place.engine) as connection:
            keys.signing(connection, settings.keys)  # none: told before hours of reading
            orders = instructions.orders(connection)
            begun = exports.ledger(connection, held.id)
        subject = source.ask(find).get()
    formats, documents = load_formats(export["formats"]), load_document_formats(export["formats"])
    make = partial(
        plan.make,
        *(Profile(export["profile"]), subject, place.exporters, orders, export["include"]),
        records=bool(formats),
        documents=bool(documents),
    )
    made = make(notice=place.notice)
    return Job(
        plan=made if held.slice["readings"] is None else plan.as_begun(make(), begun, made.omissions),
        readings=tuple(map(Reading.thaw, held.slice["readings"] or ())),
        exporters=place.exporters,
        formats=formats,
        selection=Selection(since=export["since"], until=export["until"], began_at=export["began_at"]),
        limits=Limits(settings.volume_bytes, settings.volume_members, settings.piece_bytes),
        patience=patience,
        check=check,
        document_formats=documents,
        screen=screen(place.settings, export["profile"]),
        tell=partial(_tell, place),
        treat=people.treat(place.engine, held.id, Profile(export["profile"]), subject),
    )


def planned(place: Workplace, held: Claim, unplanned: Job) -> tuple[Job, int]:
    """Write the plan down, once; returns the job with its readings, and how many more slices there are now.

    Raises: LeaseLost.
    """
    division = divide(place, unplanned)
    own = [one.freeze() for one in division.own]
    with writing(place.engine) as connection:
        export = checkpoint.lock(connection, held, readings=own, large=_is_large(place, division))
        ledger.open_lines(connection, held.id, unplanned.plan, division.expected, [*division.own, *division.cut])
        if export["open_slices"] != len(division.cut):
            checkpoint.write_export(connection, held, open_slices=len(division.cut))
        if division.cut:
            slices.open_more(connection, held.id, [one.freeze() for one in division.cut])
            # Its own part is read in its turn, like the parts of the others.
            checkpoint.release(connection, held, attempts=0)
    return replace(unplanned, readings=tuple(division.own)), len(division.cut)


def divide(place: Workplace, unplanned: Job) -> Division:
    """Count what is coming, and cut what is worth it."""
    made, selection, patience = unplanned.plan, unplanned.selection, unplanned.patience
    own: list[Reading] = []
    cut: list[Reading] = []
    expected: list[Expected] = []
    for ordinal, line in enumerate(made.lines):
        exporter = place.exporters[line.exporter]
        counted = patience.once(line.name, partial(ledger.expect, exporter, line, selection))
        expected.append((None, None) if isinstance(counted.error, SourceStalled) else counted.get())
        if line.state is DatasetState.PENDING:
            parts = _parts(place, line, unplanned, expected[-1])
            if len(parts) == 1:
                own.append(Reading(ordinal))
            else:
                cut += [Reading(ordinal, part, f"s{number:02}") for number, part in enumerate(parts, 1)]
    return Division(expected, own, cut)


def _parts(place: Workplace, line: Line, unplanned: Job, expected: Expected) -> Sequence[Slice]:
    settings, exporter, selection = place.settings, place.exporters[line.exporter], unplanned.selection
    n = how_many(*expected, slice_bytes=settings.slice_bytes, slices_max=settings.slices_max)
    if n == 1:
        return (WHOLE,)
    asked = unplanned.patience.once(line.name, partial(offered, exporter, line, selection, n))
    offer = Offer((WHOLE,), asked.error) if isinstance(asked.error, SourceStalled) else asked.get()
    if offer.fault is not None:
        log.warning("slices.refused", exporter=line.exporter, dataset=line.dataset.name, code=offer.fault.code)
    if isinstance(offer.fault, ExporterFault):
        incidents.count(place.engine, Incident.OVERLAPPING_SLICES)
    return offer.slices


def _is_large(place: Workplace, division: Division) -> bool:
    """Whether several volumes are to be expected, as far as one can know."""
    known = sum((records or 0) * RECORD_BYTES + (size or 0) for records, size in division.expected)
    return bool(division.cut) or known > place.settings.volume_bytes


def _tell(place: Workplace, line: Line, code: str) -> None:
    log.warning("source.gap", exporter=line.exporter, dataset=line.dataset.name, code=code)
    if code in INCIDENTS:
        incidents.count(place.engine, INCIDENTS[code])


def screen(settings: Settings, profile: str) -> Screen:
    """What is looked for in everything that leaves, and what is done there."""
    asked = scan.asked_actions(settings.scan_actions)
    return Screen(scan.actions(profile, settings.regime_names, asked), scan.listed(settings.scan_canaries))


def _subject(place: Workplace, held: Claim) -> Subject:
    export = held.export
    kind, identifier, tenant = SubjectKind(export["subject_kind"]), export["subject_id"], export["tenant"]
    first = subjects.first_identity(kind, identifier, tenant)
    return subjects.resolve(Subject(kind, tenant, export["subject_ref"], (first,)), place.exporters)

"""Rehearsal: before its first job a worker reads and seals archives of nobody, so that no job is the first to do so.

Each job is a fork of the worker. Whatever is made at first use and kept (statements, templates, clients, schemas) would
be made anew in each of them, at several times the cost of a small export. Nothing is written or stored here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import structlog

from archive.parts import Envelope
from archive.volume import Volume
from portability import subjects
from portability.api import Identity, Selection, Subject, SubjectKind
from portability.errors import PortabilityError, SourceStalled
from portability.instructions import Order
from portability.plugins import load_document_formats, load_formats
from portability.processes import settle
from portability.requests import DEFAULT_FORMATS, Profile
from portability.sources import PlatformSources
from portability.storage import prepare as prepare_storage
from worker import bounded, nobody, plan, prepare
from worker.bounded import Check
from worker.collect import fill
from worker.collection import Collection, Job, Limits
from worker.nobody import NOBODY
from worker.position import Position
from worker.reader import Patience
from worker.workplace import Workplace

log = structlog.get_logger()
PROFILES = {
    SubjectKind.USER: Profile.ACCESS,
    SubjectKind.CONTACT: Profile.ACCESS,
    SubjectKind.TENANT: Profile.SWITCH,
}
SECONDS_MAX = 30.0
"""What hangs may not keep a worker from its start for longer."""
THREAD_SECONDS = 1.0


def rehearse(place: Workplace, sources: PlatformSources) -> None:
    """Warm this process up for its forks; afterwards no connection is open in it.

    A source that is away, or a plugin with a fault, is met by the jobs themselves: here it costs them some warmth.
    """
    before = set(threading.enumerate())
    parts = (
        partial(_ask, "storage", partial(prepare_storage, place.storage)),
        partial(_ask, "files", sources.prepare),
        partial(_read_sources, place),
        partial(nobody.export, place, SECONDS_MAX),
    )
    for part in parts:
        try:
            part()
        except PortabilityError as error:
            log.warning("rehearsal.ended", code=error.code)
    sources.close()
    place.engine.dispose()
    bounded.dismiss()
    for thread in set(threading.enumerate()) - before:
        thread.join(THREAD_SECONDS)  # one that has read for us and is about to end: a fork is better without
    settle()


def _ask(name: str, call: Callable[[], None]) -> None:
    Patience(retries=0, seconds=SECONDS_MAX).once(name, call).get()


def _read_sources(place: Workplace) -> None:
    check = _deadline(time.monotonic() + SECONDS_MAX)
    for kind, profile in PROFILES.items():
        _read(place, _nobody(kind), profile, check)


def _nobody(kind: SubjectKind) -> Subject:
    tenant = None if kind is SubjectKind.USER else NOBODY
    identities = [subjects.first_identity(kind, NOBODY, tenant)]
    if kind is not SubjectKind.TENANT:
        identities += [
            Identity("account", "email", NOBODY, verified=True, tenant=tenant),
            Identity("crm", "contact_id", NOBODY, verified=True, tenant=NOBODY),
            Identity("crm", "phone", NOBODY, verified=True, tenant=NOBODY),
        ]
    return Subject(kind, tenant, NOBODY, tuple(dict.fromkeys(identities)))


def _deadline(ends_at: float) -> Check:
    def check() -> None:
        if time.monotonic() > ends_at:
            raise SourceStalled(f"the sources took longer than {SECONDS_MAX:g} s over a subject that nobody is")

    return check


def _read(place: Workplace, subject: Subject, profile: Profile, check: Check) -> None:
    """Count and read every dataset, into a volume that goes nowhere."""
    at, settings = datetime.now(UTC), place.settings
    job = Job(
        plan=plan.make(profile, subject, place.exporters, [Order(NOBODY, None, None)], notice=place.notice),
        readings=(),
        exporters=place.exporters,
        formats=load_formats(DEFAULT_FORMATS),
        selection=Selection(began_at=at),
        limits=Limits(settings.volume_bytes, settings.volume_members, settings.piece_bytes),
        patience=Patience(retries=0, seconds=settings.source_seconds, check=check),
        check=check,
        document_formats=load_document_formats(DEFAULT_FORMATS),
        screen=prepare.screen(settings, profile),
    )
    job.patience.once("identities", partial(subjects.resolve, subject, place.exporters))
    division = prepare.divide(place, job)
    envelope = Envelope(settings.iss, NOBODY, NOBODY, profile, 1, at, at, settings.contact, place.notice)
    volume = Volume(envelope, 1, lambda _block: None)
    fill(Collection(replace(job, readings=division.own), volume), Position())

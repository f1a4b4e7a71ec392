"""Warm-up: before its first job a worker reads and seals synthetic archives, so that all code is loaded.

Each job is a fork of the worker. Objects that are made at first use (statements, templates, clients, schemas) would be
made again in each fork, at several times the cost of a small export. Nothing is written or stored here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import structlog

from archive.parts import VolumeMetadata
from archive.write.volume import Volume
from portability.api import Selection, Subject, SubjectKind
from portability.api.errors import PortabilityError, SourceStalled
from portability.law.profiles import Profile
from portability.people import resolution
from portability.plugins import load_document_formats, load_formats, load_forms
from portability.processes import settle
from portability.requests.forms import DEFAULT_FORMATS, DEFAULT_FORMS
from portability.requests.instructions import Order
from portability.requests.states import DatasetState
from portability.sources import PlatformSources
from portability.storage import prepare as prepare_storage
from worker import prepare
from worker.context import WorkerContext
from worker.plan import plan
from worker.plan.position import Position, Reading
from worker.process import synthetic_export
from worker.process.synthetic_export import SYNTHETIC
from worker.process.synthetic_subjects import PROFILES, synthetic_subjects
from worker.read import bounded_calls, identities
from worker.read.bounded_calls import Check
from worker.read.reader import SourcePatience
from worker.write import division
from worker.write.collect import fill
from worker.write.open_volume import OpenVolume, SliceJob, VolumeLimits
from worker.write.shards import JSON_LINES

log = structlog.get_logger()
SECONDS_MAX = 30.0
"""Time limit, so that a hanging source does not delay the start for longer."""
THREAD_SECONDS = 1.0


def warm_process(context: WorkerContext, sources: PlatformSources) -> None:
    """Warm up this process for its forks; afterwards it has no open connection.

    Faults of sources and plug-ins are ignored here: jobs report them, and only start slower.
    """
    before = set(threading.enumerate())
    parts = (
        partial(_ask, "storage", partial(prepare_storage, context.storage)),
        partial(_ask, "files", sources.prepare),
        partial(_read_sources, context),
        partial(synthetic_export.export, context, SECONDS_MAX),
    )
    for part in parts:
        try:
            part()
        except PortabilityError as error:
            log.warning("warm_up.ended", code=error.code)
    sources.close()
    context.engine.dispose()
    settle()  # before the threads end: what it frees may have one of them
    bounded_calls.dismiss()
    _await_end(set(threading.enumerate()) - before)


def _await_end(threads: Collection[threading.Thread]) -> None:
    """Wait until the threads of the sources end: forking with threads is risky."""
    for thread in threads:
        thread.join(THREAD_SECONDS)
        if thread.is_alive():
            log.warning("warm_up.thread_left", thread=thread.name)


def _ask(name: str, call: Callable[[], None]) -> None:
    SourcePatience(retries=0, seconds=SECONDS_MAX).once(name, call).get()


def _read_sources(context: WorkerContext) -> None:
    check = _deadline(time.monotonic() + SECONDS_MAX)
    for kind, profile in PROFILES.items():
        for subject, exporters in synthetic_subjects(kind, context.exporters):
            _read(replace(context, exporters=exporters), subject, profile, check)


def _deadline(ends_at: float) -> Check:
    def check() -> None:
        if time.monotonic() > ends_at:
            raise SourceStalled(f"the sources took longer than {SECONDS_MAX:g} s to read the synthetic subject")

    return check


def _read(context: WorkerContext, subject: Subject, profile: Profile, check: Check) -> None:
    """Count and read every dataset, into a volume that is not stored; a tenant's data is counted by its first job only.

    The statements that count it need 5 MB, which each process would have. What is written is the same for an id of
    another form, so only the statements are made for it.
    """
    at, settings = datetime.now(UTC), context.settings
    is_first = subject.ref == SYNTHETIC
    job = SliceJob(
        plan=plan.make(profile, subject, context.exporters, [Order(SYNTHETIC, None, None)], notice=context.notice),
        readings=(),
        exporters=context.exporters,
        formats=load_formats(DEFAULT_FORMATS if is_first else (JSON_LINES,)),
        selection=Selection(began_at=at),
        limits=VolumeLimits(settings.volume_bytes, settings.volume_members, settings.piece_bytes),
        patience=SourcePatience(retries=0, seconds=settings.source_seconds, check=check),
        check=check,
        document_formats=load_document_formats(DEFAULT_FORMATS),
        forms=load_forms([name for names in DEFAULT_FORMS.values() for name in names] if is_first else ()),
        screen=prepare.screen(settings, profile),
        retention_cutoff=partial(prepare.retention_cutoff, context.notice, at),
    )
    resolution.resolve(subject, context.exporters, partial(identities.ask, job.patience), trust=context.trust)
    readings: Sequence[Reading]
    if subject.kind is SubjectKind.TENANT:
        readings = [Reading(number) for number, line in enumerate(job.plan.lines) if line.state is DatasetState.PENDING]
    else:
        readings = division.divide(context, job).own
    envelope = VolumeMetadata(settings.iss, SYNTHETIC, SYNTHETIC, profile, 1, at, at, settings.contact, context.notice)
    volume = Volume(envelope, 1, lambda _block: None)
    fill(OpenVolume(replace(job, readings=readings), volume, Position()))

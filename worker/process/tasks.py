"""The task of a message: one function. The message decides nothing; the claim decides."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from sqlalchemy import Engine, select

from portability.database import deployment, incidents, models
from portability.database.engine import open_engine, reading
from portability.database.incidents import Incident
from portability.errors import QueueUnavailable
from portability.queue import MESSAGE_VERSION, connect, open_queue, redis_url, wake
from portability.settings import Settings, load_settings
from portability.sources import PlatformSources, open_exporters
from portability.storage import open_storage
from portability.tracing import traces
from worker import export, transfer
from worker.claim import claims
from worker.claim.heartbeat import process_heartbeat
from worker.context import WorkerContext
from worker.process import source_check
from worker.process.waiting import waiting_work
from worker.process.warm_up import warm_process
from worker.read import bounded_calls
from worker.read.reader import SourcePatience

EXPORT = models.export
ID = re.compile(r"[a-z0-9]{1,64}")


def advance(export_id: object = None, version: object = 1, /, *_others: object, **_more: object) -> None:
    """Claim a transfer or the slice whose turn it is, write one volume, wake the next worker; ignores its arguments."""
    with _ended():
        context = _checked()
        if version != MESSAGE_VERSION:
            incidents.count(context.engine, Incident.FOREIGN_MESSAGE)
        claimed_id = _advance(context)
        # Seldom: with several messages at a time, each claim may be that of another message.
        if claimed_id != export_id and not _is_known(context.engine, export_id):
            incidents.count(context.engine, Incident.UNKNOWN_EXPORT)


def follow() -> None:
    """Do the same in the next child process for the same wake-up (ADR 73)."""
    with _ended():
        _advance(_checked())


@contextmanager
def _ended() -> Iterator[None]:
    try:
        yield
    finally:  # these processes end without exit handlers
        traces.flush()
        _opened()[1].finish()


def _checked() -> WorkerContext:
    """Return the context with a checked storage. Raises ForeignStore."""
    context = workplace()
    deployment.check_store(context.engine, context.storage)
    process_heartbeat.beat()
    return context


def _advance(context: WorkerContext) -> str | None:
    """Claim and write; returns the id of the export of the claim."""
    owner = f"{socket.gethostname()}:{os.getpid()}"
    settings = context.settings
    limit, small_only = settings.tenant_volumes_max, settings.small_only
    # A transfer needs one worker at a time and little of it: it goes first, except on a worker reserved for people.
    work = waiting_work(context.engine, limit, small_only=small_only)
    if work.has_transfer and not small_only and (sent := _sent_on(context, owner)):
        if work.tenants:
            process_heartbeat.announce_more()
        return sent
    claim = claims.claim_first(
        *(context.engine, work.tenants, owner, settings.lease_seconds), tenant_volumes_max=limit, small_only=small_only
    )
    if claim is None:
        return _sent_on(context, owner) if small_only and work.has_transfer else None
    if claim.others_wait:
        process_heartbeat.announce_more()
    if more := export.advance(context, claim):
        wake_next(context.settings, claim.id, more)
    return claim.id


def _sent_on(context: WorkerContext, owner: str) -> str | None:
    """Continue a transfer if one is claimable; returns the id of its export."""
    sent = transfer.claim(context.engine, owner, context.settings.lease_seconds)
    if sent is None:
        return None
    if transfer.advance(context, sent):
        wake_next(context.settings, sent.id, 1)
    return sent.id


def _is_known(engine: Engine, export_id: object) -> bool:
    """Return whether an export has this id; otherwise another program writes to this queue, which changes no claim."""
    # An invalid id is not looked up: the database may not be able to compare it.
    if not isinstance(export_id, str) or not ID.fullmatch(export_id):
        return False
    with reading(engine) as connection:
        return connection.scalar(select(EXPORT.c.id).where(EXPORT.c.id == export_id)) is not None


def check_sources() -> None:
    """Compare the declared sources of this process with what they are. Raises BadInput: nothing starts with it."""
    context, sources = _opened()
    source_check.prepare(context.exporters, SourcePatience(retries=0, seconds=context.settings.source_seconds))
    bounded_calls.dismiss()
    sources.close()


def warm_up() -> None:
    """Open this process's context and warm it up, for the processes that it forks. Raises BadInput."""
    warm_process(*_opened())


def workplace() -> WorkerContext:
    """Return this process's context; in a fork, the one that the worker has warmed up without open connections."""
    return _opened()[0]


@cache
def _opened() -> tuple[WorkerContext, PlatformSources]:
    settings = load_settings()
    sources, storage = PlatformSources(settings), open_storage(settings.storage, sse=settings.storage_sse)
    engine = open_engine(settings.database, prepared=settings.prepared_statements)
    context = WorkerContext(settings, engine, storage, open_exporters(settings, sources))
    return context, sources


def wake_next(settings: Settings, export_id: str, workers: int) -> None:
    """Wake workers for the next volumes at once; if Redis is down, the clock does it later."""
    try:
        queue = open_queue(connect(redis_url(settings)))
        for _ in range(workers):
            wake(queue, export_id)
    except QueueUnavailable:
        return

"""The task of a message: one function. The message decides nothing; the claim decides."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
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
from worker.process.warm_up import warm_process
from worker.read import bounded_calls
from worker.read.reader import SourcePatience

EXPORT = models.export
ID = re.compile(r"[a-z0-9]{1,64}")


def advance(export_id: object = None, version: object = 1, /, *_others: object, **_more: object) -> None:
    """Claim a transfer or the slice whose turn it is, write one volume, wake the next worker; ignores its arguments."""
    try:
        _advance(export_id, version)
    finally:
        traces.flush()  # RQ ends this process without exit handlers


def _advance(export_id: object, version: object) -> None:
    context = workplace()
    deployment.check_store(context.engine, context.storage)
    process_heartbeat.beat()
    for incident in _unexpected(context.engine, export_id, version):
        incidents.count(context.engine, incident)
    owner = f"{socket.gethostname()}:{os.getpid()}"
    settings = context.settings
    limit, small_only = settings.tenant_volumes_max, settings.small_only
    # A transfer needs one worker at a time and little of it: it goes first, except on a worker reserved for people.
    if not small_only and _sent_on(context, owner):
        return
    claim = claims.claim(context.engine, owner, settings.lease_seconds, tenant_volumes_max=limit, small_only=small_only)
    if claim is None:
        if small_only:
            _sent_on(context, owner)
    elif more := export.advance(context, claim):
        wake_next(context.settings, claim.id, more)


def _sent_on(context: WorkerContext, owner: str) -> bool:
    """Continue a transfer if one is claimable."""
    sent = transfer.claim(context.engine, owner, context.settings.lease_seconds)
    if sent is None:
        return False
    if transfer.advance(context, sent):
        wake_next(context.settings, sent.id, 1)
    return True


def _unexpected(engine: Engine, export_id: object, version: object) -> Iterator[Incident]:
    """Yield signs that another program writes to this queue. They do not change what is claimed."""
    if version != MESSAGE_VERSION:
        yield Incident.FOREIGN_MESSAGE
    # An invalid id is not looked up: the database may not be able to compare it.
    if not isinstance(export_id, str) or not ID.fullmatch(export_id):
        yield Incident.UNKNOWN_EXPORT
        return
    with reading(engine) as connection:
        if connection.scalar(select(EXPORT.c.id).where(EXPORT.c.id == export_id)) is None:
            yield Incident.UNKNOWN_EXPORT


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

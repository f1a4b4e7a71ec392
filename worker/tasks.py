"""What a message may ask for: one function. The message decides nothing; the claim does."""

from __future__ import annotations

import os
import socket
from functools import cache

from portability import deployment
from portability.db import open_engine
from portability.errors import QueueUnavailable
from portability.plugins import load_exporters
from portability.queue import connect, open_queue, redis_url, wake
from portability.settings import Settings, load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage
from worker import claims, pipeline
from worker.workplace import Workplace


def advance(export_id: str) -> None:
    """Claim the fairest slice, whatever `export_id` says, write one volume of it, and wake the next worker."""
    del export_id
    place = workplace(os.getpid())
    owner = f"{socket.gethostname()}:{os.getpid()}"
    settings = place.settings
    limit, small_only = settings.tenant_volumes_max, settings.small_only
    held = claims.claim(place.engine, owner, settings.lease_seconds, tenant_volumes_max=limit, small_only=small_only)
    if held is not None and (more := pipeline.advance(place, held)):
        wake_next(place.settings, held.id, more)


@cache
def workplace(_pid: int) -> Workplace:
    """This process's connections, opened on first use: none of them survives a fork, so the pid is the key."""
    settings = load_settings()
    engine = open_engine(settings.database)
    storage = open_storage(settings.storage, sse=settings.storage_sse)
    deployment.check_store(engine, storage)
    return Workplace(settings, engine, storage, load_exporters(PlatformSources(settings)))


def wake_next(settings: Settings, export_id: str, workers: int) -> None:
    """Ask for the next volumes at once; where Redis is away, the clock does it later."""
    try:
        queue = open_queue(connect(redis_url(settings)))
        for _ in range(workers):
            wake(queue, export_id)
    except QueueUnavailable:
        return

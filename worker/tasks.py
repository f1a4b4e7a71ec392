"""What a message may ask for: one function. The message decides nothing; the claim does."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from functools import cache

from sqlalchemy import Engine, select

from portability import deployment, incidents, models
from portability.db import open_engine, reading
from portability.errors import QueueUnavailable
from portability.incidents import Incident
from portability.plugins import load_exporters
from portability.queue import MESSAGE_VERSION, connect, open_queue, redis_url, wake
from portability.settings import Settings, load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage
from worker import claims, pipeline, transfer
from worker.pulse import pulse
from worker.rehearsal import rehearse
from worker.workplace import Workplace

EXPORT = models.export
ID = re.compile(r"[a-z0-9]{1,64}")


def advance(export_id: object = None, version: object = 1, /, *_others: object, **_more: object) -> None:
    """Claim a transfer or the fairest slice, whatever the message says, write one volume, and wake the next worker."""
    place = workplace()
    deployment.check_store(place.engine, place.storage)
    pulse.beat()
    for strange in _strange(place.engine, export_id, version):
        incidents.count(place.engine, strange)
    owner = f"{socket.gethostname()}:{os.getpid()}"
    settings = place.settings
    limit, small_only = settings.tenant_volumes_max, settings.small_only
    # A transfer takes one worker at a time and little of it: it goes first, but where a worker is kept for people.
    if not small_only and _sent_on(place, owner):
        return
    held = claims.claim(place.engine, owner, settings.lease_seconds, tenant_volumes_max=limit, small_only=small_only)
    if held is None:
        if small_only:
            _sent_on(place, owner)
    elif more := pipeline.advance(place, held):
        wake_next(place.settings, held.id, more)


def _sent_on(place: Workplace, owner: str) -> bool:
    """Go on with a transfer, if one is claimable."""
    sent = transfer.claim(place.engine, owner, place.settings.lease_seconds)
    if sent is None:
        return False
    if transfer.advance(place, sent):
        wake_next(place.settings, sent.id, 1)
    return True


def _strange(engine: Engine, export_id: object, version: object) -> Iterator[Incident]:
    """What tells that somebody else writes to this queue. It changes nothing of what is claimed."""
    if version != MESSAGE_VERSION:
        yield Incident.FOREIGN_MESSAGE
    # What can be no id is not asked for: a database may not even be able to compare it.
    if not isinstance(export_id, str) or not ID.fullmatch(export_id):
        yield Incident.UNKNOWN_EXPORT
        return
    with reading(engine) as connection:
        if connection.scalar(select(EXPORT.c.id).where(EXPORT.c.id == export_id)) is None:
            yield Incident.UNKNOWN_EXPORT


def warm_up() -> None:
    """Open this process's workplace and rehearse in it, for the processes that it forks. Raises BadInput."""
    rehearse(*_opened())


def workplace() -> Workplace:
    """This process's; of a fork that which the worker has warmed up: no connection was open there."""
    return _opened()[0]


@cache
def _opened() -> tuple[Workplace, PlatformSources]:
    settings = load_settings()
    sources, storage = PlatformSources(settings), open_storage(settings.storage, sse=settings.storage_sse)
    place = Workplace(settings, open_engine(settings.database), storage, load_exporters(sources))
    return place, sources


def wake_next(settings: Settings, export_id: str, workers: int) -> None:
    """Ask for the next volumes at once; where Redis is away, the clock does it later."""
    try:
        queue = open_queue(connect(redis_url(settings)))
        for _ in range(workers):
            wake(queue, export_id)
    except QueueUnavailable:
        return

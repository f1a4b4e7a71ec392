"""What the row of a slice knows of sources at which its workers died."""

from __future__ import annotations

from functools import partial

import structlog

from portability.database.engine import writing
from worker.claim import fenced_writes
from worker.claim.claims import Claim
from worker.context import WorkerContext
from worker.read.suspects import Deaths, SuspectSources

log = structlog.get_logger()


def suspects(context: WorkerContext, claim: Claim) -> SuspectSources:
    """Return the suspects of a claimed slice; a name that the claim before has left is one death more.

    Raises: LeaseLost, DatabaseUnavailable.
    """
    found: dict[str, int] = dict(claim.slice["deaths"] or {})
    asked: str | None = claim.slice["asked"]
    if asked is not None:
        found[asked] = found.get(asked, 0) + 1
        log.warning("worker.died", export=claim.id, slice=claim.number, source=asked, deaths=found[asked])
        _store(context, claim, None, found)
    is_careful = claim.attempts > context.settings.attempts_max
    return SuspectSources(found, partial(_store, context, claim) if is_careful else None)


def _store(context: WorkerContext, claim: Claim, asked: str | None, deaths: Deaths) -> None:
    with writing(context.engine) as connection:
        fenced_writes.write(connection, claim, asked=asked, deaths=dict(deaths) or None)

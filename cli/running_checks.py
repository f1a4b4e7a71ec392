"""Checks of `portability doctor` of what runs: workers, the clock, and the sources that they read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from redis.exceptions import RedisError
from sqlalchemy import RowMapping

from cli.checks import Seen
from cli.context import Context, start_hint
from portability.api.errors import PortabilityError
from portability.coverage import state
from portability.database import deployment
from portability.database.engine import reading
from portability.errors import QueueUnavailable
from portability.queue import NotRunning, WakeUps, count_workers, has_clock, open_queue
from portability.source_file import OWN_RECORDS
from portability.sources import PlatformSources, declared_names, open_exporters
from worker.process.source_check import refusals
from worker.read import bounded_calls
from worker.read.reader import SourcePatience

SECONDS_MAX = 30.0
"""Time limit for a source's answer about a subject that does not exist."""


def workers(context: Context) -> Seen:
    """Check that a worker has sent a heartbeat. Raises NotRunning."""
    found = _asked(context, count_workers)
    if found == 0:
        raise NotRunning("no worker has a heartbeat: exports stay queued", hint=start_hint(context, "worker"))
    return Seen(f"ok: {found}") if found else _UNKNOWN


def clock(context: Context) -> Seen:
    """Check that a clock has sent a heartbeat. Raises NotRunning."""
    found = _asked(context, has_clock)
    if found is False:
        raise NotRunning(
            "no clock has a heartbeat: nothing is retried, sent, deleted or swept", hint=start_hint(context, "clock")
        )
    return Seen() if found else _UNKNOWN


def coverage(context: Context) -> Seen:
    """Check that every declared source has a young check that found nothing. Never a fault: exports say it, too."""
    names = {*declared_names(context.settings)}
    if not names:
        return Seen("not used: no source is declared")
    with reading(context.engine) as connection:
        rows = [row for row in state.rows(connection) if row["source"] in names]
        at = deployment.clock_of(connection)
    oldest = at - timedelta(seconds=state.VALID_SECONDS)
    young = [row for row in rows if row["checked_at"] and row["checked_at"] > oldest]
    findings = [
        f"{row['source']}: {_undecided(row)}, {row['faults']} faults"
        for row in young
        if row["undecided"] or row["faults"]
    ]
    hints = ["`portability source diff` says what to decide"] if findings else []
    if unchecked := [f"{name}: no check within two days" for name in sorted(names - {row["source"] for row in young})]:
        hints.append("the clock checks sources, and so does `portability source check`")
    if hints:
        return Seen("; ".join([*findings, *unchecked]), f"{'; '.join(hints)}: docs/coverage.md")
    return Seen(f"ok: {len(names)} sources")


def _undecided(row: RowMapping) -> str:
    rows = state.tenantless(row)
    of_rows = f", rows without a tenant in {rows} columns" if rows else ""
    return f"{row['undecided'] - rows} undecided columns{of_rows}"


_UNKNOWN = Seen("unknown: Redis does not answer")


def _asked(context: Context, ask: Callable[[WakeUps], int]) -> int | None:
    """Return the answer of Redis; None if it does not answer, which its own check reports."""
    with suppress(QueueUnavailable, RedisError):
        return ask(open_queue(context.redis))
    return None


def sources(context: Context) -> Seen:
    """Check that every source can be read: each dataset for a subject that does not exist. Raises SourceError."""
    settings = context.settings
    connections = PlatformSources(settings)
    try:
        exporters = {k: one for k, one in open_exporters(settings, connections).items() if k != OWN_RECORDS}
    except PortabilityError:
        return Seen("not read: plug-ins are missing")  # their own check reports it
    patience = SourcePatience(retries=0, seconds=min(SECONDS_MAX, settings.source_seconds))
    try:
        found = list(refusals(exporters, patience).values())
    finally:
        bounded_calls.dismiss()
        connections.close()
    if found:
        more = f"; the same for {len(found) - 1} others" if len(found) > 1 else ""
        raise type(found[0])(f"{found[0]}{more}", hint=found[0].hint)
    return Seen(f"ok: {sum(len(one.datasets) for one in exporters.values())} datasets")

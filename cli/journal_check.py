"""Check of `portability doctor`: the database lacks no commits, and what it has is in the journal."""

from __future__ import annotations

from datetime import timedelta

from cli.checks import Seen
from cli.context import Context
from portability.api.errors import StorageError
from portability.database import deployment, history
from portability.database.engine import reading
from portability.errors import DatabaseUnavailable
from portability.journal import comparison, shipping

LATE = timedelta(seconds=60)


def journal(context: Context, *, has_clock: bool = True) -> Seen:
    """Compare with the journal in storage; `has_clock`: a clock should have copied all events there.

    Raises: DatabaseBehind; JournalLate if events are not in storage after a minute.
    """
    try:
        lost = comparison.lost(context.engine, context.storage)
    except (StorageError, DatabaseUnavailable):
        return Seen("not compared: storage or database do not answer")  # their own checks report it
    if lost:
        raise history.DatabaseBehind(f"the control database lacks {len(lost)} batches of events that the journal has")
    present = deployment.clock(context.engine)
    with reading(context.engine) as connection:
        if has_clock:  # else one compares when it starts
            history.check(connection)
        waiting = shipping.waiting(connection)
    if waiting and not has_clock:
        return Seen(f"ok: a clock will copy {waiting.events} events")
    if waiting and present - waiting.since > LATE:
        raise shipping.JournalLate(f"{waiting.events} events are not in the journal, the first since {waiting.since}")
    return Seen("ok: the database lacks nothing")

"""Check of `portability doctor`: archives of feeds that wait, because they must not be sent as things are."""

from __future__ import annotations

from sqlalchemy import Connection, Select, func, select

from cli.checks import Seen
from cli.context import Context
from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import reading
from portability.errors import DatabaseUnavailable, WrongState
from portability.feeds import undelivered
from portability.messages.outbox import MessageKind
from portability.settings import Settings
from portability.transfers import recipients, sending
from portability.transfers.recipients import UnknownRecipient

ENDING_HINT = "ask the recipients to fetch them; `portability feeds list --json` names them (`undelivered`)"


def feeds(context: Context) -> Seen:
    """Check that no archive of a feed waits for a decision or its recipient: deleted in its time, it ends the feed.

    Never a fault: the clock sends what waits as soon as it may.
    """
    try:
        return _waiting(context)
    except DatabaseUnavailable:
        return Seen("not read: the control database does not answer")  # its own check reports it


def _waiting(context: Context) -> Seen:
    waiting = undelivered.sendable().add_columns(models.export.c.tenant).subquery()
    grouped = select(waiting.c.recipient_id, waiting.c.tenant, func.count().label("archives"))
    grouped = grouped.group_by(waiting.c.recipient_id, waiting.c.tenant).order_by(waiting.c.recipient_id)
    found: list[str] = []
    hints: dict[str, None] = {}
    with reading(context.engine) as connection:
        for row in connection.execute(grouped).all():
            if reason := _hindrance(connection, context.settings, row.recipient_id, row.tenant):
                found.append(f"{reason} (archives that wait: {row.archives})")
                hints[reason.hint or ""] = None
        if ending := connection.scalar(select(func.count()).select_from(_announced().subquery())):
            found.append(f"no receipt for archives that end within two days, with their feeds: {ending}")
            hints[ENDING_HINT] = None
    return Seen("; ".join(found), "; ".join(hints)) if found else Seen()


def _announced() -> Select[tuple[str, str, str]]:
    """Return the query for archives whose end was announced, and that their recipient has not confirmed."""
    notice, export = models.notification, models.export
    of_end = (notice.c.export_id == export.c.id, notice.c.kind == MessageKind.EXPIRING)
    told = select(notice.c.id).where(*of_end, notice.c.created_at >= export.c.ended_at)
    return undelivered.awaited().where(told.exists())


def _hindrance(
    connection: Connection, settings: Settings, recipient_id: str, tenant: str | None
) -> BadInput | WrongState | None:
    """Return why nothing of a tenant may be sent to a recipient; of a removed one the clock reports the end itself."""
    try:
        sending.check_region(settings, tenant)
        recipients.approved(connection, recipient_id)
    except UnknownRecipient:
        return None
    except (sending.WrongRegion, WrongState) as error:
        return error
    return None

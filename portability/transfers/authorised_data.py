"""The data that a subject has authorised a recipient to get: an authorisation covers all of an export, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, or_, select

from portability.database import models
from portability.transfers import recipients
from portability.transfers.authorisations import NotAuthorised, lasting, standing

TABLE = models.authorisation


def covering(
    connection: Connection, export: Mapping[Any, Any], recipient: Mapping[Any, Any], only: str | None = None
) -> RowMapping:
    """Return the newest active authorisation to send an export's data to a recipient, or `only` the one with an id.

    Raises: NotAuthorised.
    """
    matching = (
        TABLE.c.recipient_id == recipient["id"],
        TABLE.c.subject_kind == export["subject_kind"],
        TABLE.c.subject_id == export["subject_id"],
        TABLE.c.tenant.is_not_distinct_from(export["tenant"]),
        *([TABLE.c.id == only] if only else []),
    )
    query = select(TABLE).where(*matching, standing()).order_by(TABLE.c.created_at.desc(), TABLE.c.id)
    found = connection.execute(query).mappings().all()
    if not found:
        if connection.scalar(select(TABLE.c.id).where(*matching, lasting()).limit(1)):
            hint = "the person confirms it on their page; or a colleague countersigns it, and 24 hours pass"
            raise NotAuthorised("the subject has not confirmed the authorisation that was recorded", hint=hint)
        raise NotAuthorised("the subject has not authorised a transfer to this recipient")
    wanted = holdings(connection, export["id"])
    lacking = [too_much(row, recipient, wanted) for row in found]
    for row, names in zip(found, lacking, strict=True):
        if not names:
            return row
    raise NotAuthorised(f"the export contains data that is not authorised for this recipient: {', '.join(lacking[0])}")


def too_much(
    authorisation: Mapping[Any, Any], recipient: Mapping[Any, Any], wanted: Sequence[tuple[str, str]]
) -> list[str]:
    """Return the datasets that may not be sent: not authorised, or not for this recipient."""
    scopes = (authorisation["datasets"], recipient["datasets"])
    return [f"{e}/{d}" for e, d in wanted if not all(recipients.covers(scope, e, d) for scope in scopes)]


def holdings(connection: Connection, export_id: str) -> Sequence[tuple[str, str]]:
    """Return the datasets of which an export contains data."""
    ledger = models.ledger
    has_data = or_(ledger.c.records > 0, ledger.c.files > 0)
    query = select(ledger.c.exporter, ledger.c.dataset).where(ledger.c.export_id == export_id, has_data)
    return [(row.exporter, row.dataset) for row in connection.execute(query.order_by(ledger.c.ordinal))]

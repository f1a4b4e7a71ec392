"""Whether the actor of a command may do it: the same policy as behind API and pages."""

from __future__ import annotations

from sqlalchemy import Connection

from cli.context import Context
from portability import exports, links, policy
from portability.policy import PRESENT, Action, Actor, Facts


def permit(context: Context, connection: Connection, claimed: str | None, action: Action, export_id: str) -> Actor:
    """The actor of a command on an export. Raises UnknownExport, NotAllowed, BadInput."""
    actor = policy.acting(context.settings, claimed)
    row = exports.get(connection, export_id)
    facts = Facts.of(row, to_admin=links.to_admin(connection, row))
    policy.allowed(actor, action, facts, PRESENT).enforce(export_id=export_id)
    return actor


def permit_any(context: Context, claimed: str | None, action: Action) -> Actor:
    """The actor of a command on no export in particular. Raises NotAllowed, BadInput."""
    actor = policy.acting(context.settings, claimed)
    policy.allowed(actor, action, None, PRESENT).enforce()
    return actor

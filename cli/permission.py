"""Whether the actor of a command may do it: the same policy as behind API and pages."""

from __future__ import annotations

import click
from sqlalchemy import Connection

from cli.context import Context
from portability import exports, links, policy
from portability.api import SubjectKind
from portability.errors import NotAllowed
from portability.policy import PRESENT, Action, Actor, Facts, Why

AS = click.option("--as", "claimed", help="ROLE:ID, on the embedded stack only.")


def permit(context: Context, connection: Connection, claimed: str | None, action: Action, export_id: str) -> Actor:
    """The actor of a command on an export. Raises UnknownExport, NotAllowed, BadInput."""
    actor = policy.acting(context.settings, claimed)
    row = exports.get(connection, export_id)
    facts = Facts.of(row, to_admin=links.to_admin(connection, row))
    policy.allowed(actor, action, facts, PRESENT).enforce(export_id=export_id)
    return actor


def permit_any(context: Context, claimed: str | None, action: Action, *, tenant: str | None = None) -> Actor:
    """The actor of a command on no export in particular, or on what is a tenant's. Raises NotAllowed, BadInput."""
    actor = policy.acting(context.settings, claimed)
    facts = None if tenant is None else Facts(SubjectKind.TENANT, tenant, tenant)
    decision = policy.allowed(actor, action, facts, PRESENT)
    if decision.why is Why.NOT_YOURS:
        raise NotAllowed("that is another tenant's")
    decision.enforce()
    return actor

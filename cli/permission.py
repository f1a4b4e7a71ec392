"""Permissions of a command's actor: the same policy as for API and pages."""

from __future__ import annotations

import click
from sqlalchemy import Connection

from cli.context import Context
from portability.api import SubjectKind
from portability.delivery import links
from portability.errors import NotAllowed
from portability.requests import actors, exports, policy
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Action, Actor, Facts, Why

AS = click.option("--as", "claimed", help="ROLE:ID, on the embedded stack only.")


def permit(context: Context, connection: Connection, claimed: str | None, action: Action, export_id: str) -> Actor:
    """Return the actor of a command if it may act on an export. Raises UnknownExport, NotAllowed, BadInput."""
    actor = actors.acting(context.settings, claimed)
    row = exports.get(connection, export_id)
    facts = Facts.of(row, to_admin=links.to_admin(connection, row))
    policy.allowed(actor, action, facts, PRESENT).enforce(export_id=export_id)
    return actor


def permit_any(context: Context, claimed: str | None, action: Action, *, tenant: str | None = None) -> Actor:
    """Return the actor of a command if it may act without an export, or on a tenant. Raises NotAllowed, BadInput."""
    actor = actors.acting(context.settings, claimed)
    facts = None if tenant is None else Facts(SubjectKind.TENANT, tenant, tenant)
    decision = policy.allowed(actor, action, facts, PRESENT)
    if decision.why is Why.NOT_YOURS:
        raise NotAllowed("this belongs to another tenant")
    decision.enforce()
    return actor

"""`portability referrals list | instruct | refuse`: requests for data over which a tenant decides, and its answers."""

from __future__ import annotations

import click
from sqlalchemy import Connection

from cli.context import Context, one_of, shared
from cli.exports import wake_for
from cli.permission import AS, permit_any
from portability.api import JSON
from portability.database import deployment
from portability.database.engine import reading, writing
from portability.requests import referrals as records
from portability.requests import retries
from portability.requests.policy import Action, Actor
from portability.requests.referrals import RefusalReason


@click.group()
def referrals() -> None:
    """Referrals: requests for data over which a tenant decides, and its answers."""


@referrals.command("list")
@click.option("--tenant", help="Only referrals to this tenant.")
@AS
@shared
def list_referrals(context: Context, tenant: str | None, claimed: str | None) -> None:
    """List referrals with their due dates; those without answer come first."""
    permit_any(context, claimed, Action.INSTRUCT, tenant=tenant)
    with reading(context.engine) as connection:
        at = deployment.clock_of(connection)
        found = [records.view(row, at) for row in records.rows(connection, tenant=tenant)]
    shown = ("id", "export_id", "tenant", "state", "ground", "due_at", "alarm", "reason")
    document: list[JSON] = [*found]
    context.result(document, lambda: context.table("Referrals", shown, [[one[n] for n in shown] for one in found]))


@referrals.command("instruct")
@click.argument("identifier", metavar="REFERRAL")
@AS
@shared
def instruct(context: Context, identifier: str, claimed: str | None) -> None:
    """Record that the tenant orders the export; the archive's next revision has its data."""
    with writing(context.engine) as connection:
        actor = _permit(context, connection, claimed, identifier)
        export_id = records.instruct(connection, identifier, actor=str(actor))
        retries.apply_answers(connection, export_id, actor=str(actor))
    _show(context, identifier, export_id)


@referrals.command("refuse")
@click.argument("identifier", metavar="REFERRAL")
@click.option("--reason", required=True, type=one_of(RefusalReason), help="Why; the person reads it in the archive.")
@AS
@shared
def refuse(context: Context, identifier: str, reason: str, claimed: str | None) -> None:
    """Record that the tenant refuses; the archive's next revision says so."""
    with writing(context.engine) as connection:
        actor = _permit(context, connection, claimed, identifier)
        export_id = records.refuse(connection, identifier, reason=reason, actor=str(actor))
        retries.apply_answers(connection, export_id, actor=str(actor))
    _show(context, identifier, export_id)


def _permit(context: Context, connection: Connection, claimed: str | None, identifier: str) -> Actor:
    return permit_any(context, claimed, Action.INSTRUCT, tenant=records.get(connection, identifier)["tenant"])


def _show(context: Context, identifier: str, export_id: str) -> None:
    wake_for(context, export_id)
    with reading(context.engine) as connection:
        view = records.view(records.get(connection, identifier), deployment.clock_of(connection))
    context.result(view, lambda: context.console.print(f"{identifier} is {view['state']}"))

"""`portability approve | deny | recall | recalls | mandates`: decisions of people about exports."""

from __future__ import annotations

import click

from cli.context import Context, beginning, one_of, shared
from cli.exports import show_export, wake_for
from cli.permission import AS, permit, permit_any
from portability.api import JSON
from portability.api.errors import BadInput, StorageError
from portability.database.engine import reading, writing
from portability.people import subjects
from portability.requests import actors, approvals
from portability.requests import mandates as powers
from portability.requests.dates import end_of_day
from portability.requests.policy import Action
from portability.retention import recalls
from worker.write.withdraw import withdraw_all


@click.command()
@click.argument("identifier", metavar="ID")
@click.option(
    "--break-glass",
    metavar="REASON",
    default="",
    show_default=False,
    help="Approve without a second person, for this reason; an alarm is raised.",
)
@AS
@shared
def approve(context: Context, identifier: str, break_glass: str, claimed: str | None) -> None:
    """Approve an export that awaits review (not your own)."""
    with writing(context.engine) as connection:
        if break_glass:
            actor = actors.acting(context.settings, claimed)
            approvals.approve_alone(connection, identifier, reason=break_glass, actor=actor)
        else:
            actor = permit(context, connection, claimed, Action.APPROVE, identifier)
            approvals.approve(connection, identifier, actor=actor)
    wake_for(context, identifier)
    show_export(context, identifier)


@click.command()
@click.argument("identifier", metavar="ID")
@click.option(
    "--reason", required=True, help="Why, written for the person, who is informed of it and of their remedies."
)
@click.option(
    "--basis",
    type=one_of(approvals.DenialBasis),
    default=approvals.DenialBasis.OTHER,
    show_default=True,
    help="The rule that it is based on, for the request log.",
)
@AS
@shared
def deny(context: Context, identifier: str, reason: str, basis: str, claimed: str | None) -> None:
    """Refuse a request that no worker has begun (not your own)."""
    with writing(context.engine) as connection:
        actor = permit(context, connection, claimed, Action.DENY, identifier)
        approvals.deny(connection, identifier, reason=reason, actor=actor, basis=basis)
    show_export(context, identifier)


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--reason", required=True, help="What went wrong.")
@AS
@shared
def recall(context: Context, identifier: str, reason: str, claimed: str | None) -> None:
    """Recall an export that went to the wrong person: end its links, delete its objects, open a breach record."""
    with writing(context.engine) as connection:
        actor = permit(context, connection, claimed, Action.RECALL, identifier)
        recall_id = recalls.recall(connection, identifier, reason=reason, actor=str(actor))
    try:
        withdraw_all(context.engine, context.storage, identifier)
    except StorageError as error:
        context.note(f"recalled; the clock will delete the stored objects: {error}")
    with reading(context.engine) as connection:
        (row,) = (row for row in recalls.rows(connection) if row["id"] == recall_id)
    text = f"{recall_id}: notify the authority by {row['gdpr_due_at']:%Y-%m-%d %H:%M} UTC"
    context.result(recalls.view(row), lambda: context.console.print(text))


@click.group("recalls")
def recalls_group() -> None:
    """Breach records of recalled exports."""


@recalls_group.command("list")
@click.option("--open", "open_only", is_flag=True, help="Only open records.")
@shared
def list_recalls(context: Context, *, open_only: bool) -> None:
    """List breach records with their deadlines."""
    with reading(context.engine) as connection:
        rows = recalls.rows(connection, open_only=open_only)
    shown = ("id", "export_id", "opened_at", "gdpr_due_at", "pdp_due_at", "closed_at")
    document: list[JSON] = [recalls.view(row) for row in rows]
    context.result(document, lambda: context.table("Recalls", shown, [[row[name] for name in shown] for row in rows]))


@recalls_group.command("close")
@click.argument("identifier", metavar="RECALL")
@click.option("--outcome", required=True, help="Who was notified, and when.")
@AS
@shared
def close(context: Context, identifier: str, outcome: str, claimed: str | None) -> None:
    """Close a breach record with its outcome."""
    actor = permit_any(context, claimed, Action.RECALL)
    with writing(context.engine) as connection:
        recalls.close(connection, identifier, outcome=outcome, actor=str(actor))
    context.result({"id": identifier}, lambda: context.console.print(f"{identifier} is closed"))


@click.group()
def mandates() -> None:
    """Mandates: who may ask on behalf of whom."""


@mandates.command("add")
@click.option("--agent", required=True, help="Who may ask, as subject:ID: the account of the agent.")
@click.option(
    "--subject", required=True, help="On whose behalf: user:ID, contact:ID, tenant:ID, email:ADDRESS or phone:NUMBER."
)
@click.option("--tenant", help="The contact's tenant.")
@click.option("--profile", "profiles", multiple=True, required=True, help="Profile that it covers; can be repeated.")
@click.option("--issuer", required=True, help="Who granted it, with a reference; not a person's name.")
@click.option("--expires-at", required=True, help="When it ends: its last day, or an RFC 3339 time.")
@AS
@beginning
def add(
    context: Context,
    agent: str,
    subject: str,
    tenant: str | None,
    profiles: tuple[str, ...],
    issuer: str,
    expires_at: str,
    claimed: str | None,
) -> None:
    """Record a mandate."""
    actor = permit_any(context, claimed, Action.MANDATE)
    with writing(context.engine) as connection:
        identifier = powers.add(
            connection,
            agent=agent,
            subject=subject,
            tenant=tenant,
            profiles=profiles,
            issuer=issuer,
            expires_at=end_of_day(expires_at, "--expires-at", context.settings.place),
            actor=str(actor),
        )
    context.result({"id": identifier}, lambda: context.console.print(identifier))


@mandates.command("list")
@click.option("--subject", help="Only mandates for this subject: user:ID, contact:ID, tenant:ID ...")
@click.option("--tenant", help="The contact's tenant.")
@shared
def list_mandates(context: Context, subject: str | None, tenant: str | None) -> None:
    """List mandates, ended mandates too."""
    if tenant and not subject:
        raise BadInput("--tenant is the tenant of a contact", hint="add --subject contact:ID")
    with reading(context.engine) as connection:
        rows = powers.rows(connection, subjects.parse(subject, tenant) if subject else None)
    names = ("id", "agent", "subject_kind", "scope", "issuer", "created_by")
    times = ("created_at", "expires_at", "ended_at")
    context.listing("Mandates", rows, names, times)


@mandates.command("end")
@click.argument("identifier", metavar="MANDATE")
@AS
@shared
def end(context: Context, identifier: str, claimed: str | None) -> None:
    """End a mandate."""
    actor = permit_any(context, claimed, Action.MANDATE)
    with writing(context.engine) as connection:
        powers.end(connection, identifier, actor=str(actor))
    context.result({"id": identifier}, lambda: context.console.print(f"{identifier} has ended"))

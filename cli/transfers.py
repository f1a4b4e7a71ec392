"""`portability transfer | transfers | authorisations`: transfers to other providers, and their authorisations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
from sqlalchemy import RowMapping

from cli.context import LIMIT_MAX, Context, beginning, one_of, shared
from cli.exports import wake_for
from cli.pages import PAGE, note_next, paged
from cli.permission import AS, permit, permit_any
from portability.api import JSON
from portability.database.engine import reading, writing
from portability.messages import recipient_notices, webhooks
from portability.messages.webhooks import WebhookState
from portability.people import subjects
from portability.requests import actors, policy
from portability.requests.dates import end_of_day
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Action, Actor, Facts
from portability.requests.states import TransferState
from portability.transfers import authorisations as consents
from portability.transfers import recipient_lists, sending

NOTICE = ("id", "kind", "revision", "state", "reason", "attempts", "created_at", "settled_at")
"""Columns of a notice to a recipient."""


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--to", "recipient", required=True, help="Id or domain of a recipient: portability recipients list.")
@AS
@shared
def transfer(context: Context, identifier: str, recipient: str, claimed: str | None) -> None:
    """Send a finished export to a recipient that its subject has authorised."""
    with writing(context.engine) as connection:
        actor = permit(context, connection, claimed, Action.SEND, identifier)
        transfer_id = sending.start(connection, context.settings, identifier, recipient, actor=actor)
        seen = sending.view(connection, sending.get(connection, transfer_id))
    wake_for(context, identifier)
    context.result(seen, lambda: _show(context, [seen]))


@click.group()
def transfers() -> None:
    """Exports on their way to other providers."""


@transfers.command("list")
@click.argument("identifier", metavar="[ID]", required=False)
@click.option("--state", type=one_of(TransferState), help="Only transfers in this state.")
@paged
@AS
@shared
def list_transfers(
    context: Context,
    identifier: str | None,
    state: str | None,
    after: str | None,
    limit: int | None,
    claimed: str | None,
) -> None:
    """List all transfers of an export, the oldest first, or those of all exports, the newest first, in pages."""
    most = limit or (LIMIT_MAX if identifier else PAGE)
    with reading(context.engine) as connection:
        if identifier:
            permit(context, connection, claimed, Action.SEND, identifier)
        else:
            permit_any(context, claimed, Action.LIST_ALL)
        rows, following = recipient_lists.transfers(
            connection, export_id=identifier, state=state, after=after, limit=most
        )
        seen = [sending.view(connection, row) for row in rows]
    note_next(context, "transfer", most, following)
    context.result(seen, lambda: _show(context, seen) if identifier else _show_all(context, rows, seen))


@transfers.command("webhooks")
@click.option("--state", type=one_of(WebhookState), help="Only webhooks in this state.")
@paged
@AS
@shared
def list_webhooks(
    context: Context, state: str | None, after: str | None, limit: int | None, claimed: str | None
) -> None:
    """List the webhooks that inform recipients of transfers, the newest first; queued: the longest waiting first."""
    most = limit or PAGE
    permit_any(context, claimed, Action.LIST_ALL)
    with reading(context.engine) as connection:
        rows, following = recipient_lists.webhooks(connection, state=state, after=after, limit=most)
    note_next(context, "webhook", most, following)
    document: list[JSON] = [webhooks.view(row) for row in rows]
    names = ("transfer_id", "export_id", "recipient_id", "state", "reason", "attempts", "created_at", "not_before")
    context.result(document, lambda: context.table("Webhooks", names, [[row[name] for name in names] for row in rows]))


@transfers.command("show")
@click.argument("identifier", metavar="TRANSFER")
@AS
@shared
def show_transfer(context: Context, identifier: str, claimed: str | None) -> None:
    """Show one transfer with its timeline."""
    with reading(context.engine) as connection:
        row = sending.get(connection, identifier)
        permit(context, connection, claimed, Action.SEND, row["export_id"])
        seen = sending.view(connection, row)
        steps = sending.timeline(connection, row)
        found = recipient_notices.rows(connection, transfer_id=identifier)

    def human() -> None:
        _show(context, [seen])
        context.table("Timeline", ("what", "at"), [[step["what"], step["at"]] for step in steps])
        if found:
            context.table("Notices", NOTICE, [[row[name] for name in NOTICE] for row in found])

    context.result(seen, human)


@transfers.command("revoke")
@click.argument("identifier", metavar="TRANSFER")
@AS
@shared
def revoke_transfer(context: Context, identifier: str, claimed: str | None) -> None:
    """Revoke a transfer at once, even if it is running."""
    with writing(context.engine) as connection:
        export_id = sending.get(connection, identifier)["export_id"]
        actor = permit(context, connection, claimed, Action.SEND, export_id)
        sending.revoke(connection, identifier, actor=str(actor))
    context.result({"id": identifier}, lambda: context.console.print(f"{identifier} is revoked"))


@click.group()
def authorisations() -> None:
    """Authorisations: what subjects allow to be sent to which recipient."""


@authorisations.command("add")
@click.option(
    "--subject", required=True, help="Whose data: user:ID, contact:ID, tenant:ID, email:ADDRESS or phone:NUMBER."
)
@click.option("--tenant", help="The contact's tenant.")
@click.option("--to", "recipient", required=True, help="Id or domain of a recipient.")
@click.option("--include", required=True, help="What may be sent, separated by commas: calls,chats/messages.")
@click.option("--until", help="Its last day, or an RFC 3339 time; default: for one transfer.")
@click.option("--evidence", help="Where another person's consent is stored: the number of a ticket.")
@AS
@beginning
def add(
    context: Context,
    subject: str,
    tenant: str | None,
    recipient: str,
    include: str,
    until: str | None,
    evidence: str | None,
    claimed: str | None,
) -> None:
    """Record an authorisation, your own or another person's, who then confirms it on their page."""
    facts = Facts(*subjects.parse(subject, tenant))
    actor, exporters = _permit(context, claimed, facts), context.exporters
    with writing(context.engine) as connection:
        identifier = consents.give(
            connection,
            subject=subject,
            tenant=tenant,
            recipient=recipient,
            datasets=include.split(","),
            until=end_of_day(until, "--until", context.settings.place),
            evidence=evidence,
            actor=actor,
            exporters=exporters,
            needs_confirmation=context.settings.needs_approvals,
        )
    context.result({"id": identifier}, lambda: context.console.print(identifier))


@authorisations.command("list")
@shared
def list_authorisations(context: Context) -> None:
    """List authorisations, ended authorisations too, the newest first."""
    with reading(context.engine) as connection:
        rows = consents.of(connection)
    about, times = ("recipient", "subject_ref", "datasets", "once"), ("expires_at", "used_at", "revoked_at")
    names = ("id", "stands", "lapsed", *about, *times)
    document: list[JSON] = [consents.view(row) for row in rows]

    def human() -> None:
        context.table("Authorisations", names, [[row[n] for n in names] for row in rows])
        if any(row["lapsed"] for row in rows):
            context.note("lapsed: the provider did not fetch in time, and asks the person again (docs/pull.md#tokens)")

    context.result(document, human)


@authorisations.command("countersign")
@click.argument("identifier", metavar="AUTHORISATION")
@click.option("--document", required=True, help="Where the signed consent is stored.")
@AS
@shared
def countersign(context: Context, identifier: str, document: str, claimed: str | None) -> None:
    """Record, as a second person, that you have seen the signed consent; active a day after the notice is delivered."""
    with writing(context.engine) as connection:
        row = consents.get(connection, identifier)
        facts = Facts(row["subject_kind"], row["subject_id"], row["tenant"])
        actor = _permit(context, claimed, facts, Action.COUNTERSIGN)
        consents.countersign(connection, identifier, document=document, actor=actor)
    context.result({"id": identifier}, lambda: context.console.print(f"{identifier} is countersigned"))


@authorisations.command("revoke")
@click.argument("identifier", metavar="AUTHORISATION")
@AS
@shared
def revoke(context: Context, identifier: str, claimed: str | None) -> None:
    """Revoke an authorisation: its running transfers stop at once."""
    with writing(context.engine) as connection:
        row = consents.get(connection, identifier)
        actor = _permit(context, claimed, Facts(row["subject_kind"], row["subject_id"], row["tenant"]))
        consents.revoke(connection, identifier, actor=str(actor))
    context.result({"id": identifier}, lambda: context.console.print(f"{identifier} is revoked"))


def _permit(context: Context, claimed: str | None, facts: Facts, action: Action = Action.AUTHORISE) -> Actor:
    actor = actors.acting(context.settings, claimed)
    policy.allowed(actor, action, facts, PRESENT).enforce()
    return actor


def _show(context: Context, seen: list[dict[str, JSON]]) -> None:
    names = ("id", "state", "end", "volumes", "bytes", "error_code", "offered_at", "expires_at")
    context.table("Transfers", names, [[row[name] for name in names] for row in seen])


def _show_all(context: Context, rows: Sequence[RowMapping], seen: Sequence[Mapping[str, JSON]]) -> None:
    names = ("id", "export_id", "recipient_id", "state", "end", "error_code", "created_at")
    ends = {one["id"]: one["end"] for one in seen}
    context.table("Transfers", names, [[{**row, "end": ends[row["id"]]}[name] for name in names] for row in rows])

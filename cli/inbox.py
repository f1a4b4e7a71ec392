"""`portability inbox`: the receiving service, and decisions about the transfers that it has received."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from sqlalchemy import Connection, RowMapping

from cli.context import Context, one_of, shared
from cli.pages import PAGE, note_next, paged
from cli.permission import AS, permit_any
from cli.receiving_service import service_of
from portability import logs
from portability.api import JSON
from portability.database.engine import reading, writing
from portability.inbox import decisions, differences, received
from portability.inbox.decisions import ConflictRule
from portability.inbox.states import DeclineReason, ReceivedState
from portability.processes import report_ready, stop_event
from portability.requests import actors, policy
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Action, Facts
from receiver.inbox import service

RECEIVED = click.argument("identifier", metavar="RECEIVED")


@click.group()
def inbox() -> None:
    """Transfers that other providers have sent to this deployment."""


@inbox.command("run")
@shared
def run(context: Context) -> None:
    """Fetch, compare and import received transfers until stopped. Several may run on one machine."""
    logs.configure()
    made = service_of(context)
    context.ensure_key("receipt", actor="operator:inbox")
    stop = stop_event()
    report_ready()
    service.run(made, stop)


@inbox.command("list")
@click.option("--state", type=one_of(ReceivedState), help="Only transfers in this state.")
@paged
@AS
@shared
def list_received(
    context: Context, state: str | None, after: str | None, limit: int | None, claimed: str | None
) -> None:
    """List received transfers, the newest first, in pages; those that await a decision come before the others."""
    most = limit or PAGE
    permit_any(context, claimed, Action.INBOX)
    with reading(context.engine) as connection:
        rows, following = received.page(connection, state=state, after=after, limit=most)
    note_next(context, "received transfer", most, following)
    document: list[JSON] = [received.view(row) for row in rows]
    context.result(document, lambda: _print_list(context, rows))


@inbox.command("show")
@RECEIVED
@click.option("--values", is_flag=True, help="Also show what would change, by record and field, with values.")
@AS
@shared
def show(context: Context, identifier: str, claimed: str | None, *, values: bool) -> None:
    """Show a received transfer, and what its import would change."""
    with reading(context.engine) as connection:
        row, _actor = _found(context, connection, identifier, claimed)
        found = _all_differences(context, connection, row["id"]) if values else []
    document = received.view(row) | ({"differences": found} if values else {})
    context.result(document, lambda: _print(context, row, found))


@inbox.command("target")
@RECEIVED
@click.option("--subject", required=True, help="user:ID, contact:ID, tenant:ID or email:ADDRESS, by ids here.")
@click.option("--tenant", help="The contact's tenant.")
@click.option("--company", help="The company here that rows of an account's archive belong to.")
@click.option(
    "--on-conflict",
    type=one_of(ConflictRule),
    default=ConflictRule.KEEP,
    help="Values that were changed on both sides.",
)
@AS
@shared
def target(
    context: Context,
    identifier: str,
    claimed: str | None,
    *,
    subject: str,
    tenant: str | None,
    company: str | None,
    on_conflict: str,
) -> None:
    """Say whose data it is here; the difference is then computed."""
    with writing(context.engine) as connection:
        row, actor = _found(context, connection, identifier, claimed)
        policy.allowed(actor, Action.INBOX, decisions.facts_of(subject, tenant), PRESENT).enforce()
        decisions.assign(
            connection,
            row["id"],
            subject=subject,
            tenant=tenant,
            company=company,
            on_conflict=on_conflict,
            actor=str(actor),
        )
    _report(context, identifier)


@inbox.command("import")
@RECEIVED
@click.option("--comparison", help="Id of the difference that you have looked at; default: the newest.")
@AS
@shared
def import_received(context: Context, identifier: str, comparison: str | None, claimed: str | None) -> None:
    """Import a received transfer, as its difference was shown."""

    def accept(connection: Connection, row: RowMapping, actor: str) -> None:
        decisions.accept(connection, row["id"], comparison=comparison or row["comparison"] or "", actor=actor)

    _decide(context, identifier, claimed, accept)


@inbox.command("refuse")
@RECEIVED
@click.option("--reason", required=True, type=one_of(DeclineReason), help="The sender's receipt contains it.")
@AS
@shared
def refuse(context: Context, identifier: str, reason: str, claimed: str | None) -> None:
    """Refuse a received transfer: its files are deleted, and the sender gets a receipt with the reason."""

    def decline(connection: Connection, row: RowMapping, actor: str) -> None:
        decisions.decline(connection, row["id"], reason=reason, actor=actor)

    _decide(context, identifier, claimed, decline)


@inbox.command("undo")
@RECEIVED
@AS
@shared
def undo(context: Context, identifier: str, claimed: str | None) -> None:
    """Undo the import of a received transfer."""

    def take_back(connection: Connection, row: RowMapping, actor: str) -> None:
        decisions.undo(connection, row["id"], actor=actor)

    _decide(context, identifier, claimed, take_back)


def _decide(
    context: Context, identifier: str, claimed: str | None, decision: Callable[[Connection, RowMapping, str], None]
) -> None:
    with writing(context.engine) as connection:
        row, actor = _found(context, connection, identifier, claimed)
        decision(connection, row, str(actor))
    _report(context, identifier)


def _found(
    context: Context, connection: Connection, identifier: str, claimed: str | None
) -> tuple[RowMapping, policy.Actor]:
    """Return a received transfer and the actor, if it may act on it. Raises NotAllowed, UnknownReceived."""
    actor = actors.acting(context.settings, claimed)
    policy.allowed(actor, Action.INBOX, None, PRESENT).enforce()
    row = received.get(connection, identifier)
    facts: Facts | None = received.facts_of(row)
    policy.allowed(actor, Action.INBOX, facts, PRESENT).enforce()
    return row, actor


def _all_differences(context: Context, connection: Connection, identifier: str) -> list[JSON]:
    found: list[Mapping[str, Any]] = []
    after: int | None = 0
    while after is not None:
        shown, after = differences.page(connection, context.settings.keys, identifier, after=after)
        found += shown
    return [dict(record) for record in found]


def _report(context: Context, identifier: str) -> None:
    with reading(context.engine) as connection:
        row = received.get(connection, identifier)
    context.result(received.view(row), lambda: _print(context, row, []))


def _print_list(context: Context, rows: Sequence[RowMapping]) -> None:
    names = ("id", "state", "sender", "archive", "subject", "receipt", "fault", "created_at")
    cells = [
        [
            row["id"],
            row["state"],
            row["sender_name"],
            row["archive_kind"],
            received.subject_name(row),
            row["receipt"],
            row["error_code"],
            row["created_at"],
        ]
        for row in rows
    ]
    context.table("Received transfers", names, cells)


def _print(context: Context, row: RowMapping, found: Sequence[JSON]) -> None:
    _print_list(context, [row])
    names = received.COUNTED
    lines = [line for line in (row["report"] or {}).get("datasets", []) if any(line[name] for name in names)]
    if lines:
        cells = [[f"{line['exporter']}/{line['dataset']}", *(line[name] for name in names)] for line in lines]
        context.table("What changes", ("dataset", *names), cells)
    if undone := received.undone(row):
        figures = [name for name in received.UNDONE if name != "kept"]
        context.table("Result of undoing", figures, [[undone[name] for name in figures]])
        kept = [[one["table"], one["id"], one["action"], ", ".join(one["fields"])] for one in undone["kept"]]
        if kept:
            context.table("Changed after the import", ("table", "id", "action", "fields"), kept)
    for record in found:
        context.console.print(str(record), soft_wrap=True)

"""`portability messages list`: messages to people, by mail and SMS."""

from __future__ import annotations

import click

from cli.context import Context, one_of, shared
from cli.pages import PAGE, note_next, paged
from cli.permission import AS, permit_any
from portability.api import JSON
from portability.database.engine import reading
from portability.messages import outbox
from portability.messages.outbox import MessageState
from portability.requests import message_lists
from portability.requests.policy import Action


@click.group()
def messages() -> None:
    """Messages to people about their exports, by mail and SMS."""


@messages.command("list")
@click.option(
    "--state",
    type=one_of(MessageState),
    default=MessageState.QUEUED.value,
    show_default=True,
    help="Messages in this state.",
)
@paged
@AS
@shared
def list_messages(context: Context, state: str, after: str | None, limit: int | None, claimed: str | None) -> None:
    """List messages in one state: those that wait, the longest waiting first, or others, the newest first."""
    most = limit or PAGE
    permit_any(context, claimed, Action.LIST_ALL)
    with reading(context.engine) as connection:
        rows, following = message_lists.page(connection, MessageState(state), after=after, limit=most)
    note_next(context, "message", most, following)
    document: list[JSON] = [outbox.view(row) for row in rows]
    names = ("id", "export_id", "kind", "channel", "reason", "attempts", "created_at", "not_before", "sent_at")
    context.result(document, lambda: context.table("Messages", names, [[row[name] for name in names] for row in rows]))

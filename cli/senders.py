"""`portability senders`: other providers whose transfers this deployment receives."""

from __future__ import annotations

from typing import TextIO

import click

from cli.context import Context, beginning, shared
from cli.permission import AS, permit_any
from portability.api import JSON
from portability.database.engine import reading, writing
from portability.inbox import senders as known
from portability.requests.policy import Action
from portability.safe_http import SafeHttpClient

SECRET_CHARACTERS = 200


@click.group()
def senders() -> None:
    """Other providers whose transfers this deployment receives."""


@senders.command("add")
@click.option("--name", required=True, help="The provider's name, as officers and people see it.")
@click.option("--issuer", required=True, help="Issuer of its transfers, usually its URL.")
@click.option("--jwks-url", help="URL of its key set; default: /.well-known/jwks.json of the issuer.")
@click.option(
    "--secret",
    required=True,
    type=click.File("r"),
    metavar="FILE",
    help="File with the webhook secret (whsec_...) that the provider has shown; - is standard input.",
)
@AS
@beginning
def add(context: Context, claimed: str | None, name: str, issuer: str, jwks_url: str | None, secret: TextIO) -> None:
    """Record a sender. What it offers is quarantined; an officer decides on each transfer."""
    actor, settings = permit_any(context, claimed, Action.INBOX), context.settings
    entry = known.checked(SafeHttpClient.of(settings), name=name, issuer=issuer, jwks_url=jwks_url)
    text = secret.read(SECRET_CHARACTERS).strip()
    with writing(context.engine) as connection:
        identifier = known.add(connection, settings.keys, entry, text, actor=str(actor))
        row = known.get(connection, identifier)
    context.result(known.view(row), lambda: context.console.print(identifier))


@senders.command("list")
@AS
@shared
def list_senders(context: Context, claimed: str | None) -> None:
    """List senders, removed senders too."""
    permit_any(context, claimed, Action.INBOX)
    with reading(context.engine) as connection:
        rows = known.rows(connection)
    names = ("id", "name", "issuer", "jwks_url", "created_at", "removed_at")
    document: list[JSON] = [known.view(row) for row in rows]
    context.result(document, lambda: context.table("Senders", names, [[row[n] for n in names] for row in rows]))


@senders.command("remove")
@click.argument("identifier", metavar="SENDER")
@AS
@shared
def remove(context: Context, identifier: str, claimed: str | None) -> None:
    """Remove a sender, by id or issuer: its webhooks are refused. What it has sent stays."""
    actor = permit_any(context, claimed, Action.INBOX)
    with writing(context.engine) as connection:
        gone = known.remove(connection, identifier, actor=str(actor))
    context.result({"id": gone}, lambda: context.console.print(f"{gone} is removed"))

"""`portability recipients add | list | approve | remove`: other providers that data may be sent to."""

from __future__ import annotations

from collections.abc import Sequence

import click
from sqlalchemy import RowMapping

from cli.context import Context, one_of, shared
from cli.permission import AS, permit_any
from portability.api import JSON
from portability.database.engine import reading, writing
from portability.law.countries import Mechanism
from portability.requests.policy import Action
from portability.safe_http import SafeHttpClient
from portability.transfers import recipients as others


@click.group()
def recipients() -> None:
    """Other providers that data may be sent to."""


@recipients.command("add")
@click.option("--name", required=True, help="The provider's name, as shown to people.")
@click.option("--domain", required=True, help="The provider's domain; transfers are addressed to it.")
@click.option("--country", required=True, help="Country that the data goes to: ID, DE ...")
@click.option("--mechanism", type=one_of(Mechanism), help="Legal ground; default: adequacy of its country.")
@click.option("--safeguard", help="Reference of the contract or rules, for scc and binding_rules.")
@click.option("--age-key", required=True, help="Public key that the data is encrypted to: age1...")
@click.option("--jwks-url", required=True, help="URL of the keys that sign its receipts; on its domain.")
@click.option("--webhook-url", required=True, help="URL that is notified of transfers.")
@click.option("--datasets", help="What it may receive, separated by commas: calls,chats/messages; default: everything.")
@AS
@shared
def add(context: Context, claimed: str | None, datasets: str | None, **details: str) -> None:
    """Record a recipient; another person approves it. Its webhook secret is shown only once."""
    actor = permit_any(context, claimed, Action.RECIPIENTS)
    settings = context.settings
    scope = None if datasets is None else datasets.split(",")
    entry = others.checked(
        SafeHttpClient.of(settings), settings.country, datasets=scope, exporters=context.exporters, **details
    )
    with writing(context.engine) as connection:
        approved = not settings.needs_approvals
        identifier, secret = others.add(connection, settings.keys, entry, actor=actor, approved=approved)
        row = others.get(connection, identifier)

    def human() -> None:
        _show(context, [row])
        context.console.print(f"webhook secret  {secret}", markup=False, soft_wrap=True)
        if not approved:
            context.note(
                f"another person compares the fingerprint and runs: portability recipients approve {identifier}"
            )

    context.result({**others.view(row), "webhook_secret": secret}, human)


@recipients.command("list")
@shared
def list_recipients(context: Context) -> None:
    """List recipients with their fingerprints, removed recipients too."""
    with reading(context.engine) as connection:
        rows = others.rows(connection)
    document: list[JSON] = [others.view(row) for row in rows]
    context.result(document, lambda: _show(context, rows))


@recipients.command("approve")
@click.argument("identifier", metavar="RECIPIENT")
@AS
@shared
def approve(context: Context, identifier: str, claimed: str | None) -> None:
    """Approve a recipient that another person has recorded; by id or domain."""
    actor = permit_any(context, claimed, Action.RECIPIENTS)
    with writing(context.engine) as connection:
        others.approve(connection, identifier, actor=actor)
        row = others.get(connection, identifier)
    context.result(others.view(row), lambda: _show(context, [row]))


@recipients.command("remove")
@click.argument("identifier", metavar="RECIPIENT")
@AS
@shared
def remove(context: Context, identifier: str, claimed: str | None) -> None:
    """Remove a recipient: nothing more is sent to it, and its transfers end at once."""
    actor = permit_any(context, claimed, Action.RECIPIENTS)
    with writing(context.engine) as connection:
        gone = others.remove(connection, identifier, actor=str(actor))
    context.result({"id": gone}, lambda: context.console.print(f"{gone} is removed", markup=False))


def _show(context: Context, rows: Sequence[RowMapping]) -> None:
    shown = [others.view(row) for row in rows]
    names = ("id", "state", "name", "domain", "country", "mechanism", "fingerprint")
    context.table("Recipients", names, [[row[name] for name in names] for row in shown])

"""`portability recipients add | list | approve | remove`: other providers that data may be sent to."""

from __future__ import annotations

from collections.abc import Sequence

import click
from sqlalchemy import RowMapping

from cli.context import Context, one_of, shared
from cli.permission import AS, permit_any
from portability import recipients as others
from portability.abroad import Mechanism
from portability.api import JSON
from portability.db import reading, writing
from portability.outside import Outside
from portability.policy import Action


@click.group()
def recipients() -> None:
    """Other providers that data may be sent to."""


@recipients.command("add")
@click.option("--name", required=True, help="What people read: the provider's name.")
@click.option("--domain", required=True, help="The provider's domain; transfers are addressed to it.")
@click.option("--country", required=True, help="Where the data would go: ID, DE ...")
@click.option("--mechanism", type=one_of(Mechanism), help="On what ground; default: what its country is found to be.")
@click.option("--safeguard", help="Reference of the contract or rules, for scc and binding_rules.")
@click.option("--age-key", required=True, help="Public key that the data is encrypted to: age1...")
@click.option("--jwks-url", required=True, help="Where the keys are that it signs receipts with; on its domain.")
@click.option("--webhook-url", required=True, help="What is told of a transfer.")
@click.option("--datasets", help="What it may get, with commas between: calls,chats/messages; default: everything.")
@AS
@shared
def add(context: Context, claimed: str | None, datasets: str | None, **told: str) -> None:
    """Record a recipient; somebody else approves it. Its webhook secret is shown this once."""
    actor = permit_any(context, claimed, Action.RECIPIENTS)
    settings = context.settings
    scope = None if datasets is None else datasets.split(",")
    entry = others.checked(Outside.of(settings), settings.country, datasets=scope, **told)
    with writing(context.engine) as connection:
        approved = not settings.needs_approvals
        identifier, secret = others.add(connection, settings.keys, entry, actor=str(actor), approved=approved)
        row = others.get(connection, identifier)

    def human() -> None:
        _show(context, [row])
        context.console.print(f"webhook secret  {secret}", markup=False, soft_wrap=True)
        if not approved:
            context.note(
                f"somebody else compares the fingerprint and runs: portability recipients approve {identifier}"
            )

    context.result({**others.view(row), "webhook_secret": secret}, human)


@recipients.command("list")
@shared
def list_recipients(context: Context) -> None:
    """List recipients with their fingerprints, removed ones too."""
    with reading(context.engine) as connection:
        rows = others.rows(connection)
    document: list[JSON] = [others.view(row) for row in rows]
    context.result(document, lambda: _show(context, rows))


@recipients.command("approve")
@click.argument("identifier", metavar="RECIPIENT")
@AS
@shared
def approve(context: Context, identifier: str, claimed: str | None) -> None:
    """Let data be sent to a recipient that somebody else has recorded; by id or domain."""
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
    """Send nothing to a recipient any more; what is on its way ends at once."""
    actor = permit_any(context, claimed, Action.RECIPIENTS)
    with writing(context.engine) as connection:
        gone = others.remove(connection, identifier, actor=str(actor))
    context.result({"id": gone}, lambda: context.console.print(f"{gone} is removed", markup=False))


def _show(context: Context, rows: Sequence[RowMapping]) -> None:
    shown = [others.view(row) for row in rows]
    names = ("id", "state", "name", "domain", "country", "mechanism", "fingerprint")
    context.table("Recipients", names, [[row[name] for name in names] for row in shown])

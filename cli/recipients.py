"""`portability recipients`: other providers that data may be sent to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import click
from sqlalchemy import RowMapping

from cli.context import Context, beginning, one_of, shared
from cli.permission import AS, permit_any
from portability.api import JSON
from portability.api.errors import PortabilityError
from portability.database import deployment
from portability.database.engine import reading, writing
from portability.law.countries import Mechanism
from portability.messages import recipient_notices
from portability.messages.recipient_notices import NoticeState
from portability.requests.policy import Action, Actor
from portability.safe_http import SafeHttpClient
from portability.transfers import proofs, provider_documents, recipient_removal
from portability.transfers import recipients as others

STATEMENT_BYTES = 1 << 14


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
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where people return to if it asks for consents.")
@AS
@beginning
def add(context: Context, claimed: str | None, datasets: str | None, **details: str | tuple[str, ...]) -> None:
    """Record a recipient; another person approves it. Its webhook secret is shown only once."""
    actor = permit_any(context, claimed, Action.RECIPIENTS)
    _record(context, actor, datasets, details)


@recipients.command("discover")
@click.argument("domain")
@click.option("--url", help="URL of its document; default: https://DOMAIN/.well-known/portability.")
@click.option("--name", help="The provider's name, as shown to people; default: as its document says.")
@click.option("--country", required=True, help="Country that the data goes to: ID, DE ...")
@click.option("--mechanism", type=one_of(Mechanism), help="Legal ground; default: adequacy of its country.")
@click.option("--safeguard", help="Reference of the contract or rules, for scc and binding_rules.")
@click.option("--datasets", help="What it may receive, separated by commas: calls,chats/messages; default: everything.")
@AS
@shared
def discover(
    context: Context, claimed: str | None, datasets: str | None, domain: str, url: str | None, **details: str | None
) -> None:
    """Record a recipient by the signed document at its domain; another person approves it, as with `add`."""
    actor = permit_any(context, claimed, Action.RECIPIENTS)
    present = deployment.clock(context.engine)
    found = provider_documents.discover(SafeHttpClient.of(context.settings), domain.lower(), url, present)
    stated = {name: getattr(found, name) for name in ("domain", "age_key", "jwks_url", "webhook_url", "redirect_uris")}
    _record(context, actor, datasets, {**details, **stated, "name": details["name"] or found.name})


@recipients.command("refresh")
@click.argument("identifier", metavar="RECIPIENT")
@click.option("--url", help="URL of its document; default: https://DOMAIN/.well-known/portability.")
@AS
@shared
def refresh(context: Context, identifier: str, claimed: str | None, url: str | None) -> None:
    """Give a recipient the new keys and addresses of its document, which its recorded key set has signed."""
    actor = permit_any(context, claimed, Action.RECIPIENTS)
    with reading(context.engine) as connection:
        row, present = others.approved(connection, identifier), deployment.clock_of(connection)
    changed = provider_documents.renewed(SafeHttpClient.of(context.settings), context.settings, row, url, present)
    if changed is not None:
        with writing(context.engine) as connection:
            proofs.rotate(connection, row, changed, actor=str(actor))
            row = others.get(connection, row["id"])
    context.result({**others.view(row), "changed": changed is not None}, lambda: _show(context, [row]))


def _record(context: Context, actor: Actor, datasets: str | None, details: Mapping[str, Any]) -> None:
    settings, scope = context.settings, None if datasets is None else datasets.split(",")
    entry = others.checked(
        SafeHttpClient.of(settings), settings.country, datasets=scope, exporters=context.exporters, **details
    )
    with writing(context.engine) as connection:
        approved = not settings.needs_approvals
        identifier, secret = others.add(connection, settings.keys, entry, actor=actor, approved=approved)
        row = others.get(connection, identifier)
    try:
        row, fault = _challenge(context, row, str(actor)), None
    except PortabilityError as error:
        # It cannot check the challenge's signature before it has the secret, and may refuse it.
        fault = error.code

    def human() -> None:
        _show(context, [row])
        if fault is not None:
            context.note(f"not proven ({fault}): `portability recipients prove {identifier}` challenges it again")
        context.console.print(f"webhook secret  {secret}", soft_wrap=True)
        if not approved:
            context.note(
                f"another person compares the fingerprint and runs: portability recipients approve {identifier}"
            )

    try:
        context.written({**others.view(row), "webhook_secret": secret, "proof_fault": fault}, human)
    except OSError:
        context.note(f"the secret was not shown: `portability recipients remove {identifier}`, then record it again")
        raise


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
    with reading(context.engine) as connection:
        found = others.approvable(connection, identifier, actor=actor)
    if not found["proven_at"]:
        _challenge(context, found, str(actor))
    with writing(context.engine) as connection:
        others.approve(connection, identifier, actor=actor)
        row = others.get(connection, identifier)
    context.result(others.view(row), lambda: _show(context, [row]))


@recipients.command("prove")
@click.argument("identifier", metavar="RECIPIENT")
@AS
@shared
def prove(context: Context, identifier: str, claimed: str | None) -> None:
    """Challenge a recipient to prove that its key, key set and webhook are its own."""
    actor = permit_any(context, claimed, Action.RECIPIENTS)
    with reading(context.engine) as connection:
        found = others.get(connection, identifier)
    row = _challenge(context, found, str(actor))
    context.result(others.view(row), lambda: _show(context, [row]))


@recipients.command("rotate")
@click.argument("identifier", metavar="RECIPIENT")
@click.argument("statement", metavar="FILE", type=click.File("rb"))
@AS
@shared
def rotate(context: Context, identifier: str, statement: BinaryIO, claimed: str | None) -> None:
    """Give a recipient the new key that it has signed with its recorded key set; its consents stay."""
    actor = permit_any(context, claimed, Action.RECIPIENTS)
    token = statement.read(STATEMENT_BYTES).decode("ascii", "replace").strip()
    with reading(context.engine) as connection:
        found, present = others.approved(connection, identifier), deployment.clock_of(connection)
    rotated = proofs.rotation(SafeHttpClient.of(context.settings), context.settings, found, token, present)
    with writing(context.engine) as connection:
        proofs.rotate(connection, found, rotated, actor=str(actor))
        row = others.get(connection, identifier)
    context.result(others.view(row), lambda: _show(context, [row]))


@recipients.command("remove")
@click.argument("identifier", metavar="RECIPIENT")
@AS
@shared
def remove(context: Context, identifier: str, claimed: str | None) -> None:
    """Remove a recipient: its transfers, its feeds and the consents to it end at once."""
    actor = permit_any(context, claimed, Action.RECIPIENTS)
    with writing(context.engine) as connection:
        gone = recipient_removal.remove(connection, identifier, actor=str(actor))
    context.result({"id": gone}, lambda: context.console.print(f"{gone} is removed"))


@recipients.command("notices")
@click.argument("identifier", metavar="[RECIPIENT]", required=False)
@click.option("--state", type=one_of(NoticeState), help="Only notices in this state.")
@AS
@shared
def notices(context: Context, identifier: str | None, state: str | None, claimed: str | None) -> None:
    """List notices to recipients about changes after a transfer; by id or domain, removed recipients too."""
    permit_any(context, claimed, Action.RECIPIENTS)
    with reading(context.engine) as connection:
        same = others.ids_of(connection, identifier) if identifier else None
        found = recipient_notices.rows(connection, recipient_ids=same, state=state)
    about = ("id", "export_id", "recipient_id", "transfer_id", "kind")
    names = (*about, "state", "reason", "attempts", "created_at", "settled_at")
    document: list[JSON] = [recipient_notices.view(row) for row in found]
    context.result(document, lambda: context.table("Notices", names, [[row[name] for name in names] for row in found]))


def _challenge(context: Context, row: RowMapping, actor: str) -> RowMapping:
    """Challenge a recipient; returns its new row. Raises NotProven and what stops a request."""
    present = deployment.clock(context.engine)
    proofs.challenge(SafeHttpClient.of(context.settings), context.settings, row, present)
    with writing(context.engine) as connection:
        proofs.record(connection, row, actor=actor)
        return others.get(connection, row["id"])


def _show(context: Context, rows: Sequence[RowMapping]) -> None:
    shown = [others.view(row) for row in rows]
    names = ("id", "state", "name", "domain", "country", "mechanism", "fingerprint", "proven_at")
    context.table("Recipients", names, [[row[name] for name in names] for row in shown])

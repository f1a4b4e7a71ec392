"""`portability link | links | revoke`: give and revoke permission to download an export."""

from __future__ import annotations

import re

import click

from cli.context import Context, one_of, shared
from cli.permission import AS, permit
from portability.api import JSON
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.database.engine import reading, writing
from portability.delivery import links
from portability.requests import exports, keeping
from portability.requests.policy import Action

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--expires", help="How long it is valid: 90m, 48h or 7d; default: PORTABILITY_LINK_TTL_SECONDS.")
@click.option(
    "--for",
    "audience",
    type=one_of(["subject", *(each for each in links.Audience if each is not links.Audience.RECIPIENT)]),
    default="subject",
    show_default=True,
    help="Who may use it; subject: the audience that fits the subject.",
)
@AS
@shared
def link(context: Context, identifier: str, expires: str | None, audience: str, claimed: str | None) -> None:
    """Make a link to a ready export and print its URL, which is shown only once."""
    seconds = context.settings.link_ttl_seconds if expires is None else _seconds(expires)
    with writing(context.engine) as connection:
        actor = permit(context, connection, claimed, Action.LINK, identifier)
        chosen = None if audience == "subject" else audience
        issued = links.issue(
            connection,
            context.settings.keys,
            identifier,
            ttl_seconds=seconds,
            until=keeping.archive_end(connection, context.settings, exports.get(connection, identifier)),
            audience=chosen,
            actor=str(actor),
        )
        url = issued.url(context.settings.base_url)
        document: JSON = {
            "id": issued.id,
            "url": url,
            "audience": issued.audience,
            "expires_at": rfc3339(issued.expires_at),
        }
        # Before the commit: no one could use a link whose URL was not written.
        context.written(document, lambda: context.console.print(url, soft_wrap=True))


@click.command("links")
@click.argument("identifier", metavar="ID")
@AS
@shared
def list_links(context: Context, identifier: str, claimed: str | None) -> None:
    """List the links of an export, ended links too; never their tokens."""
    with reading(context.engine) as connection:
        permit(context, connection, claimed, Action.LINK, identifier)
        rows = links.of(connection, identifier)
    names, times = ("id", "audience", "created_by"), ("created_at", "expires_at", "revoked_at")
    context.listing("Links", rows, names, times)


@click.command()
@click.argument("identifier", metavar="LINK")
@AS
@shared
def revoke(context: Context, identifier: str, claimed: str | None) -> None:
    """End a link at once, by its id."""
    with reading(context.engine) as connection:
        export_id = links.get(connection, identifier)["export_id"]
    with writing(context.engine) as connection:
        actor = permit(context, connection, claimed, Action.REVOKE, export_id)
        links.revoke(connection, identifier, actor=str(actor))
    context.result({"id": identifier}, lambda: context.console.print(f"{identifier} is revoked"))


def _seconds(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,7})([smhd])", text)
    if match is None:
        raise BadInput("--expires is not a length of time", hint="for example 90m, 48h or 7d")
    return int(match[1]) * UNITS[match[2]]

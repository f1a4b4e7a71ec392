"""`portability requests`: the request log, as the law wants to see it."""

from __future__ import annotations

import click

from cli.context import Context, shared
from cli.permission import AS, permit_any
from portability import request_log
from portability.db import reading
from portability.policy import Action


@click.command("requests")
@click.option("--csv", "as_csv", is_flag=True, help="The whole log as CSV (RFC 4180).")
@AS
@shared
def list_requests(context: Context, claimed: str | None, *, as_csv: bool) -> None:
    """The request log: all requests with their answers, the newest first (CCPA regulation 7101)."""
    permit_any(context, claimed, Action.REQUESTS_READ)
    with reading(context.engine) as connection:
        rows = list(request_log.every(connection, request_log.Scope()))
    if as_csv and not context.json:
        click.echo(request_log.table(rows), nl=False)
        return
    documents = [request_log.document(row) for row in rows]
    shown = ("id", "received_at", "profile", "channel", "responded_at", "response", "basis")
    told = [[one[name] for name in shown] for one in documents]
    context.result({"requests": list(documents)}, lambda: context.table("Requests", shown, told))

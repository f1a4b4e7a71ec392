"""`portability requests`: the request log, in the form that the law requires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import click

from cli.context import Context, shared
from cli.permission import AS, permit_any
from portability.api import JSON
from portability.database.engine import reading
from portability.requests import request_log
from portability.requests.policy import Action

SHOWN = {
    "id": "id",
    "received": "received_at",
    "profile": "profile",
    "channel": "channel",
    "answered": "responded_at",
    "response": "response",
    "basis": "basis",
}
"""Columns of the table, and the keys of their values."""


@click.command("requests")
@click.option("--csv", "as_csv", is_flag=True, help="Print the whole log as CSV (RFC 4180).")
@AS
@shared
def list_requests(context: Context, claimed: str | None, *, as_csv: bool) -> None:
    """List all requests with their answers, the newest first (CCPA regulation 7101)."""
    permit_any(context, claimed, Action.REQUESTS_READ)
    if as_csv and not context.json:
        for part in request_log.tables(partial(reading, context.engine), request_log.Scope()):
            click.echo(part, nl=False)
        return
    with reading(context.engine) as connection:
        documents = [request_log.document(row) for row in request_log.every(connection, request_log.Scope())]
    context.result({"requests": list(documents)}, lambda: context.table("Requests", list(SHOWN), _cells(documents)))


def _cells(documents: Sequence[Mapping[str, JSON]]) -> list[list[object]]:
    """Show only the day of times: the law requires no more, and it fits on a screen."""
    return [[str(one[n] or "")[:10] if n.endswith("_at") else one[n] for n in SHOWN.values()] for one in documents]

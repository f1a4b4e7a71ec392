"""`portability requests`: the request log, in the form that the law requires."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from textwrap import indent

import click
from sqlalchemy import RowMapping

from cli.context import Context, shared
from cli.harmless import as_json, emit
from cli.permission import AS, permit_any
from portability.api import JSON
from portability.api.errors import BadInput
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
    if as_csv and context.json:
        raise BadInput("--csv and --json exclude each other")
    if as_csv:
        for part in request_log.tables(partial(reading, context.engine), request_log.Scope()):
            emit(part, ends_line=False)
        return
    pages = request_log.pages(partial(reading, context.engine), request_log.Scope())
    if context.json:
        for part in _json(row for page in pages for row in page):
            emit(part, ends_line=False)
        return
    for page in pages:
        # One table for each page, so that the whole log is never in memory.
        context.table("Requests", list(SHOWN), _cells([request_log.document(row) for row in page]))


def _json(rows: Iterable[RowMapping]) -> Iterator[str]:
    """Yield a JSON document of all requests in parts."""
    separator = '{\n  "requests": ['
    for row in rows:
        stated = as_json(request_log.document(row))
        yield f"{separator}\n{indent(stated, '    ')}"
        separator = ","
    yield '{\n  "requests": []\n}\n' if separator != "," else "\n  ]\n}\n"


def _cells(documents: Sequence[Mapping[str, JSON]]) -> list[list[object]]:
    """Show only the day of times: the law requires no more, and it fits on a screen."""
    return [[str(one[n] or "")[:10] if n.endswith("_at") else one[n] for n in SHOWN.values()] for one in documents]

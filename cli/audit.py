"""`portability audit show | verify | head`: what happened, and that nobody has changed it."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from cli.context import Context, shared
from portability import audit, audit_heads
from portability.api import JSON
from portability.db import reading
from portability.errors import BadInput
from portability.signing import Jwks

SHOWN = ("id", "at", "actor", "action", "export_id")
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group("audit")
def audit_group() -> None:
    """The audit log."""


@audit_group.command("show")
@click.argument("identifier", metavar="[ID]", required=False)
@click.option("--after", type=int, help="Only events after this one.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="How many.")
@shared
def show(context: Context, identifier: str | None, after: int | None, limit: int) -> None:
    """Show the events of one export, or all, in their order."""
    with reading(context.engine) as connection:
        events = audit.events(connection, export_id=identifier, after=after, limit=limit)
    document: list[JSON] = [audit.view(event) for event in events]
    rows = [[*(event[name] for name in SHOWN), orjson.dumps(event["detail"]).decode()] for event in events]
    context.result(document, lambda: context.table("Audit log", (*SHOWN, "detail"), rows))


@audit_group.command("verify")
@click.option("--head", "kept", type=FILE, help="A signed head that was kept elsewhere (`portability audit head`).")
@click.option("--jwks", "jwks_file", type=FILE, help="Keys to check it with; default: those that the database knows.")
@shared
def verify(context: Context, kept: Path | None, jwks_file: Path | None) -> None:
    """Walk the whole chain: an edit, a deletion, another order, a truncation are found."""
    with reading(context.engine) as connection:
        anchor = None
        if kept is not None:
            anchor = audit_heads.read(connection, kept.read_text(errors="replace"), jwks=_jwks(jwks_file))
        verdict = audit.verify(connection, anchor=anchor)
    faults: list[JSON] = [{"code": fault.code, "event": fault.event_id} for fault in verdict.faults]
    head: JSON = {"event": verdict.head.event_id, "hash": verdict.head.hash}
    document: JSON = {"ok": verdict.ok, "events": verdict.events, "head": head, "faults": faults}

    def human() -> None:
        for fault in verdict.faults:
            context.console.print(f"event {fault.event_id}: {fault.code}", markup=False)
        context.console.print(f"{'ok' if verdict.ok else 'NOT OK'}: {verdict.events} events", markup=False)

    context.result(document, human)
    if not verdict.ok:
        raise SystemExit(1)


@audit_group.command("head")
@shared
def head(context: Context) -> None:
    """Print the signed head of the log: keep it where nobody who can write to the database can."""
    with reading(context.engine) as connection:
        token = audit_heads.signed(connection, context.settings.keys, context.settings.iss)
        seen = audit.head(connection)
    document: JSON = {"event": seen.event_id, "hash": seen.hash, "token": token}
    context.result(document, lambda: print(token))


def _jwks(path: Path | None) -> Jwks | None:
    if path is None:
        return None
    try:
        return Jwks.parse(orjson.loads(path.read_bytes()))
    except orjson.JSONDecodeError:
        raise BadInput(f"{path} is no JSON") from None

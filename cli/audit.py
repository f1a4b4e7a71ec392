"""`portability audit show | verify | head`: the events, and the check that they were not changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from cli.context import ID_MAX, LIMIT_MAX, Context, shared
from cli.harmless import emit
from cli.quantities import quantity
from cli.verify import load_jwks
from portability.api import JSON
from portability.api.errors import BadInput
from portability.database.engine import reading
from portability.requests import audit_comparison, exports
from portability.requests.audit_comparison import Comparison
from portability.trust import audit, audit_heads
from portability.trust.audit import FAULTS_MAX, Verdict
from portability.trust.chain_events import is_damaged
from portability.trust.signing import Jwks

SHOWN = ("id", "at", "actor", "action", "export_id")
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group("audit")
def audit_group() -> None:
    """The audit log."""


@audit_group.command("show")
@click.argument("identifier", metavar="[ID]", required=False)
@click.option("--action", help="Only events of this action, such as approval.break_glass.")
@click.option("--after", type=click.IntRange(0, ID_MAX), help="Only events after the event with this id.")
@click.option(
    "--limit", type=click.IntRange(1, LIMIT_MAX), default=1000, show_default=True, help="Maximum number of events."
)
@shared
def show(context: Context, identifier: str | None, action: str | None, after: int | None, limit: int) -> None:
    """Show the events of one export, or all, in order."""
    audit.chain_all(context.engine)
    with reading(context.engine) as connection:
        # An event that was recorded after `chain_all` has no id, after which the next page could begin.
        found = audit.chained_or_damaged(connection, export_id=identifier, action=action, after=after, limit=limit + 1)
        if identifier and not (found or audit.events(connection, export_id=identifier, limit=1)):
            exports.get(connection, identifier)  # a mistyped id is an error, and not an export without events
    if action and not found:
        context.note(f"no event has the action {action}: docs/audit.md lists the actions")
    events = found[:limit]
    if len(found) > limit:
        context.note(f"{quantity(limit, 'event')} shown: --after {events[-1]['id']} shows the next")
    document = [_view(event) for event in events]
    for event in document:
        if "fault" in event:
            context.note(f"event {event['id']} cannot be read: its values were changed; see `portability audit verify`")
    rows = [[*(event[name] for name in SHOWN), _detail(event)] for event in document]
    context.result(document, lambda: context.table("Audit log", (*SHOWN, "detail"), rows))


def _view(event: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return an event as JSON; a damaged one has its id, its hashes and a `fault`, and null for everything else."""
    if not is_damaged(event):
        return audit.view(event)
    known = {name: event[name] for name in ("id", "prev_hash", "hash")}
    return {**dict.fromkeys((*SHOWN, "detail", "entry")), **known, "fault": "unreadable"}


def _detail(event: Mapping[str, JSON]) -> str:
    return str(event["fault"]) if "fault" in event else orjson.dumps(event["detail"]).decode()


@audit_group.command("verify")
@click.option(
    "--head", "outside_head", type=FILE, help="A signed head that was stored elsewhere (`portability audit head`)."
)
@click.option("--jwks", "jwks_file", type=FILE, help="Keys to check the head with; default: the keys in the database.")
@click.option(
    "--from",
    "from_file",
    type=FILE,
    help="A signed head up to which the log was verified before: only what came later is verified.",
)
@click.option("--no-storage", is_flag=True, help="Do not compare with the objects in storage.")
@shared
def verify(
    context: Context, outside_head: Path | None, jwks_file: Path | None, from_file: Path | None, no_storage: bool
) -> None:
    """Check the whole chain, and compare it with exports, ledger and storage.

    It detects an edit, a deletion, a reordering or a truncation, and an export that the log does not explain. Without a
    head that was stored elsewhere, it cannot detect that the whole log was rewritten. With --from it reads only the
    events after a head, and compares the exports that they name; the log must contain this head.
    """
    if outside_head and from_file:
        raise BadInput("--head and --from exclude each other", hint="--from checks that the log contains its head")
    audit.chain_all(context.engine)
    with reading(context.engine) as connection:
        named, jwks = outside_head or from_file, read_jwks(jwks_file) if jwks_file else None
        kept = audit_heads.read(connection, named.read_text(errors="replace"), jwks=jwks) if named else None
        anchor, since = (None, kept) if from_file else (kept, None)
        if since:
            audit_heads.check_contained(connection, since)
        verdict = audit.verify(connection, anchor=anchor, since=since)
        compared = audit_comparison.compare(connection, None if no_storage else context.storage, since=since)
    is_ok = verdict.ok and not compared.faults
    _note_more(context, verdict, compared)
    faults: list[JSON] = [{"code": fault.code, "event": fault.event_id} for fault in verdict.faults]
    faults += [{"code": fault.code, "export": fault.export_id} for fault in compared.faults]
    document: JSON = {
        "ok": is_ok,
        "events": verdict.events,
        "unchained": verdict.unchained,
        "head": {"event": verdict.head.event_id, "hash": verdict.head.hash},
        "outside_head": named is not None,
        "from_event": None if since is None else since.event_id,
        "exports": compared.exports,
        "objects": None if no_storage else compared.objects,
        "faults": faults,
    }

    def human() -> None:
        say = context.console.print
        after = f" after event {since.event_id}" if since else ""
        objects = "storage not compared" if no_storage else quantity(compared.objects, "object")
        read = f"{quantity(verdict.events, 'event')}{after}, {quantity(compared.exports, 'export')}, {objects}"
        say(*_faults(verdict, compared), f"ok: {read}" if is_ok else f"NOT OK: {read}", sep="\n")
        if verdict.unchained:
            say(f"{verdict.unchained} more events were recorded meanwhile, and are not in the chain yet")
        if not named:
            say("no outside head was given: it is not proven that the log was not rewritten as a whole")

    context.result(document, human)
    if not is_ok:
        raise SystemExit(1)


def _note_more(context: Context, verdict: Verdict, compared: Comparison) -> None:
    """Say where not all faults may be named."""
    if FAULTS_MAX in {len(verdict.faults), len(compared.faults)}:
        context.note(f"{FAULTS_MAX} faults of the chain and of the comparison are named at most: there may be more")


def _faults(verdict: Verdict, compared: Comparison) -> Iterator[str]:
    """Yield a line for each fault of the chain and of the comparison."""
    yield from (f"event {fault.event_id}: {fault.code}" for fault in verdict.faults)
    yield from (f"export {fault.export_id}: {fault.code}" for fault in compared.faults)


@audit_group.command("head")
@shared
def head(context: Context) -> None:
    """Print the signed head of the log: store it where no one with write access to the database can change it."""
    audit.chain_all(context.engine)
    with reading(context.engine) as connection:
        token = audit_heads.signed(connection, context.settings.keys, context.settings.iss)
        seen = audit.head(connection)
    document: JSON = {"event": seen.event_id, "hash": seen.hash, "token": token}
    context.result(document, lambda: emit(token))


def read_jwks(path: Path) -> Jwks:
    """Read a JWK Set from a file. Raises BadInput."""
    return Jwks.parse(load_jwks(str(path)))

"""`portability list | show | cancel | retry | fetch`: exports that there are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.progress import Progress
from sqlalchemy import RowMapping

from cli.context import Context, one_of, shared
from cli.permission import AS, permit
from portability import approvals, audit, exports, policy, retries
from portability.api import JSON
from portability.db import reading, writing
from portability.deadlines import Alarm
from portability.errors import NotAllowed, ObjectChanged, QueueUnavailable, WrongState
from portability.policy import Action
from portability.queue import connect, open_queue, redis_url, wake
from portability.states import DatasetState, ExportState
from portability.storage import BLOCK_BYTES, Storage

GAPS_SHOWN = 20


@click.command("list")
@click.option("--state", type=one_of(ExportState), help="Only exports in this state.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many, the newest first.")
@shared
def list_exports(context: Context, state: str | None, limit: int) -> None:
    """List exports, the newest first."""
    with reading(context.engine) as connection:
        rows = exports.recent(connection, state=state, limit=limit)
    names = ("id", "state", "complete", "profile", "subject_kind", "subject_ref", "records", "error_code")
    times = ("received_at", "due_at", "ended_at")
    document: list[JSON] = [
        {**{n: row[n] for n in names}, **{n: exports.rfc3339(row[n]) for n in times}, "alarm": exports.alarm(row)}
        for row in rows
    ]
    columns = ("id", "state", "profile", "of a", "records", "due", "why")
    told = [
        (row["id"], _whole(row), row["profile"], row["subject_kind"], row["records"], row["due_at"], row["error_code"])
        for row in rows
    ]
    context.result(document, lambda: context.table("Exports", columns, told))


@click.command()
@click.argument("identifier", metavar="ID")
@shared
def show(context: Context, identifier: str) -> None:
    """Show one export: its state, its ledger, its volumes."""
    show_export(context, identifier)


@click.command()
@click.argument("identifier", metavar="ID")
@AS
@shared
def cancel(context: Context, identifier: str, claimed: str | None) -> None:
    """Cancel an open export; a running one ends at its next checkpoint."""
    with writing(context.engine) as connection:
        actor = permit(context, connection, claimed, Action.CANCEL, identifier)
        exports.cancel(connection, identifier, actor=str(actor))
    show_export(context, identifier)


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--gaps", is_flag=True, help="Fetch what is missing in a ready export, as its next revision.")
@AS
@shared
def retry(context: Context, identifier: str, gaps: bool, claimed: str | None) -> None:
    """Let a failed export begin anew, or a ready one fetch what it misses."""
    with writing(context.engine) as connection:
        actor = str(permit(context, connection, claimed, Action.RETRY, identifier))
        if gaps:
            retries.retry_gaps(connection, identifier, actor=actor)
        else:
            retries.retry(connection, identifier, actor=actor)
    wake_for(context, identifier)
    show_export(context, identifier)


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="Folder for the volumes.")
@shared
def fetch(context: Context, identifier: str, target: Path) -> None:
    """Fetch an operator's copy of an export's volumes; run again, it goes on where it stopped."""
    paths = fetch_volumes(context, identifier, target)

    def human() -> None:
        for path in paths:
            context.console.print(str(path), markup=False, soft_wrap=True)

    context.result({"id": identifier, "archives": [str(path) for path in paths]}, human)


def fetch_volumes(context: Context, identifier: str, target: Path) -> list[Path]:
    """Copy every volume into a folder, checked against its hash, and audit it. Raises NotAllowed, WrongState."""
    if not (context.settings.embedded or context.settings.allow_fetch):
        hint = "set PORTABILITY_ALLOW_FETCH=1 where an operator may hold people's archives"
        raise NotAllowed("fetch is switched off outside the embedded stack", hint=hint)
    with reading(context.engine) as connection:
        row = exports.get(connection, identifier)
        volumes = exports.stored_volumes(connection, identifier)
    if row["state"] != ExportState.READY:
        raise WrongState(f"export {identifier} is {row['state']}, not ready")
    actor = str(policy.acting(context.settings, None))
    if context.settings.needs_approvals:
        with writing(context.engine) as connection:
            is_approved = approvals.may_fetch(connection, identifier, actor=actor)
        if not is_approved:
            hint = f"a colleague decides: portability approve {identifier}; then fetch again within a day"
            raise NotAllowed("a copy of somebody's archive takes two people", hint=hint)
    with writing(context.engine) as connection:
        audit.record(connection, "export.fetched", actor=actor, export_id=identifier, detail={"volumes": len(volumes)})
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    with context.bars(*Progress.get_default_columns()) as bars:
        task = bars.add_task("fetching", total=sum(volume["bytes"] for volume in volumes))
        return [_fetch(context.storage, volume, target, lambda n: bars.advance(task, n)) for volume in volumes]


def _fetch(storage: Storage, volume: RowMapping, target: Path, advance: Callable[[int], None]) -> Path:
    path = target / f"{volume['name']}.zip"
    if path.exists() and _sha256(path) == volume["sha256"]:
        advance(volume["bytes"])
        return path
    partial = path.with_suffix(".zip.part")
    digest = hashlib.sha256()
    with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            advance(len(block))
        for block in storage.read(volume["object_key"], file.tell()):
            digest.update(block)
            file.write(block)
            advance(len(block))
    if digest.hexdigest() != volume["sha256"]:
        partial.unlink()
        raise ObjectChanged(f"{path.name}: what storage gave has another SHA-256 than what was stored")
    return partial.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wake_for(context: Context, identifier: str) -> None:
    """Wake a worker for an export; without Redis the clock does so later, and a note says it."""
    try:
        wake(open_queue(connect(redis_url(context.settings))), identifier)
    except QueueUnavailable as trouble:
        context.note(f"kept; {trouble}: {trouble.hint}")


def show_export(context: Context, identifier: str) -> None:
    """The one view of an export that all commands end with."""
    with reading(context.engine) as connection:
        document = exports.view(connection, identifier)
        row = exports.get(connection, identifier)
        lines = exports.ledger(connection, identifier)
        gaps = exports.gaps(connection, identifier)
        volumes = exports.stored_volumes(connection, identifier)
        causes = exports.review(connection, row)
    context.result(document, lambda: _tell(context, row, causes, lines, gaps, volumes))


def _tell(
    context: Context,
    row: RowMapping,
    causes: Sequence[str],
    lines: Sequence[RowMapping],
    gaps: Sequence[RowMapping],
    volumes: Sequence[RowMapping],
) -> None:
    say = context.console.print
    say(f"export {row['id']}: [bold]{_whole(row)}[/bold]")
    say(f"{row['profile']} of a {row['subject_kind']}, due {row['due_at']:%Y-%m-%d %H:%M} UTC{_alarm(row)}")
    if causes:
        say(f"a second person must look at it first: {', '.join(causes)}", markup=False)
    if row["error_code"] is not None:
        say(f"{row['error_message']} [{row['error_code']}]", markup=False)
    _tell_ledger(context, lines)
    if gaps:
        told = [(f"{gap['exporter']}/{gap['dataset']}", gap["what"], gap["reason"]) for gap in gaps[:GAPS_SHOWN]]
        context.table(f"Gaps: {len(gaps)}", ("dataset", "what", "reason"), told)
    for volume in volumes:
        say(f"{volume['name']}.zip  {volume['bytes']:,} bytes\n  sha256 {volume['sha256']}", soft_wrap=True)


def _tell_ledger(context: Context, lines: Sequence[RowMapping]) -> None:
    if not lines:
        return
    waiting = [line for line in lines if line["state"] == DatasetState.NEEDS_INSTRUCTION]
    told = [
        (f"{line['exporter']}/{line['dataset']}", line["state"], line["records"], line["files"], line["gaps"])
        for line in lines
    ]
    context.table("Ledger", ("dataset", "state", "records", "files", "gaps"), told)
    if waiting:
        tenants = sorted({tenant for line in waiting for tenant in line["tenants"] or ()})
        context.console.print(f"{len(waiting)} datasets need an instruction of {', '.join(tenants)}", markup=False)


def _alarm(row: RowMapping) -> str:
    told = {
        Alarm.HALF: ", half of the time is over",
        Alarm.MOST: ", most of the time is over",
        Alarm.MISSED: ", missed",
    }
    return told.get(exports.alarm(row), "")


def _whole(row: RowMapping) -> str:
    return f"{row['state']}, with gaps" if row["complete"] is False else str(row["state"])

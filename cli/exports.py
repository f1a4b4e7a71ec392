"""`portability list | show | cancel | retry | fetch`: existing exports."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
from rich.progress import Progress
from sqlalchemy import RowMapping

from cli.context import LIMIT_MAX, Context, one_of, shared
from cli.permission import AS, permit
from cli.quantities import quantity
from cli.state_words import state_words
from cli.waiting import note_no_worker
from portability.api import JSON
from portability.api.errors import ObjectChanged
from portability.api.storages import BLOCK_BYTES, Storage
from portability.api.times import rfc3339
from portability.database import deployment
from portability.database.engine import reading, writing
from portability.errors import NotAllowed, QueueUnavailable, WrongState
from portability.files import naming
from portability.law.deadlines import Alarm
from portability.law.regime import FigureOrigin
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.queue import connect, open_queue, redis_url, wake
from portability.requests import actors, approvals, earlier_revisions, exports, retries, reversions
from portability.requests.policy import Action
from portability.requests.states import OPEN, DatasetState, ExportState
from portability.trust import audit
from receiver.fetch import papers

GAPS_SHOWN = 20


@click.command("list")
@click.option("--state", type=one_of(ExportState), help="Only exports in this state.")
@click.option("--unanswered", is_flag=True, help="Only requests that have no answer yet, the earliest due date first.")
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=LIMIT_MAX),
    default=100,
    show_default=True,
    help="Maximum number, the first of the list.",
)
@shared
def list_exports(context: Context, state: str | None, unanswered: bool, limit: int) -> None:
    """List exports, the newest first, or by their due dates."""
    with reading(context.engine) as connection:
        found = exports.recent(connection, state=state, is_unanswered=unanswered, limit=limit + 1)
        at = deployment.clock_of(connection)
    rows = found[:limit]
    if len(found) > limit:
        context.note(f"{quantity(limit, 'export')} shown: --limit shows more")
    names = (
        *("id", "state", "complete", "outcome_own", "outcome_processor", "profile", "subject_kind", "subject_ref"),
        *("records", "error_code"),
    )
    times = ("received_at", "due_at", "ended_at")
    document: list[JSON] = [
        {**{n: row[n] for n in names}, **{n: rfc3339(row[n]) for n in times}, "alarm": exports.alarm(row, at)}
        for row in rows
    ]
    columns = ("id", "state", "profile", "of a", "records", "due", "why")
    shown_rows = [
        (
            row["id"],
            state_words(row),
            row["profile"],
            row["subject_kind"],
            row["records"],
            row["due_at"],
            row["error_code"],
        )
        for row in rows
    ]
    context.result(document, lambda: context.table("Exports", columns, shown_rows))


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
    """Cancel an open export; a running one ends at its next checkpoint.

    While the next revision of an archive is made, only that ends: the archive is ready again, as before.
    """
    with writing(context.engine) as connection:
        actor = permit(context, connection, claimed, Action.CANCEL, identifier)
        state = exports.cancel(connection, identifier, actor=str(actor))
    show_export(context, identifier)
    if state in OPEN:
        note_no_worker(context)


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--gaps", is_flag=True, help="Fetch what is missing in a ready export, as its next revision.")
@AS
@shared
def retry(context: Context, identifier: str, gaps: bool, claimed: str | None) -> None:
    """Start a failed export again, or fetch what is missing in a ready one."""
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
    """Fetch an operator's copy of an export's volumes; run it again to continue."""
    paths = fetch_volumes(context, identifier, target)

    def human() -> None:
        for path in paths:
            context.console.print(str(path), soft_wrap=True)

    context.result({"id": identifier, "archives": [str(path) for path in paths]}, human)


def fetch_volumes(context: Context, identifier: str, target: Path) -> list[Path]:
    """Copy every volume into a folder, check its hash, record each run in the log, and tell the person once a copy.

    Raises: NotAllowed, WrongState.
    """
    if not (context.settings.embedded or context.settings.allow_fetch):
        hint = "set PORTABILITY_ALLOW_FETCH=1 if operators may have copies of people's archives"
        raise NotAllowed("fetch is disabled outside the embedded stack", hint=hint)
    with reading(context.engine) as connection:
        row = exports.get(connection, identifier)
        archive = earlier_revisions.archive(connection, row)
        volumes = exports.archive_volumes(connection, row)
    if not archive:
        raise WrongState(f"export {identifier} is {row['state']}; it must be ready")
    actor = actors.acting(context.settings, None)
    if context.settings.needs_approvals:
        with writing(context.engine) as connection:
            is_approved = approvals.may_fetch(connection, identifier, actor=actor)
        if not is_approved:
            hint = f"ask a colleague to run `portability approve {identifier}`; then fetch again within a day"
            raise NotAllowed("a copy of a person's archive needs a second person's approval", hint=hint)
    # Before the person gets a message about a copy that could not be made.
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = target / f"{identifier}.begun"
    with naming(target):
        occasion = _copy_begun(mark, archive["revision"])
    with writing(context.engine) as connection:
        outbox.queue(connection, MessageKind.FETCHED, identifier, occasion=occasion)
        audit.record(
            connection, "export.fetched", actor=str(actor), export_id=identifier, detail={"volumes": len(volumes)}
        )
    with context.bars(*Progress.get_default_columns()) as bars, naming(target):
        task = bars.add_task("fetching", total=sum(volume["bytes"] for volume in volumes))
        paths = [_fetch(context.storage, volume, target, lambda n: bars.advance(task, n)) for volume in volumes]
    # Only now it counts as delivered (portability/retention/erasure_holds.py).
    with writing(context.engine) as connection:
        detail: audit.Detail = {"revision": archive["revision"]}
        audit.record(connection, "fetch.completed", actor=str(actor), export_id=identifier, detail=detail)
    mark.unlink(missing_ok=True)
    return paths


def _copy_begun(mark: Path, revision: int) -> str:
    """Return the occasion of the message about the copy that a killed run has left in the folder, else about a new one.

    Raises: OSError if the folder cannot be written.
    """
    kept = mark.read_text(errors="replace") if mark.is_file() else ""
    # A later revision has other data: the person hears of a copy of it.
    if re.fullmatch(rf"fetch_{revision}_[0-9a-f]{{16}}", kept):
        return kept
    occasion = f"fetch_{revision}_{secrets.token_hex(8)}"
    papers.write(mark, occasion.encode())
    return occasion


def _fetch(storage: Storage, volume: RowMapping, target: Path, advance: Callable[[int], None]) -> Path:
    path = target / f"{volume['name']}.zip"
    if path.exists() and _sha256(path) == volume["sha256"]:
        advance(volume["bytes"])
        return path
    partial = path.with_suffix(".zip.part")
    # What an earlier run has left may have been damaged on this disk: all is read again before storage is blamed.
    for is_continued in (True, False) if partial.exists() else (False,):
        found = _completed(storage, volume, partial, advance)
        if found == volume["sha256"]:
            return partial.replace(path)
        partial.unlink()
        if is_continued:
            advance(-volume["bytes"])
    raise ObjectChanged(f"{path.name}: the bytes from storage have another SHA-256 than those that were stored")


def _completed(storage: Storage, volume: RowMapping, partial: Path, advance: Callable[[int], None]) -> str:
    """Copy the rest of a volume into a partial file; returns the SHA-256 of the whole file."""
    digest = hashlib.sha256()
    with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            advance(len(block))
        for block in storage.read(volume["object_key"], file.tell()):
            digest.update(block)
            file.write(block)
            advance(len(block))
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wake_for(context: Context, identifier: str) -> None:
    """Wake a worker for an export; without Redis the clock does so later, and a note is printed."""
    try:
        wake(open_queue(connect(redis_url(context.settings))), identifier)
    except QueueUnavailable as error:
        context.note(f"stored; {error}: {error.hint}")


def show_export(context: Context, identifier: str, **more: JSON) -> None:
    """Print the view of an export that all commands end with; as JSON with `more`."""
    with reading(context.engine) as connection:
        document = exports.view(connection, identifier)
        row = exports.get(connection, identifier)
        lines = exports.ledger(connection, identifier)
        gaps = exports.gaps(connection, identifier)
        volumes = exports.stored_volumes(connection, identifier)
        causes, failed = exports.review(connection, row), reversions.last_failed(connection, row)
        alone = [
            {"reason": each["reason"], "by": each["decided_by"], "at": rfc3339(each["decided_at"])}
            for each in approvals.alone(connection, identifier)
        ]

    def human() -> None:
        _print_report(context, row, document["alarm"], causes, lines, gaps, volumes)
        if failed:
            line = f"revision {failed.revision} failed at {rfc3339(failed.at)} [{failed.code}]"
            context.console.print(f"{line}; the archive is that of revision {row['revision']}")
        for each in alone:
            context.console.print("approved without a second person by {by} at {at}: {reason}".format_map(each))

    context.result({**document, "approved_alone": [*alone], **more}, human)


def _print_report(
    context: Context,
    row: RowMapping,
    alarm: JSON,
    causes: Sequence[str],
    lines: Sequence[RowMapping],
    gaps: Sequence[RowMapping],
    volumes: Sequence[RowMapping],
) -> None:
    say = context.console.print
    context.say(f"export {row['id']}: ", (state_words(row), "bold"))
    due = f"due {row['due_at']:%Y-%m-%d %H:%M} UTC{_due_by(row)}{_alarm(alarm)}"
    say(f"{row['profile']}, subject: {row['subject_kind']}, {due}")
    if causes:
        say(f"a second person must approve it first: {', '.join(causes)}")
    if row["error_code"] is not None:
        say(f"{row['error_message']} [{row['error_code']}]")
    _print_ledger(context, lines)
    if gaps:
        shown_rows = [(f"{gap['exporter']}/{gap['dataset']}", gap["what"], gap["reason"]) for gap in gaps[:GAPS_SHOWN]]
        context.table(f"Gaps: {len(gaps)}", ("dataset", "what", "reason"), shown_rows)
    for volume in volumes:
        say(f"{volume['name']}.zip  {volume['bytes']:,} bytes", soft_wrap=True)
        say(f"  sha256 {volume['sha256']}", soft_wrap=True)


def _print_ledger(context: Context, lines: Sequence[RowMapping]) -> None:
    if not lines:
        return
    waiting = [line for line in lines if line["state"] == DatasetState.NEEDS_INSTRUCTION]
    shown_rows = [
        (f"{line['exporter']}/{line['dataset']}", line["state"], line["records"], line["files"], line["gaps"])
        for line in lines
    ]
    context.table("Ledger", ("dataset", "state", "records", "files", "gaps"), shown_rows)
    remarks: Counter[str] = sum((Counter(line["remarks"] or {}) for line in lines), Counter())
    for code, count in sorted(remarks.items()):
        context.console.print(f"{quantity(count, 'record')}: {code}")
    if waiting:
        tenants = sorted({tenant for line in waiting for tenant in line["tenants"] or ()})
        asked = ", ".join(tenants)
        context.console.print(f"datasets that need an instruction by {asked}: {len(waiting)}")


def _due_by(row: RowMapping) -> str:
    """Return the law that set the due date, and whether the law states no figure."""
    if not row["due_regime"]:
        return ""
    policy = ", a period of this deployment's policy" if row["due_figure"] == FigureOrigin.POLICY else ""
    return f" ({row['due_regime']}{policy})"


def _alarm(alarm: JSON) -> str:
    shown_rows: Mapping[str, str] = {
        Alarm.HALF: ", half of the time has passed",
        Alarm.MOST: ", most of the time has passed",
        Alarm.MISSED: ", missed",
    }
    return shown_rows.get(str(alarm), "")

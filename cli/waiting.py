"""Wait for exports: show their progress, and stop early if they are blocked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import RowMapping

from cli.context import Context, start_hint
from cli.quantities import quantity
from portability.database.engine import reading
from portability.errors import QueueUnavailable, Timeout
from portability.queue import connect, count_workers, open_queue, redis_url
from portability.requests import exports, slices
from portability.requests.states import OPEN, ExportState

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 30.0
"""How long an export may be blocked before the wait ends."""
LINE_SECONDS = 5.0
"""Shortest time between two lines about an export, if there is no terminal for a progress bar."""
OPERATOR_HINT = "`portability doctor` shows which service does not answer"


@dataclass(frozen=True, slots=True)
class BlockedReason:
    """Why an export makes no progress, and what to do about it."""

    reason: str
    hint: str


@dataclass(slots=True)
class WatchedExport:
    """An export as it was last read from the database."""

    identifier: str
    row: RowMapping = field(init=False)
    done: Mapping[str, int | None] = field(init=False)
    blocked: BlockedReason | None = None
    blocked_since: float = 0.0
    """By the monotonic clock; while it is not blocked, the time of the last look."""
    printed: str = ""
    """The line that was printed last."""
    printed_at: float = 0.0

    def look(self, context: Context) -> None:
        """Read the export's state. Raises Timeout if it has been blocked for more than PATIENCE_SECONDS."""
        with reading(context.engine) as connection:
            self.row = exports.get(connection, self.identifier)
            parts = slices.of(connection, self.identifier)
            self.done = exports.progress(exports.ledger(connection, self.identifier), parts)
        self.blocked = _blocked(context, self.row, parts, has_read=bool(self.done["records"] or self.done["files"]))
        now = time.monotonic()
        if not self.blocked:
            self.blocked_since = now
        elif now - self.blocked_since > PATIENCE_SECONDS:
            raise Timeout(
                f"export {self.identifier} has made no progress for {PATIENCE_SECONDS:.0f} s: {self.blocked.reason}",
                hint=f"{self.blocked.hint}; the export continues: `portability show {self.identifier}`",
            )

    @property
    def line(self) -> str:
        """State and counts, and the reason if the export is blocked."""
        done = self.done
        done = self.done
        files = quantity(done["files"] or 0, "file")
        text = f"{self.row['state']}: {done['datasets']}/{done['datasets_expected']} datasets, {files}"
        return f"{text}; {self.blocked.reason}" if self.blocked else text


def wait_for(context: Context, identifiers: Sequence[str]) -> None:
    """Show the progress of exports until all have ended. Interrupting the wait does not stop them.

    Raises: Timeout if an export is blocked: by a source or by the storage, or because no worker is running.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"), TimeElapsedColumn())
    with context.bars(*columns) as bars:
        tasks = {
            bars.add_task(f"export {name[:8]}", status="queued"): WatchedExport(name, blocked_since=time.monotonic())
            for name in identifiers
        }
        while tasks:
            for task, watched in list(tasks.items()):
                watched.look(context)
                done = watched.done
                bars.update(task, status=watched.line, completed=done["records"] or 0, total=done["records_expected"])
                if bars.disable:
                    _print_line(context, watched)
                if watched.row["state"] not in OPEN:
                    del tasks[task]
            if tasks:
                time.sleep(POLL_SECONDS)


def _print_line(context: Context, watched: WatchedExport) -> None:
    """Print the line if it has changed: at once if the state or the reason changed, else every LINE_SECONDS."""
    now, line = time.monotonic(), watched.line
    is_news = line.partition(":")[0] != watched.printed.partition(":")[0] or "; " in line
    if line != watched.printed and (is_news or now - watched.printed_at > LINE_SECONDS):
        context.note(f"export {watched.identifier} {line}")
        watched.printed, watched.printed_at = line, now


def _blocked(context: Context, row: RowMapping, parts: Sequence[RowMapping], *, has_read: bool) -> BlockedReason | None:
    if row["state"] not in OPEN or row["state"] == ExportState.REVIEW:
        return None
    if row["error_code"] is not None:
        return BlockedReason(f"{row['error_message']} [{row['error_code']}]", OPERATOR_HINT)
    if row["state"] == ExportState.QUEUED:
        return _no_worker(context)
    source = slices.waits_for(parts)
    if not source or has_read:
        return None
    name, code = source
    seen = f"fails [{code}]" if code else "has not answered yet"
    return BlockedReason(f"the source of {name} {seen}", "look at the source, and check it with `portability doctor`")


def note_no_worker(context: Context) -> None:
    """Say that exports which were begun and are cancelled do not end, where no worker runs that could end them."""
    if blocked := _no_worker(context):
        context.note(f"a cancelled export ends at its worker, and {blocked.reason}: {blocked.hint}")


def _no_worker(context: Context) -> BlockedReason | None:
    """Return that no worker runs, or that Redis does not answer; None: a worker runs."""
    try:
        if count_workers(open_queue(connect(redis_url(context.settings)))):
            return None
    except QueueUnavailable as error:
        return BlockedReason(f"{error} [{error.code}]", error.hint)
    return BlockedReason("no worker is running", start_hint(context, "worker"))

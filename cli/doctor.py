"""`portability doctor`: checks everything that an export needs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from cli import (
    checks,
    database_check,
    feeds_check,
    inbox_check,
    journal_check,
    pooler_check,
    running_checks,
    settings_check,
    storage_waits,
)
from cli.audit import FILE
from cli.audit_check import audit_head
from cli.checks import Check, Seen
from cli.context import Context, beginning
from portability import plugins
from portability.api import JSON
from portability.api.errors import PortabilityError, StorageError, StorageUnavailable
from portability.api.storages import LifecycleStorage
from portability.database import causes
from portability.database.engine import reading
from portability.errors import BadSource, DatabaseUnavailable
from portability.queue import check_writable, evicting_policy, open_queue
from portability.requests.forms import DEFAULT_FORMATS
from portability.sources import PlatformSources
from portability.storage import named_by, open_storage
from portability.storage.local import LocalStorage
from portability.storage.source_files import RECORDINGS

NO_REFERENCE = "PORTABILITY_SOURCES is set, without a reference platform"
AUDIT_HEAD = "audit head"
STORAGE = "archive storage"
ASKING_STORAGE = frozenset({"lifecycle", "bucket access", "bucket encryption", "journal"})
"""Checks that would wait for the storage of archives again, for minutes where it hangs."""
NOT_ASKED = Seen("not asked: the archive storage does not answer")
UPLOAD_DAYS = 7
"""Longer than the longest upload of a volume, and short enough to cost little."""
RULE_HINT = "abandoned uploads cost money until a sweep finds them; see docs/storage.md#recommended-bucket-rules"

RECORDINGS_HINT = "name the storage of recordings and attachments in PORTABILITY_RECORDINGS_URL, or mount its folder"


@click.command()
@click.option("--fix", is_flag=True, help="Upgrade the database's schema, and set the bucket's lifecycle rule.")
@click.option("--before-start", is_flag=True, help="Leave out the heartbeats of workers and clock, which start later.")
@click.option("--head", type=FILE, help="A signed head that was stored elsewhere (`portability audit head`).")
@beginning
def doctor(context: Context, *, fix: bool, before_start: bool, head: Path | None) -> None:
    """Check settings, databases, storage, queue, keys, plug-ins, sources, processes, mail, login; one line each."""
    chosen = CHECKS | {
        AUDIT_HEAD: partial(audit_head, head=head),
        "journal": partial(journal_check.journal, has_clock=not before_start),
    }
    names = [name for name in chosen if not (before_start and name in RUNNING)]
    findings: dict[str, Seen | PortabilityError] = {}
    for name in names:
        is_away = name in ASKING_STORAGE and isinstance(findings.get(STORAGE), StorageUnavailable)
        findings[name] = NOT_ASKED if is_away else _look(name, chosen[name], context, fix=fix)
    healthy = all(isinstance(finding, Seen) for finding in findings.values())
    document: JSON = {
        "ok": healthy,
        "fixed": [name for name, finding in findings.items() if isinstance(finding, Seen) and finding.fixed],
        "checks": [_finding(name, finding) for name, finding in findings.items()],
    }
    rows = [(name, _result(finding), finding.hint) for name, finding in findings.items()]
    context.result(document, lambda: context.table("Doctor", ("check", "result", "hint"), rows))
    if not healthy:
        raise SystemExit(1)


def _finding(name: str, finding: Seen | PortabilityError) -> JSON:
    if isinstance(finding, Seen):
        return {"check": name, "ok": True, "result": finding.result, "hint": finding.hint or None}
    return {"check": name, "ok": False, "code": finding.code, "message": str(finding), "hint": finding.hint}


def _result(finding: Seen | PortabilityError) -> str:
    return finding.result if isinstance(finding, Seen) else f"{finding} [{finding.code}]"


def _look(name: str, check: Check, context: Context, *, fix: bool) -> Seen | PortabilityError:
    try:
        mended = FIXES[name](context) if fix and name in FIXES else None
        return mended or check(context) or Seen()
    except PortabilityError as error:
        return error


def _source(context: Context) -> Seen | None:
    if not context.settings.has_reference:
        return Seen(f"not used: {NO_REFERENCE}")
    source = PlatformSources(context.settings).database
    try:
        with reading(source) as connection:
            connection.execute(text("SELECT 1 FROM users LIMIT 1"))
    except (DatabaseUnavailable, ProgrammingError) as error:
        failed = error.__cause__ if isinstance(error, DatabaseUnavailable) else error
        cause = causes.found(failed.orig if isinstance(failed, DBAPIError) else failed)
        seen = f"the platform's database does not answer, or has no table users: {cause.seen}"
        raise BadSource(seen, hint=cause.hint) from None
    finally:
        source.dispose()
    return None


def _sources(context: Context) -> Seen:
    try:
        _source(context)
    except BadSource:
        return Seen("not read: the platform's database does not answer")  # its own check reports it
    return running_checks.sources(context)


def _storage(context: Context) -> Seen | None:
    try:
        storage, seen = context.storage, None
    except DatabaseUnavailable:
        # Its own check reports it. The storage is asked all the same: both may be away for one cause.
        storage = open_storage(context.settings.storage, sse=context.settings.storage_sse)
        seen = Seen("ok, but not compared with the control database, which does not answer")
    storage_waits.ask(storage.check)
    return seen


def _recordings(context: Context) -> Seen | None:
    if not context.settings.has_recordings:
        return Seen(f"not used: {NO_REFERENCE}")
    with named_by(RECORDINGS):
        files = open_storage(context.settings.recordings)
        storage_waits.ask(lambda: next(iter(files.list()), None))
    if not isinstance(files, LocalStorage) or files.folder.is_dir():
        return None
    # A worker cannot tell a folder that is not mounted from a typing error: each file would be a gap of its dataset.
    seen = f"there is no folder {files.folder}: no file can be read from it"
    if context.settings.recordings_url:
        raise StorageUnavailable(seen, hint=RECORDINGS_HINT)
    return Seen(seen, RECORDINGS_HINT)


def _queue(context: Context) -> Seen | None:
    queue = open_queue(context.redis)
    check_writable(queue)
    if policy := evicting_policy(queue):
        seen = f"ok, but it evicts keys when its memory is full ({policy}): heartbeats and wake-ups, too"
        return Seen(seen, "set `maxmemory-policy noeviction`; see docs/operate.md")
    return None


def _plugins(context: Context) -> None:
    _ = context.exporters
    plugins.load_formats(DEFAULT_FORMATS)


def _lifecycle(context: Context) -> Seen:
    """Check the lifecycle rule. Never a fault: exports work without it; `archive storage` reports storage faults."""
    try:
        storage = open_storage(context.settings.storage)
        if not isinstance(storage, LifecycleStorage):
            return Seen("not needed: the sweep cleans a folder")
        days = storage.upload_days()
    except PortabilityError as error:
        return Seen(f"unknown: {error} [{error.code}]", RULE_HINT)
    if days is None:
        return Seen("no rule aborts abandoned uploads", "`portability doctor --fix` sets one")
    return Seen(f"ok: abandoned uploads are aborted after {days} days")


def _set_lifecycle(context: Context) -> Seen | None:
    storage = open_storage(context.settings.storage)
    if not isinstance(storage, LifecycleStorage):
        return None
    try:
        if storage.upload_days() is not None:
            return None
        storage.set_upload_days(UPLOAD_DAYS)
    except StorageError as error:
        return Seen(f"not set: {error} [{error.code}]", RULE_HINT)
    return Seen(f"fixed: abandoned uploads are aborted after {UPLOAD_DAYS} days", fixed=True)


CHECKS: dict[str, Check] = {
    "settings": settings_check.settings,
    "control database": database_check.control_database,
    "platform database": _source,
    "poolers": pooler_check.poolers,
    STORAGE: _storage,
    "lifecycle": _lifecycle,
    "recordings": _recordings,
    "queue": _queue,
    "signing key": checks.signing_key,
    "people's keys": checks.people_keys,
    "approvals": checks.break_glass,
    "proxy": checks.proxy,
    "plugins": _plugins,
    "sources": _sources,
    "coverage": running_checks.coverage,
    "workers": running_checks.workers,
    "clock": running_checks.clock,
    "notice": checks.notice_register,
    "directory": checks.directory,
    "inbox": inbox_check.inbox,
    "mail": checks.mail_server,
    "sms": checks.sms_gateway,
    "login": checks.login,
    "bucket access": checks.bucket_access,
    "bucket encryption": checks.bucket_encryption,
    "regions": checks.regions,
    "feeds": feeds_check.feeds,
    "clocks": checks.clocks,
    AUDIT_HEAD: audit_head,
    "journal": journal_check.journal,
}
RUNNING = frozenset({"workers", "clock"})
"""Checks of processes, which a release step runs before."""
FIXES: dict[str, Check] = {"control database": database_check.upgrade_schema, "lifecycle": _set_lifecycle}
"""Fixes that are safe without asking. They run before the check, which decides unless the fix has a result."""

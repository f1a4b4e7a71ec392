"""`portability erase | holds`: delete a subject's stored data, or protect it from deletion."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from cli.context import Context, beginning, one_of, shared
from cli.permission import AS, permit_any
from cli.quantities import quantity
from cli.receiving_service import database_of, files_of
from cli.unknown_subjects import is_unknown, note_unknown
from cli.waiting import note_no_worker
from portability.api import SubjectKind
from portability.api.errors import BadInput, PortabilityError, StorageError
from portability.database.engine import reading, writing
from portability.errors import NoSigningKey
from portability.people import subjects
from portability.requests.dates import end_of_day
from portability.requests.policy import Action
from portability.retention import erasure_holds, erasure_previews, erasures, named_rows
from portability.retention import legal_holds as standing
from portability.retention.erasure_holds import ErasureGround
from portability.retention.erasure_previews import ErasurePreview
from portability.retention.erasures import ErasureState, Whom
from portability.storage import open_storage
from receiver.importer.faults import BadTarget, TargetUnavailable
from receiver.inbox.forget import forget_imports
from worker.clock import erasure as work

NOTHING_AT_ALL = (
    "nothing of this subject is stored: it was erased before, or was never known here; "
    "if there should be something, check kind, id and --tenant"
)
ORDERED = (
    "companies have instructions about this id, and may have a contact with it: the instructions stay; "
    "`portability instructions list` shows them"
)
NOTHING_STORED = "no request of this subject is stored: if there should be one, check kind, id and --tenant"


@click.command()
@click.option("--subject", required=True, help="user:ID, contact:ID, tenant:ID, email:ADDRESS or phone:NUMBER.")
@click.option("--tenant", help="The contact's tenant.")
@click.option("--reason", required=True, help="The request and its reference; not a person's name.")
@click.option("--dry-run", is_flag=True, help="Only report what would be erased, who informed, and what holds it.")
@click.option("--ground", type=one_of(ErasureGround), help="Why data is erased that the person does not have yet.")
@click.option("--cancel-running", is_flag=True, help="Cancel exports that have not ended; their workers end them.")
@AS
@shared
def erase(
    context: Context,
    subject: str,
    tenant: str | None,
    reason: str,
    ground: str | None,
    claimed: str | None,
    *,
    dry_run: bool,
    cancel_running: bool,
) -> None:
    """Erase all stored data of one subject: archives, requests, messages. Run it again to continue."""
    actor, whom = permit_any(context, claimed, Action.ERASE), Whom.parse(subject, tenant)
    how: dict[str, Any] = {"cancel_running": cancel_running, "ground": ground, "reason": reason}
    if dry_run:
        _report(context, whom, how)
        return
    with reading(context.engine) as connection:
        has_exports = erasure_previews.extent(connection, whom).exports
    with writing(context.engine) as connection:
        erasure_id = erasures.begin_if_stored(connection, whom, actor=str(actor), **how)
    storage_error = _carry_on(context, erasure_id) if erasure_id else None
    entries = _forget_imports(context, whom, erasure_id)
    has_orders = _forget_orders(context, whom)
    if (entries or has_orders) and not erasure_id:
        # For the log, which says that something was erased; it is gone already.
        with writing(context.engine) as connection:
            erasure_id = erasures.begin(connection, whom, actor=str(actor), **how)
        storage_error = _carry_on(context, erasure_id)
    if not erasure_id:
        context.note(NOTHING_AT_ALL)
    elif not (has_exports or entries or has_orders):
        context.note(NOTHING_STORED)
    _report_end(context, whom, erasure_id, entries, storage_error)


def _report_end(
    context: Context, whom: Whom, erasure_id: str | None, entries: int, storage_error: StorageError | None
) -> None:
    """Report an erasure; without an id there was nothing to erase."""
    if not erasure_id:
        nothing = {**erasures.view_of_none(whom), "journal_entries": 0}
        context.result(nothing, lambda: context.console.print("there is nothing to erase"))
        return
    with reading(context.engine) as connection:
        row = erasures.get(connection, erasure_id)
    if row["state"] != ErasureState.DONE:
        context.note(f"begun; the clock continues it{f': {storage_error}' if storage_error else ''}")
        with reading(context.engine) as connection:
            runs = bool(erasure_previews.extent(connection, whom).running)
        if runs:
            note_no_worker(context)
    counts = [quantity(row[f"{noun}s"], noun) for noun in ("export", "volume", "byte")]
    counts += [f"entries of import journals: {entries:,}"] if entries else []
    text = f"{erasure_id} is {row['state']}: {', '.join(counts)}"
    context.result({**erasures.view(row), "journal_entries": entries}, lambda: context.console.print(text))


def _forget_imports(context: Context, whom: Whom, erasure_id: str | None) -> int:
    """Delete what the platform's database remembers of imports for the subject; returns the number of entries.

    It is repeated by each call of the command, because the clock does not know that database.

    Raises: BadTarget, TargetUnavailable, StorageError, BadInput; an erasure that has begun goes on.
    """
    into, files = database_of(context.settings), files_of(context.settings)
    try:
        opening = (lambda: open_storage(files)) if files else (lambda: None)
        return forget_imports(into, whom.name, opening, waits=context.note) if into else 0
    except (BadTarget, TargetUnavailable, StorageError, BadInput) as error:
        begun = f"erasure {erasure_id} has begun" if erasure_id else "nothing else of the subject is stored"
        seen = f"{begun}, and the journals of imports about the subject are left: {error}"
        raise type(error)(seen, hint=_hint_of(error)) from None


def _hint_of(error: PortabilityError) -> str:
    """Return what to do about journals of imports that an erasure could not delete."""
    if isinstance(error, StorageError):
        what = "the storage of PORTABILITY_INBOX_FILES answers"
    elif isinstance(error, BadTarget | TargetUnavailable):
        what = "the platform's database answers"
    else:
        what = "PORTABILITY_INBOX_FILES is the storage of the import"
    return f"run the same command again when {what}; the clock deletes all else"


def _forget_orders(context: Context, whom: Whom) -> bool:
    """Delete instructions about a user as staff, where no source knows a contact with that id; returns whether any.

    It is repeated by each call of the command, because the clock does not know the sources.
    """
    if whom.kind != SubjectKind.USER:
        return False
    with reading(context.engine) as connection:
        tenants = named_rows.ordering(connection, whom.id)
    ours = [tenant for tenant in tenants if is_unknown(context, SubjectKind.CONTACT, whom.id, tenant)]
    if len(ours) < len(tenants):
        context.note(ORDERED)
    with writing(context.engine) as connection:
        return named_rows.forget_orders_by_hand(connection, whom.id, ours)


def _carry_on(context: Context, erasure_id: str) -> StorageError | None:
    """Do at once what is possible; the clock does the rest."""
    storage_error: StorageError | None = None
    try:
        work.advance(context.engine, lambda: context.storage, erasure_id)
    except StorageError as error:
        storage_error = error
    try:
        work.attest(context.engine, context.settings.keys, context.settings.iss)
    except NoSigningKey as error:
        context.note(f"not attested yet: {error}")
    return storage_error


def _report(context: Context, whom: Whom, how: dict[str, Any]) -> None:
    """Report what the erasure would do now, and what holds it; nothing changes. Raises ReasonRequired, OnLegalHold."""
    with reading(context.engine) as connection:
        found = erasure_previews.preview(connection, whom, **how)
    if not found.extent.exports:
        context.note(NOTHING_STORED)
    context.result({"dry_run": True, **found.view()}, lambda: _print_report(context, found))


def _print_report(context: Context, found: ErasurePreview) -> None:
    extent = found.extent
    exports, volumes = quantity(extent.exports, "export"), quantity(extent.volumes, "volume")
    lines = [f"would erase {exports} with {volumes}, {quantity(extent.bytes, 'byte')}"]
    lines += [f"exports that have not ended: {extent.running:,}"] if extent.running else []
    lines += [f"would join erasure {found.begun}, which runs"] if found.begun else []
    if found.refusal:
        lines.append(f"would be refused now: [{found.refusal.code}] {found.refusal}; {found.refusal.hint}")
    lines += [f"export {identifier} is not delivered: {reason}" for identifier, reason in found.held_by]
    for sent in found.transfers:
        told = "would be informed" if sent.informed else "would not be informed: it has fetched nothing"
        end = ", which would be revoked" if sent.ends else ""
        lines.append(f"transfer {sent.id}{end}: {sent.recipient} {told}")
    for line in lines:
        context.console.print(line)


@click.group()
def holds() -> None:
    """Legal holds: subjects that must not be erased, for a legal reason."""


@holds.command("add")
@click.option("--subject", required=True, help="user:ID, contact:ID, tenant:ID, email:ADDRESS or phone:NUMBER.")
@click.option("--tenant", help="The contact's tenant.")
@click.option("--reason", required=True, help="The case and its reference; not a person's name.")
@click.option("--until", help="Its last day, or an RFC 3339 time, when it ends; default: when it is released.")
@AS
@beginning
def add(
    context: Context, subject: str, tenant: str | None, reason: str, until: str | None, claimed: str | None
) -> None:
    """Put a subject under legal hold: it is neither erased nor purged until the hold ends."""
    actor, end = permit_any(context, claimed, Action.HOLD), end_of_day(until, "until", context.settings.place)
    with writing(context.engine) as connection:
        hold_id = standing.add(connection, subject=subject, tenant=tenant, reason=reason, actor=str(actor), until=end)
    note_unknown(context, *subjects.parse(subject, tenant))
    context.result({"id": hold_id}, lambda: context.console.print(hold_id))


@holds.command("list")
@AS
@shared
def list_holds(context: Context, claimed: str | None) -> None:
    """List holds, ended holds too."""
    permit_any(context, claimed, Action.HOLD)
    with reading(context.engine) as connection:
        found = [standing.view(connection, row) for row in standing.rows(connection)]
    shown = ("id", "subject", "subject_kind", "stands", "reason", "until", "created_at", "released_at")
    context.result(list(found), lambda: context.table("Holds", shown, [_cells(one, shown) for one in found]))


@holds.command("subjects")
@AS
@shared
def list_subjects(context: Context, claimed: str | None) -> None:
    """List the subjects whose data must not be erased now: on hold, or with a request that is not delivered."""
    permit_any(context, claimed, Action.ERASURE_HOLDS)
    with reading(context.engine) as connection:
        found = [one.view() for one in erasure_holds.subjects(connection)]
    shown = ("subject", "tenant", "reasons", "exports")
    context.result(list(found), lambda: context.table("Subjects", shown, [[one[n] for n in shown] for one in found]))


@holds.command("permit")
@click.argument("identifier", metavar="EXPORT")
@click.option("--ground", required=True, type=one_of(ErasureGround), help="Why it may be erased before the delivery.")
@AS
@shared
def permit_erasure(context: Context, identifier: str, ground: str, claimed: str | None) -> None:
    """Record an officer's ground: the data may be erased although the person does not have it yet."""
    actor = permit_any(context, claimed, Action.ERASE)
    with writing(context.engine) as connection:
        erasure_holds.permit(connection, [identifier], ground, actor=str(actor))
    text = f"{identifier} no longer prevents an erasure"
    context.result({"id": identifier, "ground": ground}, lambda: context.console.print(text))


@holds.command("release")
@click.argument("identifier", metavar="HOLD")
@AS
@shared
def release(context: Context, identifier: str, claimed: str | None) -> None:
    """Release a legal hold."""
    actor = permit_any(context, claimed, Action.HOLD)
    with writing(context.engine) as connection:
        standing.release(connection, identifier, actor=str(actor))
    context.result({"id": identifier}, lambda: context.console.print(f"{identifier} is released"))


def _cells(one: dict[str, Any], shown: tuple[str, ...]) -> list[object]:
    times = ("until", "created_at", "released_at")
    return [datetime.fromisoformat(one[n]) if n in times and one[n] else one[n] for n in shown]

"""`portability erase | holds`: take away what is kept of a subject, or keep it from being taken away."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from cli.context import Context, shared
from cli.permission import AS, permit_any
from portability import erasures, exclusion, requests
from portability import holds as standing
from portability.db import reading, writing
from portability.erasures import Extent, State, Whom
from portability.errors import NoSigningKey, StorageError
from portability.policy import Action
from worker import erase as work


@click.command()
@click.option("--subject", required=True, help="user:ID, contact:ID or tenant:ID.")
@click.option("--tenant", help="The contact's tenant.")
@click.option("--reason", required=True, help="The request and its reference; no name of a person.")
@click.option("--dry-run", is_flag=True, help="Only tell what there is.")
@click.option("--cancel-running", is_flag=True, help="Cancel exports that have not ended, and wait for their workers.")
@AS
@shared
def erase(
    context: Context,
    subject: str,
    tenant: str | None,
    reason: str,
    claimed: str | None,
    *,
    dry_run: bool,
    cancel_running: bool,
) -> None:
    """Erase all that is kept here of one subject: archives, requests, messages. Run again, it goes on."""
    actor, whom = permit_any(context, claimed, Action.ERASE), Whom.parse(subject, tenant)
    with reading(context.engine) as connection:
        extent = erasures.extent(connection, whom)
        if dry_run:
            exclusion.check_not_held(connection, whom.kind, whom.id, whom.tenant)
    if dry_run:
        found = {"exports": extent.exports, "running": extent.running, "volumes": extent.volumes, "bytes": extent.bytes}
        context.result({"dry_run": True, **found}, lambda: _tell(context, extent))
        return
    with writing(context.engine) as connection:
        erasure_id = erasures.begin(connection, whom, reason=reason, actor=str(actor), cancel_running=cancel_running)
    trouble = _carry_on(context, erasure_id)
    with reading(context.engine) as connection:
        row = erasures.get(connection, erasure_id)
    if row["state"] != State.DONE:
        context.note(f"begun; the clock goes on with it{f': {trouble}' if trouble else ''}")
    told = f"{erasure_id} is {row['state']}: {row['exports']} exports, {row['volumes']} volumes, {row['bytes']:,} bytes"
    context.result(erasures.view(row), lambda: context.console.print(told, markup=False))


def _carry_on(context: Context, erasure_id: str) -> StorageError | None:
    """Do at once what can be done at once; the clock does the rest."""
    trouble: StorageError | None = None
    try:
        work.advance(context.engine, lambda: context.storage, erasure_id)
    except StorageError as error:
        trouble = error
    try:
        work.attest(context.engine, context.settings.keys, context.settings.iss)
    except NoSigningKey as error:
        context.note(f"not attested yet: {error}")
    return trouble


def _tell(context: Context, extent: Extent) -> None:
    told = f"would erase {extent.exports} exports with {extent.volumes} volumes, {extent.bytes:,} bytes"
    running = f"; {extent.running} have not ended" if extent.running else ""
    context.console.print(told + running, markup=False)


@click.group()
def holds() -> None:
    """Subjects that are kept from being erased, for a legal reason."""


@holds.command("add")
@click.option("--subject", required=True, help="user:ID, contact:ID or tenant:ID.")
@click.option("--tenant", help="The contact's tenant.")
@click.option("--reason", required=True, help="The case and its reference; no name of a person.")
@click.option("--until", help="When it ends by itself: a date or an RFC 3339 time; default: when it is released.")
@AS
@shared
def add(
    context: Context, subject: str, tenant: str | None, reason: str, until: str | None, claimed: str | None
) -> None:
    """Hold a subject: neither erased nor purged until then."""
    actor, end = permit_any(context, claimed, Action.HOLD), requests.moment(until, "until")
    with writing(context.engine) as connection:
        hold_id = standing.add(connection, subject=subject, tenant=tenant, reason=reason, actor=str(actor), until=end)
    context.result({"id": hold_id}, lambda: context.console.print(hold_id, markup=False))


@holds.command("list")
@AS
@shared
def list_holds(context: Context, claimed: str | None) -> None:
    """List holds, ended ones too."""
    permit_any(context, claimed, Action.HOLD)
    with reading(context.engine) as connection:
        found = [standing.view(connection, row) for row in standing.rows(connection)]
    shown = ("id", "subject", "subject_kind", "stands", "reason", "until", "created_at", "released_at")
    context.result(list(found), lambda: context.table("Holds", shown, [_cells(one, shown) for one in found]))


@holds.command("release")
@click.argument("identifier", metavar="HOLD")
@AS
@shared
def release(context: Context, identifier: str, claimed: str | None) -> None:
    """End a hold."""
    actor = permit_any(context, claimed, Action.HOLD)
    with writing(context.engine) as connection:
        standing.release(connection, identifier, actor=str(actor))
    context.result({"id": identifier}, lambda: context.console.print(f"{identifier} is released", markup=False))


def _cells(one: dict[str, Any], shown: tuple[str, ...]) -> list[object]:
    times = ("until", "created_at", "released_at")
    return [datetime.fromisoformat(one[n]) if n in times and one[n] else one[n] for n in shown]

"""`portability reconcile`: restores what the control database lost in a failover or a restore from a backup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click

from cli.context import Context, shared
from portability.api import JSON
from portability.api.times import rfc3339
from portability.database.engine import reading
from portability.journal import reconcile as journal
from portability.journal.reconcile import LostEvent, Reconciled
from portability.requests import actors

COLUMNS = ("event", "at", "action", "export", "outcome")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only report what would be done.")
@click.option("--force", is_flag=True, help="Continue without batches of the journal that are missing or damaged.")
@click.option("--earlier", is_flag=True, help="Show what was lost and found at earlier times.")
@shared
def reconcile(context: Context, *, dry_run: bool, force: bool, earlier: bool) -> None:
    """Compare the database with the journal in storage, restore what was lost, and let work continue.

    Run it after a failover or a restore when `portability doctor` says so. Nothing is deleted or mailed before.
    """
    if earlier:
        with reading(context.engine) as connection:
            found = Reconciled(journal.earlier(connection), ())
    else:
        actor = str(actors.acting(context.settings, None))
        keys_folder = context.settings.keys
        how = {"dry_run": dry_run, "force": force}
        found = journal.reconcile(context.engine, context.storage, keys_folder, actor=actor, **how)
    inform = [event for event in found.events if event.must_inform]
    document: JSON = {
        "dry_run": dry_run,
        "events": [_view(event) for event in found.events],
        "inform": sorted({event.about for event in inform if event.about}),
        "unusable": list(found.broken),
    }
    context.result(document, lambda: _print(context, found, inform))


def _view(event: LostEvent) -> JSON:
    named = {"event": event.event_id, "at": rfc3339(event.at), "action": event.action, "export": event.export_id}
    return {**named, "about": event.about, "outcome": event.outcome}


def _print(context: Context, found: Reconciled, inform: Sequence[LostEvent]) -> None:
    if not found.events:
        context.console.print("nothing is lost")
        return
    rows = [(event.event_id, event.at, event.action, event.export_id, event.outcome) for event in found.events]
    context.table("Events that the database had lost", COLUMNS, rows)
    counts = Counter(event.outcome for event in found.events)
    context.console.print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    if inform:
        affected = [(event.about, event.action, event.outcome) for event in inform]
        title = "People to inform: what they heard is not true any more"
        context.table(title, ("about", "action", "outcome"), affected)
    for key in found.broken:
        context.note(f"not used, because it is missing or damaged: {key}")

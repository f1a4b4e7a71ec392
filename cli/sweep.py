"""`portability sweep`: what dead workers left in storage, and what storage has lost."""

from __future__ import annotations

import click

from cli.context import Context, shared
from portability import policy
from portability.api import JSON
from worker.sweep import Report, sweep


@click.command("sweep")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--force", is_flag=True, help="Also where the storage looks like another one than the database means.")
@shared
def sweep_storage(context: Context, *, dry_run: bool, force: bool) -> None:
    """Remove what belongs to no export, and fail exports whose volumes are gone."""
    actor = str(policy.acting(context.settings, None))
    report = sweep(context.engine, context.storage, actor=actor, dry_run=dry_run, force=force)
    leftovers: list[JSON] = [
        {"kind": tally.kind, "count": tally.count, "bytes": tally.bytes, "kept": tally.kept} for tally in report.tallies
    ]
    lost: list[JSON] = [{"export": export, "volumes": numbers} for export, numbers in report.lost.items()]
    document: JSON = {"dry_run": dry_run, "leftovers": leftovers, "lost": lost}
    context.result(document, lambda: _tell(context, report, dry_run=dry_run))
    if report.kept:
        raise SystemExit(1)


def _tell(context: Context, report: Report, *, dry_run: bool) -> None:
    say = context.console.print
    found = [tally for tally in report.tallies if tally.count]
    if not found and not report.lost:
        say("nothing is left over, nothing is lost")
    if found:
        done = "would be removed" if dry_run else "removed"
        told = [(tally.kind, tally.count, f"{tally.bytes:,}", tally.kept or None) for tally in found]
        context.table(f"Left over, {done}", ("kind", "count", "bytes", "could not be removed"), told)
    if report.lost:
        failed = "would fail" if dry_run else "failed"
        told_lost = [(export, ", ".join(map(str, numbers))) for export, numbers in report.lost.items()]
        context.table(f"Lost volumes: their exports {failed}", ("export", "volumes"), told_lost)

"""`portability sweep`: removes remnants of dead workers from storage, and finds what storage has lost."""

from __future__ import annotations

import click

from cli.context import Context, shared
from portability.api import JSON
from portability.requests import actors
from worker.clock.sweep import SweepReport, sweep


@click.command("sweep")
@click.option("--dry-run", is_flag=True, help="Only report what would be done.")
@click.option(
    "--force", is_flag=True, help="Continue even if the storage seems to be another one than the database expects."
)
@shared
def sweep_storage(context: Context, *, dry_run: bool, force: bool) -> None:
    """Remove objects that belong to no export, and fail exports whose volumes are gone."""
    actor = str(actors.acting(context.settings, None))
    report = sweep(context.engine, context.storage, actor=actor, dry_run=dry_run, force=force)
    orphans: list[JSON] = [
        {"kind": tally.kind, "count": tally.count, "bytes": tally.bytes, "kept": tally.kept} for tally in report.tallies
    ]
    lost: list[JSON] = [{"export": export, "volumes": numbers} for export, numbers in report.lost.items()]
    document: JSON = {"dry_run": dry_run, "leftovers": orphans, "lost": lost}
    context.result(document, lambda: _print_report(context, report, dry_run=dry_run))
    if report.kept:
        raise SystemExit(1)


def _print_report(context: Context, report: SweepReport, *, dry_run: bool) -> None:
    say = context.console.print
    found = [tally for tally in report.tallies if tally.count]
    if not found and not report.lost:
        say("no orphans, no lost volumes")
    if found:
        done = "would be removed" if dry_run else "removed"
        orphan_rows = [(tally.kind, tally.count, f"{tally.bytes:,}", tally.kept or None) for tally in found]
        context.table(f"Orphans, {done}", ("kind", "count", "bytes", "could not be removed"), orphan_rows)
    if report.lost:
        failed = "would fail" if dry_run else "failed"
        lost_rows = [(export, ", ".join(map(str, numbers))) for export, numbers in report.lost.items()]
        context.table(f"Lost volumes: their exports {failed}", ("export", "volumes"), lost_rows)

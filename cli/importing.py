"""`portability import`: imports an archive of another provider into the reference schema; needs no deployment."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

from archive.verify.archives import volume_paths
from cli.context import Context, shared
from cli.verify import jwks_of_folder, load_jwks, printable
from portability.storage import open_storage
from portability.trust.signing import Jwks
from receiver.importer.archive_import import import_archive
from receiver.importer.contents import bags
from receiver.importer.records import Progress
from receiver.importer.report import DatasetResult, ImportReport
from receiver.verify.unpack import unpack

COLUMNS = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())


@click.command("import")
@click.argument("paths", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--into", metavar="URL", required=True, help="Database to import into: SQLite or PostgreSQL.")
@click.option("--files", metavar="URL", help="Storage for recordings and attachments; default: they are not imported.")
@click.option("--jwks", metavar="FILE|URL", help="The issuer's public keys: checks the signatures (again).")
@click.option("--dry-run", is_flag=True, help="Only report what would be done.")
@shared
def import_command(
    context: Context, paths: tuple[Path, ...], into: str, files: str | None, jwks: str | None, *, dry_run: bool
) -> None:
    """Import an archive of profile switch or portability into the reference schema. It can be repeated.

    DIR is the folder of `portability receive`, a folder of unpacked volumes, or the ZIPs themselves, which are verified
    first. Exit code 0: all records are imported, 1: some were refused, 2: nothing could be imported.
    """
    storage = None if files is None else open_storage(files)
    keys = None if jwks is None else Jwks.parse(load_jwks(jwks))
    with _folders(context, paths, keys) as folders, _started(context) as started:
        report = import_archive(folders, into, storage=storage, jwks=keys, dry_run=dry_run, started=started)
    context.result(report.as_json(), lambda: _print_report(context, report))
    if report.refused:
        sys.exit(1)


@contextmanager
def _folders(context: Context, paths: Sequence[Path], keys: Jwks | None) -> Iterator[list[Path]]:
    """Yield unpacked volumes; ZIPs are unpacked for the time of the import."""
    if not any(path.suffix == ".zip" or (path.is_dir() and any(path.glob("*.zip"))) for path in paths):
        yield [folder for path in paths for folder in bags(path)]
        return
    keys = keys or Jwks.parse(jwks_of_folder(context))
    total_bytes = 2 * sum(path.stat().st_size for path in volume_paths(paths))
    with tempfile.TemporaryDirectory(prefix="portability-import-") as scratch:
        with context.bars(*COLUMNS) as bar:
            task = bar.add_task("unpacking", total=total_bytes)
            unpacked = unpack(paths, keys, Path(scratch), progress=lambda size: bar.advance(task, size))
        yield list(unpacked.folders)


@contextmanager
def _started(context: Context) -> Iterator[Callable[[int], Progress]]:
    with context.bars(*COLUMNS) as bar:

        def started(total_bytes: int) -> Progress:
            task = bar.add_task("importing", total=total_bytes)
            return lambda size: bar.advance(task, size)

        yield started


def _print_report(context: Context, report: ImportReport) -> None:
    say = context.console.print
    columns = ("dataset", "table", "new", "same", "changed", "refused", "files")
    rows = [
        [f"{one.exporter}/{one.dataset}", one.table, one.new, one.same, one.changed, one.refused.total(), _files(one)]
        for one in report.datasets
    ]
    context.table(f"Export {report.export}, profile {report.profile}", columns, rows)
    refused = [
        [f"{one.exporter}/{one.dataset}", example.line, printable(example.id or ""), example.field, example.reason]
        for one in report.datasets
        for example in one.examples
    ]
    if refused:
        context.table("Refused", ("dataset", "line", "id", "field", "reason"), refused)
    for one in report.datasets:
        if one.ignored_fields:
            say(f"{one.exporter}/{one.dataset}: ignored fields {printable(', '.join(sorted(one.ignored_fields)))}")
    for left in report.left:
        say(f"left out {printable(left.exporter)}/{printable(left.dataset)}: {left.reason}")
    absent = sum(len(one.absent_columns) for one in report.datasets)
    say(f"{absent} columns are never in an archive: secrets and technical data; see docs/source-schema.md")
    if not report.complete:
        say(f"[bold]the archive states that it is not complete[/]: {report.gaps} gaps")
    say("nothing was changed" if report.dry_run else "imported")


def _files(one: DatasetResult) -> str:
    if one.files is None:
        return ""
    counts = one.files.as_json()
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)

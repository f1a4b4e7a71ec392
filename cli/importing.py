"""`portability import` and `portability imports`: archives of another provider, into the reference schema."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archive.names import is_zip
from cli.context import Context, beginning, one_of
from cli.verify import jwks_of_folder, load_jwks
from portability.api import JSON
from portability.files import naming
from portability.storage import named_by, open_storage
from receiver.binding.target import ImportTarget, parse_allowed, parse_people
from receiver.faults import NoRoom
from receiver.importer.archive_import import ImportOptions, import_archive
from receiver.importer.contents import bags
from receiver.importer.hooks import installed_hooks
from receiver.importer.records import Progress
from receiver.importer.report import ImportReport
from receiver.ledger.merge import OnConflict
from receiver.ledger.seals import JournalKey

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from portability.trust.signing import Jwks

FILES = "--files"
KEY_NAME = "import-journal.key"
TEMPORARY_HINT = "free some space there, or set TMPDIR to another disk, and run the same command again"
JOURNAL_DAYS_MAX = 36_500
"""A hundred years: a later day may have no date."""


@click.command("import")
@click.argument("paths", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--into", metavar="URL", required=True, help="Database to import into: SQLite or PostgreSQL.")
@click.option(
    "--as-tenant", metavar="ID", help="The company here whose data it is, or that the person's rows belong to."
)
@click.option("--as-user", metavar="ID", help="The account here whose data it is.")
@click.option("--as-contact", metavar="ID", help="The contact here whose data it is; with --as-tenant.")
@click.option("--as-email", metavar="ADDRESS", help="The address, without an account, whose data it is.")
@click.option(
    "--allow",
    multiple=True,
    metavar="DATASET.COLUMN[:THEIRS=OURS]",
    help="Import a column that is otherwise never imported, such as account/memberships.role:owner=admin.",
)
@click.option(
    "--map-user", multiple=True, metavar="THEIRS=OURS", help="An account in a company's archive, and the account here."
)
@click.option(FILES, metavar="URL", help="Storage for recordings and attachments; default: they are not imported.")
@click.option("--jwks", metavar="FILE|URL", help="The issuer's public keys: checks the signatures (again).")
@click.option("--dry-run", is_flag=True, help="Only report what would be done.")
@click.option(
    "--diff",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the difference by record and field, with values, as JSON Lines.",
)
@click.option(
    "--on-conflict",
    type=one_of(OnConflict),
    default=OnConflict.KEEP,
    show_default=True,
    help="What to do with values that were changed on both sides; fail: import nothing.",
)
@click.option(
    "--journal-key", metavar="FILE", type=click.Path(path_type=Path), help="Key of the journal; made if missing."
)
@click.option(
    "--journal-days",
    type=click.IntRange(1, JOURNAL_DAYS_MAX),
    default=30,
    show_default=True,
    help="How many days the import can be undone.",
)
@click.option(
    "--most-bytes",
    type=click.IntRange(min=1),
    help="Limit of the unpacked size of ZIPs; default: 100 times their size.",
)
@beginning
@named_by(FILES)
def import_command(
    context: Context,
    *,
    paths: tuple[Path, ...],
    into: str,
    as_tenant: str | None,
    as_user: str | None,
    as_contact: str | None,
    as_email: str | None,
    allow: tuple[str, ...],
    map_user: tuple[str, ...],
    files: str | None,
    jwks: str | None,
    dry_run: bool,
    diff: Path | None,
    on_conflict: str,
    journal_key: Path | None,
    journal_days: int,
    most_bytes: int | None,
) -> None:
    """Import an archive of profile switch or portability as the data of one company or person. It can be repeated.

    DIR is the folder of `portability receive`, a folder of unpacked volumes, or the ZIPs themselves, which are verified
    first. Exit code 0: all records are imported, 1: some were refused, or the database failed, 2: wrong input.
    """
    target = ImportTarget(
        as_tenant, as_user, as_contact, as_email, allowed=parse_allowed(allow), people=parse_people(map_user)
    )
    target.check_complete()
    keys = _issuer_keys(jwks)
    with (
        _folders(context, paths, keys, most_bytes) as folders,
        _followed(context) as followed,
        _difference(diff) as difference,
    ):
        options = replace(
            followed,
            storage=open_storage(files) if files else None,
            jwks=keys,
            journal_key=_key(context, journal_key, dry_run=dry_run),
            journal_days=journal_days,
            dry_run=dry_run,
            on_conflict=OnConflict(on_conflict),
            difference=difference,
            hooks=installed_hooks(),
        )
        report = import_archive(folders, into, target, options)
    context.result(report.as_json(), lambda: _print(context, report))
    if report.refused or report.quarantined:
        sys.exit(1)


def load_key(context: Context, path: Path | None, *, make: bool) -> JournalKey:
    """Return the key of the journal: of the file, or of the deployment's folder."""
    return JournalKey.at(path or context.settings.dir / KEY_NAME, make=make)


def _key(context: Context, path: Path | None, *, dry_run: bool) -> JournalKey | None:
    """Return the key; a dry run makes no file, but reads the journal of earlier imports."""
    is_absent = not (path or context.settings.dir / KEY_NAME).exists()
    return None if dry_run and is_absent else load_key(context, path, make=True)


@contextmanager
def _folders(
    context: Context, paths: Sequence[Path], keys: Jwks | None, most_bytes: int | None
) -> Iterator[list[Path]]:
    """Yield unpacked volumes; ZIPs are unpacked for the time of the import."""
    if not any(any(map(is_zip, path.iterdir())) if path.is_dir() else is_zip(path) for path in paths):
        yield [folder for path in paths for folder in bags(path)]
        return
    from archive.verify.archives import volume_paths  # noqa: PLC0415  # slow, and unpacked volumes do not need it
    from receiver.verify.scratch import scratch_folder  # noqa: PLC0415  # as above
    from receiver.verify.unpack import unpack  # noqa: PLC0415  # as above

    keys = keys or _parsed(jwks_of_folder(context))
    total_bytes = 2 * sum(path.stat().st_size for path in volume_paths(paths))
    with scratch_folder() as scratch:
        with _bars(context) as bar:
            task = bar.add_task("unpacking", total=total_bytes)
            try:
                unpacked = unpack(
                    paths, keys, scratch, most_bytes=most_bytes, progress=lambda size: bar.advance(task, size)
                )
            except NoRoom as error:
                raise NoRoom(str(error), hint=TEMPORARY_HINT) from None
        yield list(unpacked.folders)


def _print(context: Context, report: ImportReport) -> None:
    from cli.import_report import print_report  # noqa: PLC0415  # rich is slow, and the result in JSON does not need it

    print_report(context, report)


def _issuer_keys(jwks: str | None) -> Jwks | None:
    """Return the keys of `--jwks`. An empty name is a fault: signatures would go unchecked. Raises BadInput."""
    return _parsed(load_jwks(jwks)) if jwks is not None else None


def _parsed(document: JSON) -> Jwks:
    from portability.trust.signing import Jwks  # noqa: PLC0415  # slow, and an import without keys is common

    return Jwks.parse(document)


def _bars(context: Context) -> Bars:
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn  # noqa: PLC0415  # slow, too

    return context.bars(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())


@contextmanager
def _followed(context: Context) -> Iterator[ImportOptions]:
    """Yield options by which a person at a terminal sees how far an import is, and for what it waits."""
    if context.json:
        yield ImportOptions(waits=context.note)
        return
    with _bars(context) as bar:

        def started(total_bytes: int) -> Progress:
            task = bar.add_task("importing", total=total_bytes)
            return lambda size: bar.advance(task, size)

        yield ImportOptions(waits=context.note, started=started)


@contextmanager
def _difference(path: Path | None) -> Iterator[Callable[[str], object] | None]:
    """Open the file of --diff, readable by its owner only: it has values."""
    if not path:
        yield None
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:

        def write(text: str) -> None:
            with naming(path):
                file.write(text)

        try:
            yield write
        finally:
            with naming(path):
                file.close()  # writes the rest

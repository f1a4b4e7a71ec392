"""`portability imports`: imports that were made into a database: list, undo, forget."""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import BarColumn, TextColumn

from cli.context import Context, shared
from cli.importing import FILES, load_key
from cli.quantities import quantity
from portability.storage import named_by, open_storage
from receiver.binding.target import ImportTarget
from receiver.importer.database import check_exists, opened
from receiver.importer.undo import UndoReport, undo
from receiver.inbox.forget import forget_target_of
from receiver.ledger import runs

INTO = click.option("--into", metavar="URL", required=True, help="Database of the imports: SQLite or PostgreSQL.")


@click.group("imports")
def imports() -> None:
    """Imports that were made into a database, and how to undo them."""


@imports.command("list")
@INTO
@shared
def list_imports(context: Context, *, into: str) -> None:
    """List the imports, the newest first."""
    check_exists(into)
    with opened(into, make=False, is_checked=False) as engine, engine.begin() as connection:
        rows = [dict(row._mapping) for row in runs.listed(connection)]  # noqa: SLF001  # public in SQLAlchemy
    context.listing(
        "Imports", rows, ("id", "state", "target", "issuer", "export", "revision"), ("began_at", "keep_until")
    )


@imports.command("undo")
@click.argument("import_id", metavar="ID")
@INTO
@click.option(FILES, metavar="URL", help="Storage of the imported files; default: they stay.")
@click.option("--journal-key", metavar="FILE", type=click.Path(path_type=Path), help="Key of the journal.")
@click.option("--dry-run", is_flag=True, help="Only report what would be done.")
@shared
@named_by(FILES)
def undo_import(
    context: Context, import_id: str, *, into: str, files: str | None, journal_key: Path | None, dry_run: bool
) -> None:
    """Undo an import: remove its rows and restore what it replaced. Later changes stay and are listed.

    Run it again to continue after an interruption.
    """
    check_exists(into)
    storage = open_storage(files) if files else None
    key = load_key(context, journal_key, make=False)
    columns = TextColumn("{task.description}"), BarColumn()
    with opened(into, make=False, waits=context.note) as engine, context.bars(*columns) as bar:
        task = bar.add_task("undoing", total=None)
        report = undo(
            engine, import_id, key, storage=storage, dry_run=dry_run, progress=lambda count: bar.advance(task, count)
        )
    context.result(report.as_json(), lambda: _print(context, report))


@imports.command("forget")
@INTO
@click.option("--as-tenant", metavar="ID", help="The company.")
@click.option("--as-user", metavar="ID", help="The account.")
@click.option("--as-contact", metavar="ID", help="The contact; with --as-tenant.")
@click.option("--as-email", metavar="ADDRESS", help="The address without an account.")
@click.option(
    FILES, metavar="URL", help="Storage of the imported files: those that a killed import has left are deleted."
)
@shared
@named_by(FILES)
def forget_target(
    context: Context,
    *,
    into: str,
    as_tenant: str | None,
    as_user: str | None,
    as_contact: str | None,
    as_email: str | None,
    files: str | None,
) -> None:
    """Delete journal, key and ids of a company or person, such as at an erasure. Imported rows stay."""
    target = ImportTarget(as_tenant, as_user, as_contact, as_email)
    target.check_complete()
    check_exists(into)
    opening = (lambda: open_storage(files)) if files else (lambda: None)
    count = forget_target_of(into, target, opening, waits=context.note)
    said = f"entries deleted: {count:,}"
    context.result({"target": target.name, "entries": count}, lambda: context.console.print(said))


def _print(context: Context, report: UndoReport) -> None:
    context.console.print(
        f"{quantity(report.removed, 'row')} removed, {report.restored} restored, "
        f"{quantity(report.files, 'file')} deleted, "
        f"{report.conflicts} kept because of later changes"
    )
    rows = [[one.table, one.id, one.action, ", ".join(one.fields)] for one in report.kept]
    if rows:
        context.table("Changed after the import", ("table", "id", "action", "fields"), rows)
    context.console.print("nothing was changed" if report.dry_run else "undone")

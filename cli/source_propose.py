"""`portability source propose`: a draft of a map from the catalogue of a database."""

from __future__ import annotations

from pathlib import Path

import click

from cli.context import Context, one_of, shared
from cli.harmless import emit
from cli.quantities import quantity
from exporters.sql.faults import reading
from exporters.sql.mapped.databases import kind_of, open_database
from exporters.sql.proposal.draft import Proposal, draft
from exporters.sql.proposal.propose import propose
from portability.api import SubjectKind
from portability.api.errors import BadInput
from portability.api.references import is_reference, resolve
from portability.files import naming

STATEMENT_SECONDS = 60


@click.command("propose")
@click.argument("url")
@click.option("--subject-table", required=True, help="Table of the people, such as users or crm.contacts.")
@click.option("--subject-key", help="Column by which other tables name a person; default: its primary key.")
@click.option(
    "--kind", type=one_of((SubjectKind.USER, SubjectKind.CONTACT)), default="user", help="Kind of these people."
)
@click.option("--tenant-column", help="Column by which tables name the tenant; default: the usual names.")
@click.option("--schema", "schemas", multiple=True, help="A further schema of the database; may be repeated.")
@click.option(
    "--title", default="", show_default=False, help="Name of the source for people; default: that of the database."
)
@click.option(
    "--to", "target", type=click.Path(path_type=Path, dir_okay=False), help="New file for the draft; default: printed."
)
@shared
def propose_command(
    context: Context,
    url: str,
    *,
    subject_table: str,
    subject_key: str | None,
    kind: str,
    tenant_column: str | None,
    schemas: tuple[str, ...],
    title: str,
    target: Path | None,
) -> None:
    """Write a draft of a map for the database at URL, or at a reference such as env:CRM_URL. It reads no row.

    Every column of the draft is undecided: nothing is exported until a person has decided.
    """
    if target is not None and target.exists():
        raise BadInput(f"{target} exists already", hint="name another file with --to")
    kind_name, address = kind_of(resolve(url, "URL") if is_reference(url) else url, "URL")
    engine = open_database(kind_name, address, STATEMENT_SECONDS)
    try:
        with reading(engine, "the database") as connection:
            found = propose(
                connection,
                subject_table,
                key=subject_key,
                kind=SubjectKind(kind),
                tenant=tenant_column,
                schemas=schemas,
                title=title,
            )
    finally:
        engine.dispose()
    text = draft(found)
    if target:
        with naming(target):
            target.write_text(text, "utf-8")
    elif not context.json:
        emit(text, ends_line=False)
        return
    counts = {"tables": len(found.catalogue.tables), "datasets": len(found.certain), "unclear": len(found.unclear)}
    context.result({**counts, "apart": len(found.apart), "draft": text}, lambda: _print(context, found, target))


def _print(context: Context, found: Proposal, target: Path | None) -> None:
    context.console.print(
        f"{target}: {quantity(len(found.certain), 'dataset')}; "
        f"for {quantity(len(found.unclear), 'table')} a person has to choose the path; "
        f"from {quantity(len(found.apart), 'table')} no key and no name leads to the subject",
    )

"""`portability db`: the control database's schema, and the rights of the role that uses it."""

from __future__ import annotations

import click

from cli.context import Context, shared
from cli.harmless import emit
from portability.database import migrations, rights
from portability.database.engine import open_engine


@click.group()
def db() -> None:
    """The control database."""


@db.command()
@shared
def upgrade(context: Context) -> None:
    """Migrate the control database to the newest schema; safe to run twice and from several machines."""
    if context.settings.database_url is None:
        context.settings.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = open_engine(context.settings.database, prepared=context.settings.prepared_statements)
    before, after = migrations.upgrade(engine)
    text = f"already at {after}" if before == after else f"{before or 'empty'} -> {after}"
    context.result({"before": before, "after": after}, lambda: context.console.print(text))


@db.command("rights")
@click.option("--role", default=rights.ROLE, show_default=True, help="The role that web, workers and clock use.")
@click.option("--schema", default=rights.SCHEMA, show_default=True, help="The schema of the control database's tables.")
@shared
def show_rights(context: Context, role: str, schema: str) -> None:
    """Print the SQL that gives a role of PostgreSQL its rights: for psql, as the owner, after each upgrade."""
    statements = rights.grants(role, schema)
    context.result({"role": role, "statements": statements}, lambda: emit("\n".join(statements)))

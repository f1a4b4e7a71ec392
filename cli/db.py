"""`portability db upgrade`: the control database's schema."""

from __future__ import annotations

import click

from cli.context import Context, shared
from portability.database import migrations
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
    context.result({"before": before, "after": after}, lambda: context.console.print(text, markup=False))

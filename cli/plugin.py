"""`portability plugin new`: the package of a plug-in of your own."""

from __future__ import annotations

from pathlib import Path

import click

from cli import new_plugin
from cli.context import Context, beginning, one_of
from cli.quantities import quantity
from portability.api import JSON


@click.group("plugin")
def plugin_group() -> None:
    """Plug-ins of your own."""


@plugin_group.command("new")
@click.argument("name")
@click.option(
    "--kind",
    required=True,
    type=one_of(new_plugin.KINDS),
    help="What it reads: a database by a map, an HTTP interface by a map, or anything by Python.",
)
@click.option("--to", "target", type=click.Path(path_type=Path), help="Folder to make; default: NAME.")
@beginning
def new(context: Context, name: str, kind: str, target: Path | None) -> None:
    """Make the package of the exporter or map NAME, with tests that pass."""
    folder = target or Path(name)
    written: list[JSON] = [str(path.relative_to(folder)) for path in new_plugin.make(name, kind, folder)]
    files = quantity(len(written), "file")
    text = f"{folder}: {files}; `cd {folder} && python -m pytest` runs its tests, README.md says what to do"
    context.result({"folder": str(folder), "files": written}, lambda: context.console.print(text))

"""`portability plugins`: what is installed, and the dataset register."""

from __future__ import annotations

import click

from cli.context import Context, shared
from portability import notice
from portability import plugins as installed
from portability import register as datasets
from portability.api import JSON
from portability.errors import BadInput
from portability.sources import PlatformSources


@click.command()
@click.option("--register", is_flag=True, help="The dataset register: every dataset with every field.")
@click.option("--public", is_flag=True, help="With --register: as it is published, with its version (/v1/register).")
@shared
def plugins(context: Context, register: bool, public: bool) -> None:
    """List exporters and formats, or the dataset register."""
    if public and not register:
        raise BadInput("--public is about the register", hint="add --register")
    if register:
        _register(context, public=public)
        return
    found = [p for group in (installed.EXPORTERS, installed.FORMATS) for p in installed.find(group).values()]
    names = ("group", "name", "package", "version")
    rows = [[getattr(plugin, name) for name in names] for plugin in found]
    document: list[JSON] = [dict(zip(names, row, strict=True)) for row in rows]
    context.result(document, lambda: context.table("Plugins", names, rows))


def _register(context: Context, *, public: bool) -> None:
    exporters = installed.load_exporters(PlatformSources(context.settings))
    told = notice.load(context.settings.notice_dir)
    entries: list[JSON] = [*datasets.entries(exporters, told)]
    document: JSON = datasets.document(exporters, installed.load_all_formats(), told) if public else entries
    columns = {name: name for name in ("exporter", "dataset", "provenance", "role")}
    columns |= {"subjects": "subject_kinds", "fields": "fields", "portable": "portable"}
    rows = [[_cell(entry[name]) for name in columns.values()] for entry in datasets.entries(exporters, told)]
    context.result(document, lambda: context.table("Dataset register", list(columns), rows))


def _cell(value: JSON) -> object:
    """Words as words, of anything longer how many there are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) if all(isinstance(one, str) for one in value) else len(value)
    return value

"""`portability plugins`: installed plug-ins, and the dataset register."""

from __future__ import annotations

import click

from cli.context import Context, shared
from portability import plugins as installed
from portability.api import JSON, ConfiguredFactory
from portability.api.errors import BadInput
from portability.coverage import state
from portability.database.engine import reading
from portability.law import dataset_register as datasets
from portability.sources import declared_names


@click.command()
@click.option("--register", is_flag=True, help="Show the dataset register: every dataset with every field.")
@click.option("--public", is_flag=True, help="With --register: the published form, with its version (/v1/register).")
@click.option("--settings", is_flag=True, help="Show the settings of exporters: keys of a section in SOURCES.")
@shared
def plugins(context: Context, *, register: bool, public: bool, settings: bool) -> None:
    """List all plug-ins by group, the dataset register, or the settings of exporters."""
    if public and not register:
        raise BadInput("--public is only for the register", hint="add --register")
    if register and settings:
        raise BadInput("--register and --settings exclude each other")
    if register:
        _register(context, public=public)
        return
    if settings:
        _settings(context)
        return
    _ = context.exporters
    found = [
        p for group in installed.GROUPS for p in sorted(installed.installed(group), key=lambda plugin: plugin.name)
    ]
    names = ("group", "name", "package", "version")
    rows = [[getattr(plugin, name) for name in names] for plugin in found]
    document: list[JSON] = [dict(zip(names, row, strict=True)) for row in rows]
    context.result(document, lambda: context.table("Plugins", names, rows))


def _settings(context: Context) -> None:
    """Show the settings of installed exporters, also of those that the deployment does not use."""
    names = ("exporter", "name", "type", "required", "default", "description")
    loaded = {plugin: plugin.load() for plugin in installed.installed(installed.EXPORTERS)}
    rows = [
        (plugin.name, one.name, one.type, one.required, one.default, one.description)
        for plugin, factory in loaded.items()
        if isinstance(factory, ConfiguredFactory)
        for one in factory.describe()
    ]
    document: list[JSON] = [dict(zip(names, row, strict=True)) for row in rows]
    context.result(document, lambda: context.table("Settings", names, rows))


def _register(context: Context, *, public: bool) -> None:
    exporters, notice_register = context.exporters, context.notice
    entries: list[JSON] = [*datasets.entries(exporters, notice_register)]
    document: JSON = _public(context) if public else entries
    columns = {name: name for name in ("exporter", "dataset", "provenance", "role")}
    columns |= {"subjects": "subject_kinds", "fields": "fields", "portable": "portable"}
    rows = [[_cell(entry[name]) for name in columns.values()] for entry in datasets.entries(exporters, notice_register)]
    context.result(document, lambda: context.table("Dataset register", list(columns), rows))


def _public(context: Context) -> JSON:
    document = datasets.document(context.exporters, installed.load_all_formats(), context.notice)
    names = declared_names(context.settings)
    if not names:
        return document
    with reading(context.engine) as connection:
        return {**document, "coverage": state.published(connection, names)}


def _cell(value: JSON) -> object:
    """Show words as words, and longer values as their number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) if all(isinstance(one, str) for one in value) else len(value)
    return value

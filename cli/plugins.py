"""`portability plugins`: what is installed, and the dataset register."""

from __future__ import annotations

import click

from cli.context import Context, shared
from portability import plugins as installed
from portability.api import JSON
from portability.sources import PlatformSources


@click.command()
@click.option("--register", is_flag=True, help="The dataset register: every dataset with every field.")
@shared
def plugins(context: Context, register: bool) -> None:
    """List exporters and formats, or the dataset register."""
    if register:
        _register(context)
        return
    found = [p for group in (installed.EXPORTERS, installed.FORMATS) for p in installed.find(group).values()]
    names = ("group", "name", "package", "version")
    rows = [[getattr(plugin, name) for name in names] for plugin in found]
    document: list[JSON] = [dict(zip(names, row, strict=True)) for row in rows]
    context.result(document, lambda: context.table("Plugins", names, rows))


def _register(context: Context) -> None:
    document: list[JSON] = []
    rows: list[list[object]] = []
    for name, exporter in installed.load_exporters(PlatformSources(context.settings)).items():
        for dataset in exporter.datasets:
            kinds = sorted(dataset.subject_kinds or exporter.subject_kinds)
            rows.append([name, dataset.name, dataset.provenance, dataset.role, ", ".join(kinds), len(dataset.fields)])
            document.append(
                {
                    "exporter": name,
                    "dataset": dataset.name,
                    "title": dataset.title,
                    "description": dataset.description,
                    "provenance": dataset.provenance,
                    "role": dataset.role,
                    "subject_kinds": [str(kind) for kind in kinds],
                    "key": list(dataset.key),
                    "fields": [
                        {
                            "name": field.name,
                            "type": field.type,
                            "description": field.description,
                            "provenance": field.provenance,
                            "third_party": field.third_party,
                        }
                        for field in dataset.fields
                    ],
                    "withheld": [
                        {"what": held.what, "reason": held.reason, "kind": held.kind} for held in dataset.withheld
                    ],
                }
            )
    columns = ("exporter", "dataset", "provenance", "role", "subjects", "fields")
    context.result(document, lambda: context.table("Dataset register", columns, rows))

"""`portability metrics`: the figures of the deployment, for Prometheus."""

from __future__ import annotations

import click

from cli.context import Context, shared
from portability import metrics as figures
from portability.api import JSON


@click.command()
@shared
def metrics(context: Context) -> None:
    """Print the metrics of the deployment, in Prometheus' text format."""
    collected = figures.collect(context.engine)
    document: list[JSON] = [
        {
            "name": metric.name,
            "type": metric.type,
            "help": metric.documentation,
            "samples": [
                {"name": sample.name, "labels": sample.labels, "value": sample.value} for sample in metric.samples
            ],
        }
        for metric in collected
    ]
    context.result(document, lambda: click.echo(figures.exposition(collected), nl=False))

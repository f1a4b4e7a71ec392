"""`portability metrics`: the figures of the deployment, for Prometheus."""

from __future__ import annotations

import click

from cli.context import Context, shared
from cli.harmless import emit
from portability import metrics as figures
from portability.api import JSON
from portability.database.engine import reading
from portability.queue import connect, open_queue, redis_url
from portability.signals.lost_keys import KeyFiles
from portability.signals.services import Services
from portability.storage import open_storage
from portability.trust import keys, metrics_tokens


@click.command()
@click.option("--token", is_flag=True, help="Print the token with which Prometheus reads GET /metrics, and no metrics.")
@shared
def metrics(context: Context, *, token: bool) -> None:
    """Print the metrics of the deployment, in Prometheus' text format."""
    if token:
        print_token(context)
        return
    services = Services(
        context.engine,
        lambda: open_queue(connect(redis_url(context.settings))),
        lambda: open_storage(context.settings.storage, sse=context.settings.storage_sse),
    )
    # A timer of the node exporter may have no keys: only the purposes that are in its folder are looked for.
    key_files = KeyFiles(context.engine, context.settings.keys)
    collected = [*services.collect(), *key_files.collect(), *figures.collect(context.engine)]
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
    context.result(document, lambda: emit(figures.exposition(collected), ends_line=False))


def print_token(context: Context) -> None:
    """Print the token that scrapes the metrics. Raises NoSigningKey."""
    with reading(context.engine) as connection:
        tokens = metrics_tokens.present(connection, context.settings.keys)
        if not tokens:
            keys.signing(connection, context.settings.keys, purpose="link")  # raises why none can be read
    present = [*tokens.values()][-1]
    context.result({"token": present}, lambda: emit(present))

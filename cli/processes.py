"""`portability worker | clock`: what the Procfile runs."""

from __future__ import annotations

import signal
import threading

import click

from cli.context import Context, shared
from portability import logs, plugins
from portability.queue import connect, open_queue, redis_url
from portability.requests import DEFAULT_FORMATS
from portability.sources import PlatformSources
from worker import dispatch, process, sweep


@click.command()
@shared
def worker(context: Context) -> None:
    """Write exports until stopped; SIGTERM drains."""
    logs.configure()
    # Checked once here, before the first job: a wrong deployment does not start. It also imports whatever a job
    # needs, so that each forked job begins at once; the connections themselves are opened after the fork.
    _ = context.storage
    plugins.load_exporters(PlatformSources(context.settings))
    plugins.load_formats(DEFAULT_FORMATS)
    context.engine.dispose()
    process.run(context.settings, connect(redis_url(context.settings), waits=True))


@click.command()
@shared
def clock(context: Context) -> None:
    """Wake workers for what is claimable, every few seconds, and sweep the storage; safe in several copies."""
    logs.configure()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    queue = open_queue(connect(redis_url(context.settings)))
    # Ended half-way with the process, a sweep does no harm; its storage may be away without the clock minding.
    sweeping = (context.engine, lambda: context.storage, context.settings.sweep_seconds, stop)
    threading.Thread(target=sweep.run, args=sweeping, name="sweeper", daemon=True).start()
    dispatch.run(context.engine, queue, context.settings.clock_seconds, stop)

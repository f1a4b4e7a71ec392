"""`portability clock`: the process for regular tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable

import click

from cli.context import Context, beginning
from portability import logs
from portability.api import Directory
from portability.api.storages import Storage
from portability.journal.shipping import Journal
from portability.people.directory import load_directory
from portability.processes import report_ready, stop_event
from portability.queue import connect, open_queue, redis_url
from portability.sources import PlatformSources
from worker.clock import (
    audit_anchor,
    coverage,
    dispatch,
    erasure,
    expiry,
    feeds,
    history_counts,
    journal,
    message_delivery,
    notice_delivery,
    schedules,
    sweep,
    webhook_delivery,
)
from worker.clock.envelopes import Desk


@click.command()
@beginning
def clock(context: Context) -> None:
    """Run regular tasks: wake workers, send mail, check sources, delete what has expired, sweep. Several may run."""
    logs.configure()
    _ = context.exporters  # checked once here, so that a wrong deployment does not start
    stop = stop_event()
    queue = open_queue(connect(redis_url(context.settings)))
    _start(context, stop)
    report_ready()
    dispatch.run(context.engine, queue, context.settings, stop)


def _start(context: Context, stop: threading.Event) -> None:
    """Start a thread for each task. Storage may be down without affecting the others; a sweep may be interrupted."""
    engine, settings, every = context.engine, context.settings, context.settings.clock_seconds
    ready = threading.Event()

    def storage() -> Storage:
        return context.storage

    tasks: dict[str, tuple[Callable[..., None], tuple[object, ...]]] = {
        "sweeper": (sweep.run, (engine, storage, settings.sweep_seconds, stop)),
        "recaller": (sweep.run_recalls, (engine, storage, every, stop)),
        "mailer": (message_delivery.run, (lambda: _desk(context), engine, settings, stop)),
        "expirer": (expiry.run, (engine, storage, settings, stop)),
        "eraser": (erasure.run, (engine, storage, settings.keys, settings.iss, every, stop)),
        "announcer": (webhook_delivery.run, (engine, settings, stop)),
        "informer": (notice_delivery.run, (engine, settings, stop)),
        "counter": (history_counts.run, (engine, settings.place.zone, stop)),
        "feeder": (feeds.run, (engine, settings, stop)),
        "scheduler": (schedules.run, (lambda: _directory(context), engine, settings, stop)),
        "checker": (coverage.run, (engine, lambda: context.exporters, settings, stop)),
    }
    for name, (work, args) in tasks.items():
        threading.Thread(target=journal.after, args=(ready, stop, work, *args), name=name, daemon=True).start()
    anchoring = (engine, settings.keys, settings.iss, stop)
    threading.Thread(target=audit_anchor.run, args=anchoring, name="anchor", daemon=True).start()
    shipping = (engine, Journal(engine, storage, settings.keys, settings.iss), storage, stop, ready)
    threading.Thread(target=journal.run, args=shipping, name="journal", daemon=True).start()


def _desk(context: Context) -> Desk:
    return Desk(context.engine, context.settings, _directory(context))


def _directory(context: Context) -> Directory:
    return load_directory(PlatformSources(context.settings), context.settings.directory_name)

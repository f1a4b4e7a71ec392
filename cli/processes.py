"""`portability worker | clock`: the processes of the Procfile."""

from __future__ import annotations

import signal
import threading

import click

from cli.context import Context, shared
from portability import logs
from portability.law import notice
from portability.people.directory import load_directory
from portability.processes import report_ready, share_one_arena
from portability.queue import connect, open_queue, redis_url
from portability.sources import PlatformSources
from worker.clock import audit_anchor, dispatch, erasure, expiry, message_delivery, sweep, webhook_delivery
from worker.clock.envelopes import Desk
from worker.process import rq_worker, tasks


@click.command()
@shared
def worker(context: Context) -> None:
    """Write exports until stopped; SIGTERM finishes the current volume."""
    share_one_arena()
    logs.configure()
    # Checked once here, before the first job, so that a wrong deployment does not start.
    exporters = context.exporters
    notice.check(context.notice, exporters, embedded=context.settings.embedded, laws=context.settings.laws)
    _ = context.storage
    context.engine.dispose()
    tasks.warm_up()
    rq_worker.run(context.settings, connect(redis_url(context.settings), waits=True))


@click.command()
@shared
def clock(context: Context) -> None:
    """Run regular tasks: wake workers, send mail, delete what was recalled or has expired, sweep. Several may run."""
    logs.configure()
    _ = context.exporters  # as above
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    queue = open_queue(connect(redis_url(context.settings)))
    # A sweep may be interrupted with the process; its storage may be down without affecting the clock.
    sweeping = (context.engine, lambda: context.storage, context.settings.sweep_seconds, stop)
    threading.Thread(target=sweep.run, args=sweeping, name="sweeper", daemon=True).start()
    recalling = (context.engine, lambda: context.storage, context.settings.clock_seconds, stop)
    threading.Thread(target=sweep.run_recalls, args=recalling, name="recaller", daemon=True).start()
    anchoring = (context.engine, context.settings.keys, context.settings.iss, stop)
    threading.Thread(target=audit_anchor.run, args=anchoring, name="anchor", daemon=True).start()
    mailing = (lambda: _desk(context), context.engine, context.settings, stop)
    threading.Thread(target=message_delivery.run, args=mailing, name="mailer", daemon=True).start()
    expiring = (context.engine, lambda: context.storage, context.settings, stop)
    threading.Thread(target=expiry.run, args=expiring, name="expirer", daemon=True).start()
    settings = context.settings
    erasing = (context.engine, lambda: context.storage, settings.keys, settings.iss, settings.clock_seconds, stop)
    threading.Thread(target=erasure.run, args=erasing, name="eraser", daemon=True).start()
    announcing = (context.engine, context.settings, stop)
    threading.Thread(target=webhook_delivery.run, args=announcing, name="announcer", daemon=True).start()
    report_ready()
    dispatch.run(context.engine, queue, context.settings, stop)


def _desk(context: Context) -> Desk:
    settings = context.settings
    directory = load_directory(PlatformSources(settings), settings.directory_name)
    return Desk(context.engine, settings, directory)

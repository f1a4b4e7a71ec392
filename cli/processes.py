"""`portability worker | clock`: what the Procfile runs."""

from __future__ import annotations

import signal
import threading

import click

from cli.context import Context, shared
from portability import logs, notice, plugins
from portability.directory import load_directory
from portability.processes import share_one_arena
from portability.queue import connect, open_queue, redis_url
from portability.sources import PlatformSources
from worker import anchor, announce, deliver, dispatch, erase, expire, process, sweep, tasks
from worker.envelope import Desk


@click.command()
@shared
def worker(context: Context) -> None:
    """Write exports until stopped; SIGTERM drains."""
    share_one_arena()
    logs.configure()
    # Checked once here, before the first job: a wrong deployment does not start.
    _ = context.storage
    exporters = plugins.load_exporters(PlatformSources(context.settings))
    notice.check(notice.load(context.settings.notice_dir), exporters)
    context.engine.dispose()
    tasks.warm_up()
    process.run(context.settings, connect(redis_url(context.settings), waits=True))


@click.command()
@shared
def clock(context: Context) -> None:
    """Wake workers, mail, delete what was recalled or is over, sweep; every few seconds, safe in several copies."""
    logs.configure()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    queue = open_queue(connect(redis_url(context.settings)))
    # Ended half-way with the process, a sweep does no harm; its storage may be away without the clock minding.
    sweeping = (context.engine, lambda: context.storage, context.settings.sweep_seconds, stop)
    threading.Thread(target=sweep.run, args=sweeping, name="sweeper", daemon=True).start()
    recalling = (context.engine, lambda: context.storage, context.settings.clock_seconds, stop)
    threading.Thread(target=sweep.run_recalls, args=recalling, name="recaller", daemon=True).start()
    anchoring = (context.engine, context.settings.keys, context.settings.iss, stop)
    threading.Thread(target=anchor.run, args=anchoring, name="anchor", daemon=True).start()
    mailing = (lambda: _desk(context), context.engine, context.settings, stop)
    threading.Thread(target=deliver.run, args=mailing, name="mailer", daemon=True).start()
    expiring = (context.engine, lambda: context.storage, context.settings, stop)
    threading.Thread(target=expire.run, args=expiring, name="expirer", daemon=True).start()
    settings = context.settings
    erasing = (context.engine, lambda: context.storage, settings.keys, settings.iss, settings.clock_seconds, stop)
    threading.Thread(target=erase.run, args=erasing, name="eraser", daemon=True).start()
    announcing = (context.engine, context.settings, stop)
    threading.Thread(target=announce.run, args=announcing, name="announcer", daemon=True).start()
    dispatch.run(context.engine, queue, context.settings, stop)


def _desk(context: Context) -> Desk:
    settings = context.settings
    directory = load_directory(PlatformSources(settings), settings.directory)
    return Desk(context.engine, settings, directory)

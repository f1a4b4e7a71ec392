"""`portability worker`: the process that writes exports."""

from __future__ import annotations

import click

from cli.context import Context, beginning
from portability import logs
from portability.law import notice
from portability.processes import share_one_arena
from worker.process import rq_worker, tasks


@click.command()
@beginning
def worker(context: Context) -> None:
    """Write exports until stopped; SIGTERM finishes the current volume."""
    share_one_arena()
    logs.configure()
    # Checked once here, before the first job, so that a wrong deployment does not start.
    exporters = context.exporters
    notice.check(context.notice, exporters, embedded=context.settings.embedded, laws=context.settings.laws)
    _ = context.storage
    context.engine.dispose()
    tasks.check_sources()
    tasks.warm_up()
    rq_worker.run(context.settings)

"""`portability request`: ask for an export, and wait for it if told to."""

from __future__ import annotations

import time

import click
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from cli.context import Context, shared
from cli.exports import show_export
from cli.permission import AS
from portability import exports, intake, policy, requests, slices
from portability.db import reading, writing
from portability.errors import PortabilityError, QueueUnavailable
from portability.policy import PRESENT, Actor
from portability.queue import connect, open_queue, redis_url, wake
from portability.sources import PlatformSources
from portability.states import OPEN, ExportState

POLL_SECONDS = 0.2


@click.command()
@click.option("--profile", required=True, help="access, portability or switch.")
@click.option("--subject", required=True, help="user:ID, contact:ID or tenant:ID.")
@click.option("--tenant", help="The contact's tenant.")
@click.option("--include", help="Exporters, separated by commas; default: all.")
@click.option("--format", "formats", default=",".join(requests.DEFAULT_FORMATS), show_default=True, help="Formats.")
@click.option("--since", help="Only records from then on: a date or an RFC 3339 time.")
@click.option("--until", help="Only records before then.")
@click.option("--reason", help="Why, where somebody else asks for the subject.")
@click.option("--received-at", help="When the request came in, where that was earlier.")
@click.option("--notice-ends-at", help="Of a switch: when the company's period of notice ends, a date or time.")
@click.option("--channel", default="cli", show_default=True, help="How it came in: cli, email, letter, phone ...")
@click.option("--mandate", "mandate_id", help="On whose authority, where one asks on behalf of another.")
@click.option("--require-complete", is_flag=True, help="Fail rather than deliver an archive with gaps.")
@AS
@click.option("--wait", is_flag=True, help="Wait until it has ended, with a progress bar.")
@shared
def request(
    context: Context, claimed: str | None, wait: bool, mandate_id: str | None, **asked: str | bool | None
) -> None:
    """Ask for an export of one subject's data."""
    include, formats = asked.pop("include"), asked.pop("formats")
    law = {"regimes": context.settings.regime_names, "place": context.settings.place}
    wanted = requests.check(include=_names(include), formats=_names(formats), **law, **asked)  # type: ignore[arg-type]  # click typed them
    actor = policy.acting(context.settings, claimed)
    identifier, trouble = ask(context, wanted, actor, mandate_id=mandate_id)
    if wait:
        if trouble is not None:
            raise trouble
        wait_for(context, [identifier])
    elif trouble is not None:
        context.note(f"request kept; {trouble}: {trouble.hint}")
    show_export(context, identifier)
    with reading(context.engine) as connection:
        if wait and exports.get(connection, identifier)["state"] != ExportState.READY:
            raise SystemExit(1)


def ask(
    context: Context, wanted: requests.Request, actor: Actor, *, mandate_id: str | None = None
) -> tuple[str, PortabilityError | None]:
    """Accept a request and wake a worker; returns the export's id, and why nobody could be woken if so."""
    settings = context.settings
    changed_at = intake.contact_changed_at(settings, PlatformSources(settings), wanted)
    with writing(context.engine) as connection:
        identifier, is_new = intake.take(
            connection,
            settings,
            wanted,
            actor=actor,
            auth=PRESENT,
            contact_changed_at=changed_at,
            mandate_id=mandate_id,
        )
    if not is_new:
        context.note(f"the same request is open already: {identifier}")
    try:
        wake(open_queue(connect(redis_url(context.settings))), identifier)
    except QueueUnavailable as error:
        return identifier, error
    return identifier, None


def wait_for(context: Context, identifiers: list[str]) -> None:
    """Show the progress of exports until all have ended. Interrupting the wait does not stop them."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn())
    with context.bars(*columns) as bars:
        tasks = {identifier: bars.add_task(f"export {identifier[:8]}", told="queued") for identifier in identifiers}
        while tasks:
            for identifier, task in list(tasks.items()):
                with reading(context.engine) as connection:
                    row = exports.get(connection, identifier)
                    lines = exports.ledger(connection, identifier)
                    done = exports.progress(lines, slices.of(connection, identifier))
                told = f"{row['state']}: {done['datasets']}/{done['datasets_expected']} datasets, {done['files']} files"
                bars.update(task, told=told, completed=done["records"] or 0, total=done["records_expected"])
                if row["state"] not in OPEN:
                    del tasks[identifier]
            if tasks:
                time.sleep(POLL_SECONDS)


def _names(text: str | bool | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if isinstance(text, str) else None

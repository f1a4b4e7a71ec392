"""`portability seed`: made-up platform data, to try and to test with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.context import Context, shared
from demo.plan import SeedPlan, SeedReport
from demo.seed import seed as make_up
from portability.api import JSON
from portability.errors import BadInput
from portability.settings import Settings, load_settings
from portability.storage import open_storage

DEFAULT = SeedPlan()
TOTALS = {
    "tenants": "Companies.",
    "users": "Account holders.",
    "contacts": "Customers of the companies.",
    "calls": "Telephone calls with their transcripts.",
    "chats": "Conversations with their messages.",
    "messages_per_chat": "At least; a conversation is told to its end.",
    "events": "Rows of usage and performance data.",
    "recordings": "The first calls have one.",
    "recording_rate_hz": "Sound of 2 bytes per sample.",
    "hostile_share": "Of the rows with free text; a few are always hostile.",
    "seed": "The same seed and totals give the same data.",
}


def _plan_options(function: Callable[..., None]) -> Callable[..., None]:
    for name, text in reversed(TOTALS.items()):
        default: object = getattr(DEFAULT, name)
        function = click.option(f"--{name.replace('_', '-')}", name, default=default, show_default=True, help=text)(
            function
        )
    return function


@click.command("seed")
@click.option("--source-url", help="Database to fill; default: PORTABILITY_SOURCE_URL, else SQLite in the folder.")
@click.option("--recordings-url", help="Where files go; default: PORTABILITY_RECORDINGS_URL, else in the folder.")
@click.option("--recording-seconds", default="6-45", show_default=True, help="Length: one number, or a range.")
@click.option("--no-files", is_flag=True, help="Neither recordings nor attachments.")
@_plan_options
@shared
def seed(
    context: Context,
    source_url: str | None,
    recordings_url: str | None,
    recording_seconds: str,
    *,
    no_files: bool,
    **totals: int,
) -> None:
    """Make up a platform's data. It may run again: what is there is left as it is."""
    plan = SeedPlan(recording_seconds=_range(recording_seconds), **totals)
    settings = _settings(context, source_url, recordings_url)
    files = None if no_files else open_storage(settings.recordings)
    with _bar(context) as bar:
        task = bar.add_task("making up", total=None)
        report = make_up(
            settings.source, files, plan, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    context.result(_document(report), lambda: _tell(context, report))


def _range(text: str) -> tuple[float, float]:
    shortest, _, longest = text.partition("-")
    try:
        return float(shortest), float(longest or shortest)
    except ValueError:
        hint = "use a number such as 60, or a range such as 6-45"
        raise BadInput("the length of recordings is neither a number nor a range", hint=hint) from None


def _settings(context: Context, source_url: str | None, recordings_url: str | None) -> Settings:
    given = {"source_url": source_url, "recordings_url": recordings_url}
    overrides = {name: url for name, url in given.items() if url is not None}
    return load_settings(**overrides) if overrides else context.settings


def _bar(context: Context) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return context.bars(*columns)


def _document(report: SeedReport) -> JSON:
    return {
        "tables": dict(report.tables),
        "added": report.added,
        "recordings": report.recordings,
        "bytes": report.bytes,
        "examples": asdict(report.examples),
    }


def _tell(context: Context, report: SeedReport) -> None:
    context.table("Made-up data", ("table", "rows"), sorted(report.tables.items()))
    examples = report.examples
    say = context.console.print
    say(f"{sum(report.tables.values())} rows, {report.added} of them new; {report.bytes} bytes of recordings")
    say(f"user      --subject user:{examples.user}", markup=False, soft_wrap=True)
    say(
        f"contact   --subject contact:{examples.contact} --tenant {examples.contact_tenant}",
        markup=False,
        soft_wrap=True,
    )
    say(f"tenant    --subject tenant:{examples.tenant}", markup=False, soft_wrap=True)

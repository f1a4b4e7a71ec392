"""`portability seed`: made-up platform data, for trials and tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.context import Context, shared
from demo import extra
from demo.plan import SeedPlan, SeedReport
from demo.seed import seed as make_up
from portability.api import JSON
from portability.api.errors import BadInput
from portability.settings import Settings, load_settings
from portability.storage import named_by, open_storage

DEFAULT = SeedPlan()
TOTALS = {
    "tenants": "Companies.",
    "users": "Account holders.",
    "contacts": "Customers of the companies.",
    "calls": "Telephone calls with their transcripts.",
    "chats": "Conversations with their messages.",
    "messages_per_chat": "Minimum; a conversation is always complete.",
    "events": "Rows of usage and performance data.",
    "recordings": "Number of calls with a recording.",
    "recording_rate_hz": "Sound of 2 bytes per sample.",
    "hostile_share": "Share of rows with hostile free text; a few are always hostile.",
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
@click.option("--no-files", is_flag=True, help="Make no recordings and no attachments.")
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
    """Make a platform's data. It can be repeated: existing rows are not changed."""
    extra.require("seed", "faker")
    plan = SeedPlan(recording_seconds=_range(recording_seconds), **totals)
    settings = _settings(context, source_url, recordings_url)
    files = None if no_files else open_storage(settings.recordings)
    with named_by("--recordings-url or PORTABILITY_RECORDINGS_URL"), _bar(context) as bar:
        task = bar.add_task("making data", total=None)
        report = make_up(
            settings.source, files, plan, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    context.result(_document(report), lambda: _print_report(context, report))


def _range(text: str) -> tuple[float, float]:
    shortest, _, longest = text.partition("-")
    try:
        return float(shortest), float(longest or shortest)
    except ValueError:
        hint = "use a number such as 60, or a range such as 6-45"
        raise BadInput("invalid length of recordings", hint=hint) from None


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


def _print_report(context: Context, report: SeedReport) -> None:
    context.table("Made-up data", ("table", "rows"), sorted(report.tables.items()))
    examples = report.examples
    say = context.console.print
    say(f"{sum(report.tables.values())} rows, {report.added} of them new; {report.bytes} bytes of recordings")
    say(f"user      --subject user:{examples.user}", soft_wrap=True)
    say(
        f"contact   --subject contact:{examples.contact} --tenant {examples.contact_tenant}",
        soft_wrap=True,
    )
    say(f"tenant    --subject tenant:{examples.tenant}", soft_wrap=True)

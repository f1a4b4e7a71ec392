"""`portability feeds`: archives of one subject that follow each other, each with what has changed since the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from sqlalchemy import RowMapping

from cli.context import Context, shared
from cli.exports import wake_for
from cli.permission import AS, permit_any
from cli.requests import exit_code, names_of
from cli.waiting import wait_for
from portability.api import JSON
from portability.database import deployment
from portability.database.engine import reading, writing
from portability.feeds import archives, cursor, feeds, intake
from portability.feeds.feeds import FeedTerms
from portability.requests import acceptance, actors, exports, policy
from portability.requests import intake as requests_intake
from portability.requests.acceptance import Request
from portability.requests.dates import end_of_day
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Action, Facts
from portability.sources import PlatformSources
from portability.transfers import authorisations
from portability.trust import keys
from portability.trust.signing import Jwks

COLUMNS = ("id", "profile", "subject_kind", "number", "export_id", "running", "next_at", "ended_at")

DATASET_COLUMNS = ("exporter", "dataset", "rehearsal", "changed", "deleted", "out_of_scope", "absent", "gaps")
ARCHIVE_COLUMNS = (
    *("number", "export", "mode", "began_at", "seconds", "bytes"),
    *("records", "deleted", "out_of_scope", "absent", "gaps"),
)


@click.group("feeds")
def feeds_group() -> None:
    """Feeds: the first archive has everything, and each later archive what has changed since."""


@feeds_group.command("begin")
@click.option("--profile", required=True, help="access, portability or switch.")
@click.option("--subject", required=True, help="user:ID, contact:ID, tenant:ID, email:ADDRESS or phone:NUMBER.")
@click.option("--tenant", help="The contact's tenant.")
@click.option("--include", help="Exporters, separated by commas; default: all.")
@click.option("--format", "formats", help="Formats, separated by commas; default: the profile's.")
@click.option("--reason", help="Why, if another person asks for the subject.")
@click.option("--residence", help="The subject's country, such as DE, if known: it selects the laws that apply.")
@click.option("--authorisation", "authorisation_id", help="Consent that it serves: it is sent to its recipient.")
@click.option("--every", "every_days", type=int, metavar="DAYS", help="How often the clock requests the next archive.")
@click.option("--until", "ends_at", metavar="TIME", help="When it ends by itself: its last day, or an RFC 3339 time.")
@click.option("--wait", is_flag=True, help="Wait until its first archive has ended; the exit code is as of `request`.")
@AS
@shared
def begin(
    context: Context,
    claimed: str | None,
    wait: bool,
    authorisation_id: str | None,
    every_days: int | None,
    ends_at: str | None,
    **options: str | None,
) -> None:
    """Begin a feed and request its first archive, which contains everything."""
    wanted = _checked(context, {**options, **{name: names_of(options[name]) for name in ("include", "formats")}})
    actor = actors.acting(context.settings, claimed)
    until = end_of_day(ends_at, "until", context.settings.place)
    changed_at = requests_intake.contact_changed_at(context.settings, PlatformSources(context.settings), wanted)
    with writing(context.engine) as connection:
        if authorisation_id is not None:
            authorisations.check_standing(connection, authorisation_id, wanted)
        terms = FeedTerms(authorisation_id, every_days, until)
        feed_id, export_id = intake.begin(
            *(connection, context.settings, wanted, terms), actor=actor, auth=PRESENT, contact_changed_at=changed_at
        )
    _follow(context, feed_id, export_id, wait=wait)


@feeds_group.command("next")
@click.argument("identifier", metavar="FEED")
@click.option(
    "--cursor",
    "cursor_file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The recipient's last cursor: the archive must follow it.",
)
@click.option("--wait", is_flag=True, help="Wait until the archive has ended; the exit code is as of `request`.")
@AS
@shared
def request_next(
    context: Context, identifier: str, claimed: str | None, cursor_file: Path | None, *, wait: bool
) -> None:
    """Request the next archive of a feed: what has changed since the last."""
    actor = actors.acting(context.settings, claimed)
    with reading(context.engine) as connection:
        row = feeds.get(connection, identifier)
        if cursor_file is not None:
            token = cursor_file.read_text("ascii").strip()
            cursor.check_last(token, row, Jwks.parse(keys.jwks(connection)))
    wanted = _checked(context, feeds.asked_again(row))
    changed_at = requests_intake.contact_changed_at(context.settings, PlatformSources(context.settings), wanted)
    with writing(context.engine) as connection:
        export_id, is_new = intake.take_next(
            *(connection, context.settings, row, wanted), actor=actor, auth=PRESENT, contact_changed_at=changed_at
        )
    if not is_new:
        context.note(f"an archive of this feed is already open: {export_id}")
    _follow(context, identifier, export_id, wait=wait)


@feeds_group.command("list")
@AS
@shared
def list_feeds(context: Context, claimed: str | None) -> None:
    """List feeds, the newest first."""
    permit_any(context, claimed, Action.LIST_ALL)
    with reading(context.engine) as connection:
        seen = [feeds.view(connection, row) for row in feeds.listed(connection)]
    context.result(seen, lambda: _show(context, seen))


@feeds_group.command("report")
@click.argument("identifier", metavar="FEED")
@AS
@shared
def report_feed(context: Context, identifier: str, claimed: str | None) -> None:
    """Report a feed: what its first archive had, what has changed since, and the time and size of each archive."""
    permit_any(context, claimed, Action.LIST_ALL)
    with reading(context.engine) as connection:
        seen = archives.report(connection, feeds.get(connection, identifier))
    context.result(seen, lambda: _show_report(context, seen))


@feeds_group.command("end")
@click.argument("identifier", metavar="FEED")
@AS
@shared
def end(context: Context, identifier: str, claimed: str | None) -> None:
    """End a feed: what it has delivered is forgotten, and its open archive is cancelled."""
    actor = actors.acting(context.settings, claimed)
    with writing(context.engine) as connection:
        row = feeds.get(connection, identifier)
        facts = _facts(row)
        policy.allowed(actor, policy.create_action(actor, facts), facts, PRESENT).enforce()
        feeds.end(connection, identifier, actor=str(actor))
    context.result({"id": identifier}, lambda: context.console.print(f"{identifier} has ended"))


def _checked(context: Context, asked: Mapping[str, Any]) -> Request:
    settings = context.settings
    return acceptance.check(
        **asked,
        regimes=settings.laws,
        place=settings.place,
        exporters=context.exporters,
        at=deployment.clock(context.engine),
    )


def _facts(row: RowMapping) -> Facts:
    return Facts(row["subject_kind"], row["subject_id"], row["tenant"], reason="the feed ends")


def _follow(context: Context, feed_id: str, export_id: str, *, wait: bool) -> None:
    """Wake a worker for an archive, and show its feed; after a wait the exit code is that of the archive."""
    wake_for(context, export_id)
    if wait:
        wait_for(context, [export_id])
    with reading(context.engine) as connection:
        seen = {**feeds.view(connection, feeds.get(connection, feed_id)), "requested": export_id}
        archive = exports.get(connection, export_id)
        causes = exports.review(connection, archive)
    context.result(seen, lambda: _show(context, [seen]))
    if wait and (code := exit_code(archive, causes)):
        raise SystemExit(code)


def _show_report(context: Context, seen: Mapping[str, Any]) -> None:
    for title, columns, rows in (
        ("Datasets", DATASET_COLUMNS, seen["datasets"]),
        ("Archives", ARCHIVE_COLUMNS, seen["archives"]),
    ):
        context.table(title, columns, [[one[name] for name in columns] for one in rows])
    context.console.print(f"last cursor: {seen['cursor'] or 'none'}", soft_wrap=True)


def _show(context: Context, seen: Sequence[Mapping[str, JSON]]) -> None:
    context.table("Feeds", COLUMNS, [[one[name] for name in COLUMNS] for one in seen])

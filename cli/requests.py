"""`portability request`: request an export, and optionally wait for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import click

from cli.context import Context, beginning
from cli.exports import show_export
from cli.permission import AS
from cli.waiting import wait_for
from portability.api.errors import PortabilityError
from portability.database import deployment
from portability.database.engine import reading, writing
from portability.errors import QueueUnavailable
from portability.queue import connect, open_queue, redis_url, wake
from portability.requests import acceptance, actors, exports, intake
from portability.requests.approvals import Cause
from portability.requests.login_strength import PRESENT
from portability.requests.outcome import OwnOutcome, ProcessorOutcome
from portability.requests.policy import Actor
from portability.requests.states import ExportState
from portability.sources import PlatformSources

NOT_COMPLETE = 3
"""Exit code: ready, and something is missing or referred to a company."""
NOT_FOUND = 4
"""Exit code: no source knows the subject."""
ONLY_REFERRED = 5
"""Exit code: ready, and everything is referred to companies."""


class TakenRequest(NamedTuple):
    """What has become of a request."""

    id: str
    """Of its export."""
    is_new: bool
    """False: the same request was open already, and this is its export."""
    queue_error: PortabilityError | None
    """Why no worker could be woken; None: one was."""


@click.command()
@click.option("--profile", required=True, help="access, portability or switch.")
@click.option("--subject", required=True, help="user:ID, contact:ID, tenant:ID, email:ADDRESS or phone:NUMBER.")
@click.option("--tenant", help="The contact's tenant.")
@click.option("--include", help="Exporters, separated by commas; default: all.")
@click.option(
    "--format", "formats", help="Formats, separated by commas, such as jsonl,csv,xlsx; default: the profile's."
)
@click.option("--since", help="Only records from then on: a date or an RFC 3339 time.")
@click.option("--until", help="Only records before then.")
@click.option("--reason", help="Why, if another person asks for the subject.")
@click.option("--received-at", help="When the request was received, if earlier.")
@click.option("--notice-ends-at", help="For a switch: end of the company's notice period, a date or time.")
@click.option("--residence", help="The subject's country, such as DE, if known: it selects the laws that apply.")
@click.option(
    "--tell-tenant",
    "tell_tenants",
    is_flag=True,
    help="The person agrees that companies that decide over parts of the data are informed of the request.",
)
@click.option("--channel", default="cli", show_default=True, help="How it was received: cli, email, letter, phone ...")
@click.option("--mandate", "mandate_id", help="Mandate under which you ask on behalf of another person.")
@click.option("--require-complete", is_flag=True, help="Fail instead of delivering an archive with gaps.")
@AS
@click.option(
    "--wait",
    is_flag=True,
    help="Wait until it has ended, with a progress bar or lines; end early where nothing can be read.",
)
@beginning
def request(
    context: Context, claimed: str | None, wait: bool, mandate_id: str | None, **options: str | bool | None
) -> None:
    """Request an export of one subject's data."""
    include, formats = options.pop("include"), options.pop("formats")
    law = {
        "regimes": context.settings.laws,
        "place": context.settings.place,
        "exporters": context.exporters,
        "at": deployment.clock(context.engine),
    }
    wanted = acceptance.check(include=names_of(include), formats=names_of(formats), **law, **options)  # type: ignore[arg-type]  # click has checked their types
    actor = actors.acting(context.settings, claimed)
    identifier, is_new, queue_error = ask(context, wanted, actor, mandate_id=mandate_id)
    if wait:
        if queue_error is not None:
            hint = f"{queue_error.hint}; the request continues then: `portability show {identifier}`"
            raise QueueUnavailable(f"request {identifier} is stored, and {queue_error}", hint=hint)
        wait_for(context, [identifier])
    elif queue_error is not None:
        context.note(f"request stored; {queue_error}: {queue_error.hint}")
    show_export(context, identifier, is_new=is_new)
    with reading(context.engine) as connection:
        row = exports.get(connection, identifier)
        causes = exports.review(connection, row)
    if wait and (code := exit_code(row, causes)):
        raise SystemExit(code)


def exit_code(row: Mapping[Any, Any], causes: Collection[str] = ()) -> int:
    """Return the exit code of `--wait` for an export that has ended, or that waits for a decision (ADR 35).

    `causes` are those for which it waits.
    """
    if Cause.NOT_FOUND in causes:
        return NOT_FOUND
    if row["state"] != ExportState.READY:
        return 1
    if row["outcome_own"] == OwnOutcome.NOT_FOUND:
        return NOT_FOUND
    if row["outcome_own"] == OwnOutcome.NONE and row["outcome_processor"] == ProcessorOutcome.REFERRED:
        return ONLY_REFERRED
    return 0 if row["complete"] else NOT_COMPLETE


def ask(context: Context, wanted: acceptance.Request, actor: Actor, *, mandate_id: str | None = None) -> TakenRequest:
    """Accept a request and wake a worker."""
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
        taken = "of what this one says besides, only an earlier receipt is taken over"
        context.note(f"the same request is already open: {identifier}; {taken}")
    try:
        wake(open_queue(connect(redis_url(context.settings))), identifier)
    except QueueUnavailable as error:
        return TakenRequest(identifier, is_new, error)
    return TakenRequest(identifier, is_new, None)


def names_of(text: str | bool | None) -> list[str] | None:
    """Return the names of an option, which commas separate."""
    return [name.strip() for name in text.split(",") if name.strip()] if isinstance(text, str) else None

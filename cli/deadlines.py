"""`portability extend | pause | resume`: changes of a request's deadline; `deadlines`: the laws that apply."""

from __future__ import annotations

import click

from cli.context import Context, one_of, shared
from cli.exports import show_export
from cli.permission import AS, permit
from portability.api import JSON
from portability.database.engine import writing
from portability.law.regime import EXTENSION, ExtensionGround, FigureOrigin, PauseReason, Regime
from portability.requests import deadline_events
from portability.requests.dates import end_of_day
from portability.requests.deadline_events import Extension
from portability.requests.policy import Action


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--reason", required=True, help="Why it takes longer; the person is informed.")
@click.option("--ground", type=one_of(ExtensionGround), help="The ground that a law requires (Data Act).")
@click.option("--until", help="The new end, a date or time; default: the longest period that the law allows.")
@click.option("--by-customer", is_flag=True, help="The customer itself extends its switch, until --until (Data Act).")
@AS
@shared
def extend(
    context: Context,
    identifier: str,
    reason: str,
    ground: str | None,
    until: str | None,
    by_customer: bool,
    claimed: str | None,
) -> None:
    """Extend the deadline of a request, once and before it ends, if its law allows it."""
    laws, place = context.settings.laws, context.settings.place
    end = end_of_day(until, "until", place)
    extension = Extension(reason, ExtensionGround(ground) if ground else None, end, by_customer)
    with writing(context.engine) as connection:
        actor = str(permit(context, connection, claimed, Action.MOVE_DEADLINE, identifier))
        deadline_events.extend(connection, identifier, extension, actor=actor, regimes=laws, place=place)
    show_export(context, identifier)


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--reason", required=True, type=one_of(PauseReason), help="What the person has to do first.")
@AS
@shared
def pause(context: Context, identifier: str, reason: str, claimed: str | None) -> None:
    """Pause a deadline while a person has to answer; only laws that allow the reason stop their deadline.

    An end that was chosen with `extend --until` holds.
    """
    with writing(context.engine) as connection:
        actor = str(permit(context, connection, claimed, Action.MOVE_DEADLINE, identifier))
        deadline_events.pause(connection, identifier, reason=reason, actor=actor)
    show_export(context, identifier)


@click.command()
@click.argument("identifier", metavar="ID")
@AS
@shared
def resume(context: Context, identifier: str, claimed: str | None) -> None:
    """Resume a paused deadline."""
    laws, place = context.settings.laws, context.settings.place
    with writing(context.engine) as connection:
        actor = str(permit(context, connection, claimed, Action.MOVE_DEADLINE, identifier))
        deadline_events.resume(connection, identifier, actor=actor, regimes=laws, place=place)
    show_export(context, identifier)


@click.command("deadlines")
@shared
def deadlines(context: Context) -> None:
    """List the laws with deadlines that apply to this deployment, and which figures are its policy."""
    laws = context.settings.laws
    columns = ["regime", "profiles", "period", "with extension", "applies to", "source"]
    rows = [
        [law.name, ", ".join(sorted(law.profiles)), _period(law), _extension(law), _applies_to(law), law.source]
        for law in laws
    ]
    document: JSON = [law.to_json() for law in laws]
    context.result(document, lambda: context.table("Laws with deadlines", columns, rows))


def _period(law: Regime) -> str:
    by_policy = ", ".join(profile for profile in sorted(law.profiles) if law.origin(profile) is FigureOrigin.POLICY)
    return f"{law.period} (policy for {by_policy})" if by_policy else str(law.period)


def _extension(law: Regime) -> str:
    by_policy = " (policy)" if law.origin(EXTENSION) is FigureOrigin.POLICY else ""
    return f"{law.extended_period}{by_policy}" if law.extended_period else ""


def _applies_to(law: Regime) -> str:
    names = [*sorted(law.subject_kinds), *sorted(law.countries), *sorted(law.tenants)]
    return ", ".join(names) or "all"

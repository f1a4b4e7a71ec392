"""`portability extend | pause | resume`: what moves the deadline of a request."""

from __future__ import annotations

import click

from cli.context import Context, one_of, shared
from cli.exports import show_export
from cli.permission import AS, permit
from portability import extensions
from portability.db import writing
from portability.deadlines import PauseReason
from portability.policy import Action


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--reason", required=True, help="Why it takes longer; the person is told.")
@AS
@shared
def extend(context: Context, identifier: str, reason: str, claimed: str | None) -> None:
    """Extend the deadline of a request, once and before it ends, where its law lets us."""
    names, place = context.settings.regime_names, context.settings.place
    with writing(context.engine) as connection:
        actor = str(permit(context, connection, claimed, Action.MOVE_DEADLINE, identifier))
        extensions.extend(connection, identifier, reason=reason, actor=actor, regimes=names, place=place)
    show_export(context, identifier)


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--reason", required=True, type=one_of(PauseReason), help="What the person is waited for.")
@AS
@shared
def pause(context: Context, identifier: str, reason: str, claimed: str | None) -> None:
    """Note that a person is waited for; it stops the clocks of those laws that know the reason."""
    with writing(context.engine) as connection:
        actor = str(permit(context, connection, claimed, Action.MOVE_DEADLINE, identifier))
        extensions.pause(connection, identifier, reason=reason, actor=actor)
    show_export(context, identifier)


@click.command()
@click.argument("identifier", metavar="ID")
@AS
@shared
def resume(context: Context, identifier: str, claimed: str | None) -> None:
    """Let a paused deadline run on."""
    names, place = context.settings.regime_names, context.settings.place
    with writing(context.engine) as connection:
        actor = str(permit(context, connection, claimed, Action.MOVE_DEADLINE, identifier))
        extensions.resume(connection, identifier, actor=actor, regimes=names, place=place)
    show_export(context, identifier)

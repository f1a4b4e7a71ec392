"""`portability extend | pause | resume`: what moves the deadline of a request."""

from __future__ import annotations

import click

from cli.context import Context, shared
from cli.exports import show_export
from portability import extensions, policy
from portability.db import writing
from portability.deadlines import PauseReason


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--reason", required=True, help="Why it takes longer; the person is told.")
@click.option("--as", "claimed", help="ROLE:ID, on the embedded stack only.")
@shared
def extend(context: Context, identifier: str, reason: str, claimed: str | None) -> None:
    """Extend the deadline of a request, once and before it ends, where its law lets us."""
    actor, settings = str(_allowed(context, claimed)), context.settings
    with writing(context.engine) as connection:
        law = {"regimes": settings.regime_names, "place": settings.place}
        extensions.extend(connection, identifier, reason=reason, actor=actor, **law)  # type: ignore[arg-type]  # two types
    show_export(context, identifier)


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--reason", required=True, type=click.Choice([*PauseReason]), help="What the person is waited for.")
@click.option("--as", "claimed", help="ROLE:ID, on the embedded stack only.")
@shared
def pause(context: Context, identifier: str, reason: str, claimed: str | None) -> None:
    """Note that a person is waited for; it stops the clocks of those laws that know the reason."""
    actor = str(_allowed(context, claimed))
    with writing(context.engine) as connection:
        extensions.pause(connection, identifier, reason=reason, actor=actor)
    show_export(context, identifier)


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--as", "claimed", help="ROLE:ID, on the embedded stack only.")
@shared
def resume(context: Context, identifier: str, claimed: str | None) -> None:
    """Let a paused deadline run on."""
    actor, settings = str(_allowed(context, claimed)), context.settings
    with writing(context.engine) as connection:
        law = {"regimes": settings.regime_names, "place": settings.place}
        extensions.resume(connection, identifier, actor=actor, **law)  # type: ignore[arg-type]  # two types
    show_export(context, identifier)


def _allowed(context: Context, claimed: str | None) -> policy.Actor:
    actor = policy.acting(context.settings, claimed)
    policy.allowed(actor, policy.Action.MOVE_DEADLINE, auth=policy.PRESENT).enforce()
    return actor

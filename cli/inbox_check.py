"""Check of `portability doctor`: what the receiving service needs, and whether it works."""

from __future__ import annotations

from cli.checks import Seen
from cli.context import Context
from cli.receiving_service import database_of
from portability.database.engine import reading
from portability.errors import DatabaseUnavailable
from portability.inbox import work
from portability.queue import NotRunning
from portability.trust import keys
from receiver.fetch.decryption import load_identities
from receiver.importer.database import opened

LATE_SECONDS = 900
KEY_HINT = "`portability keys new --purpose receipt` makes one"


def inbox(context: Context) -> Seen:
    """Check age keys, receipt key, platform database, and that no work waits for long or is only repeated.

    Raises: BadInput for the file of age keys; BadTarget, TargetUnavailable for the platform's database; NotRunning;
    NoSigningKey: there is a receipt key, and its file is not usable on this machine.
    """
    settings = context.settings
    if not settings.inbox_identity:
        return _elsewhere(context)
    load_identities(settings.inbox_identity)
    # Only the machine of the receiving service knows the platform's database.
    if into := database_of(settings):
        with opened(into, make=False):
            pass
    with reading(context.engine) as connection:
        waited_seconds, repeated = work.oldest_due_seconds(connection), work.repeated(connection)
        if not keys.active(connection, "receipt"):
            return Seen("no receipt can be signed: there is no key for it", KEY_HINT)
        keys.signing(connection, settings.keys, purpose="receipt")
    _check_waiting(waited_seconds)
    if repeated:
        codes = (f"{count} x {code or 'process_died'}" for code, count in repeated.items())
        return Seen(f"repeated without success: {', '.join(codes)}", "`portability inbox list`; docs/errors.md")
    return Seen()


def _elsewhere(context: Context) -> Seen:
    """Check on a machine that does not run the receiving service that no work waits for it. Raises NotRunning."""
    try:
        with reading(context.engine) as connection:
            waited_seconds = work.oldest_due_seconds(connection)
    except DatabaseUnavailable:
        waited_seconds = 0.0  # its own check reports it
    _check_waiting(waited_seconds)
    return Seen("not used: this deployment receives no transfers")


def _check_waiting(waited_seconds: float) -> None:
    if waited_seconds > LATE_SECONDS:
        hint = "start `portability inbox run` on a machine with PORTABILITY_INBOX_IDENTITY, and look at its log"
        raise NotRunning(f"received transfers have waited for {waited_seconds / 60:.0f} minutes", hint=hint)

"""What the receiving service needs of a deployment: its keys, its quarantine, and the platform's database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cli.context import Context
from portability.api.errors import BadSetting
from portability.database.engine import reading
from portability.inbox.offers import NoInbox
from portability.settings import Settings
from portability.trust import keys
from receiver.fetch.decryption import load_identities
from receiver.inbox.answers import ReceiverAnswers
from receiver.inbox.steps import ReceivingService

if TYPE_CHECKING:
    from portability.trust.signing import DatedKey

JOURNAL_KEY = "import-journal.key"


def service_of(context: Context) -> ReceivingService:
    """Return the receiving service of a deployment. Raises NoInbox, BadInput, BadSetting."""
    settings = context.settings
    if not settings.inbox_identity:
        raise NoInbox("this deployment receives no transfers")
    into = database_of(settings)
    if not into:
        raise BadSetting("PORTABILITY_INBOX_INTO: required with INBOX_IDENTITY outside the embedded stack")
    return ReceivingService(
        engine=context.engine,
        settings=settings,
        identities=load_identities(settings.inbox_identity),
        receipt_key=receipt_key_of(context),
        audience=audience_of(settings),
        into=into,
        files=files_of(settings),
        quarantine=settings.inbox_dir or settings.dir.absolute() / "inbox",
        journal_key=journal_key_of(settings),
    )


def answers_of(context: Context) -> ReceiverAnswers | None:
    """Return what answers challenges and notices; None: this deployment receives no transfers. Raises BadInput."""
    settings = context.settings
    if settings.inbox_identity:
        identities, key = load_identities(settings.inbox_identity), receipt_key_of(context)
        return ReceiverAnswers(identities, key, audience_of(settings), settings.brand, settings.base_url)
    return None


def database_of(settings: Settings) -> str | None:
    """Return the URL of the platform's database that transfers are imported into; None: it is not set."""
    is_embedded_platform = settings.embedded and not (settings.source_url or settings.sources)
    return settings.inbox_into or (settings.source if is_embedded_platform else None)


def files_of(settings: Settings) -> str | None:
    """Return the URL of the storage of imported files; None: it is not set."""
    return settings.inbox_files or (settings.recordings if settings.has_recordings else None)


def journal_key_of(settings: Settings) -> Path:
    """Return the path of the key file of the journal that can undo imports."""
    return settings.inbox_journal_key or settings.dir / JOURNAL_KEY


def receipt_key_of(context: Context) -> Callable[[], DatedKey]:
    """Return what gives the key of this deployment's key set that signs as a recipient. It raises NoSigningKey."""

    def key() -> DatedKey:
        with reading(context.engine) as connection:
            return keys.dated(connection, context.settings.keys, purpose="receipt")

    return key


def audience_of(settings: Settings) -> str:
    """Return the domain of this deployment as others have recorded it."""
    return settings.inbox_audience or urlsplit(settings.base_url).hostname or ""

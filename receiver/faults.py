"""Why a transfer or an archive is refused: errors of one tree with those of portability/errors.py.

PortabilityError
  TransferRefused      this side refuses, and the receipt states the code
    BadStatement  StatementExpired  WrongList  WrongAudience  WrongKey  TransferChanged
    ArchiveRefused  ArchiveTooLarge  NoRoom
  SenderRefused  SenderUnavailable  ImportConflict  ArchiveUnread
  WrongMetadata  ProviderRefused  CopyPending
  BadInput
    WrongTarget  UnknownImport  UndoUnfinished  FeedGap  OlderRevision  UnknownRequest  WrongReturn
      FeedForked (a FeedGap)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archive.verify.faults import ArchiveFault
from portability.api.errors import BadInput, PortabilityError


@dataclass(frozen=True, slots=True)
class RefusalReceipt:
    """What the receipt of a refusal needs beside the code."""

    statement: str
    """transfer.jwt as it was received."""
    receipt_url: str
    volumes: int


class TransferRefused(PortabilityError):
    """A transfer or archive is refused."""

    code = "transfer_refused"
    receipt: RefusalReceipt | None = None
    """None: the sender gets no receipt, because nothing in its statement can be believed."""


class BadStatement(TransferRefused):
    """transfer.jwt is not what its issuer signed, lacks a claim, or has another issuer."""

    code = "bad_statement"
    default_hint = "ask the sender for a new transfer; see docs/receiving.md for the checks"


class StatementExpired(BadStatement):
    """The time of the transfer is over."""

    code = "statement_expired"
    default_hint = "ask the sender for a new transfer; if it should be valid, check the clock of this machine"


class WrongList(TransferRefused):
    """volumes.json is not the list that transfer.jwt has signed."""

    code = "wrong_list"
    default_hint = "run it again; if it fails again, ask the sender for a new transfer"


class WrongAudience(TransferRefused):
    """The transfer is addressed to another recipient."""

    code = "wrong_audience"
    default_hint = "check --audience; if it is correct, ask the sender which domain it has recorded for you"


class WrongKey(TransferRefused):
    """The volumes are encrypted to another key."""

    code = "wrong_key"
    default_hint = "check --identity; if it is correct, ask the sender which key it has recorded for you"


class TransferChanged(TransferRefused):
    """A volume is not the one that transfer.jwt describes, before or after decryption."""

    code = "changed"
    default_hint = "run it again; if it fails again, ask the sender for a new transfer"


class ArchiveRefused(TransferRefused):
    """The archive's verification failed. Nothing of it was unpacked."""

    code = "archive_refused"
    default_hint = "`portability verify` lists every fault; see docs/archive-format.md for their meaning"

    def __init__(self, message: str, *, faults: Sequence[ArchiveFault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class ArchiveTooLarge(TransferRefused):
    """The archive unpacks to more than the limit, or than its size allows. Nothing of it was unpacked."""

    code = "archive_too_large"
    default_hint = "if you trust the sender, raise the limit with --most-bytes"


class NoRoom(ArchiveTooLarge):
    """The disk of this side has too little free space. The sender hears nothing, and what was received is kept."""

    code = "no_room"
    retryable = True
    default_hint = "free some space, and run the same command again; or use another folder"


class ArchiveUnread(PortabilityError):
    """A disk of this side does not read the archive: nothing is known against it. The sender hears nothing."""

    code = "archive_unread"
    retryable = True
    default_hint = "check the disk and the rights of its folder, then run the same command again"


class SenderRefused(PortabilityError):
    """The sender refuses: the link has expired, was revoked, or does not exist."""

    code = "sender_refused"
    default_hint = "ask the sender for a new link"

    def __init__(self, message: str, *, hint: str | None = None, status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        """The status of its answer; 0: it had none."""


class SenderUnavailable(PortabilityError):
    """The sender does not answer, or answers incorrectly. Data received so far is kept."""

    code = "sender_unavailable"
    retryable = True
    default_hint = "run the same command again: it continues where it stopped"

    def __init__(self, message: str, *, hint: str | None = None, retry_after_seconds: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_seconds = retry_after_seconds
        """The wait that the sender asks for (RFC 9110 section 10.2.3), up to a limit."""


class WrongTarget(BadInput):
    """The target of an import is missing, or is not of the kind that the archive is about."""

    code = "wrong_target"
    default_hint = "name whose data it is here: --as-tenant, --as-user, --as-contact or --as-email"


class UnknownImport(BadInput):
    """No such import was made into this database, or its journal cannot be read with this key."""

    code = "unknown_import"
    default_hint = "`portability imports list --into URL` lists the imports"


class UndoUnfinished(BadInput):
    """An earlier import into the same target is being undone, or its undoing was killed."""

    code = "undo_unfinished"
    retryable = True
    default_hint = "run `portability imports undo` again to its end, then import"


class ImportConflict(PortabilityError):
    """Records were changed on both sides, and the caller chose to import nothing then."""

    code = "import_conflict"
    default_hint = "look at them with --dry-run --diff FILE; then choose --on-conflict keep or take"


class FeedGap(BadInput):
    """An archive of a feed does not follow the last archive of it that is imported here."""

    code = "feed_gap"
    default_hint = "import the archives in between first, in their order"


class FeedForked(FeedGap):
    """Another archive of the feed has this place here: the sender's database was restored to an earlier state."""

    code = "feed_forked"
    default_hint = "undo the imports of the archives that the sender has lost, the last first; then import it again"

    def __init__(self, message: str, *, hint: str | None = None, undo: Sequence[str] = ()) -> None:
        """`undo` are the imports to undo before it, in this order; empty: the archive itself is the lost one."""
        super().__init__(message, hint=hint)
        self.undo = undo


class OlderRevision(BadInput):
    """A later revision of the same export is imported here: older values would replace its values."""

    code = "older_revision"
    default_hint = "import the newest revision; `portability imports undo` first if you want the older values"


class WrongMetadata(PortabilityError):
    """The metadata of another provider are not its own, or do not support what a pull needs."""

    code = "wrong_metadata"
    default_hint = "its operator has to correct them: docs/pull.md#metadata"


class ProviderRefused(PortabilityError):
    """Another provider refuses a pull; the message has the error that it names, as OAuth or docs/pull.md define it."""

    code = "provider_refused"
    default_hint = "docs/pull.md#errors has the meaning; if the consent has ended, ask the person again"

    def __init__(self, message: str, *, hint: str | None = None, error: str | None = None) -> None:
        """`error` is the code that the provider names."""
        super().__init__(message, hint=hint)
        self.error = error


class CopyPending(PortabilityError):
    """The copy that a person has allowed is not ready yet."""

    code = "copy_pending"
    retryable = True
    default_hint = "run the same command again later"


class UnknownRequest(BadInput):
    """No request to another provider has this id here."""

    code = "unknown_request"
    default_hint = "`portability pull list` lists them"


class WrongReturn(BadInput):
    """What came back with a person does not answer the request, or the request is in another state."""

    code = "wrong_return"
    default_hint = "use the whole address that the person came back with; else begin again"

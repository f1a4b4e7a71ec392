"""Why a transfer or an archive is not taken: errors of one tree with those of portability/errors.py.

PortabilityError
  TransferRefused      we say no, and the sender is told its code
    BadStatement  WrongAudience  WrongKey  TransferChanged  ArchiveRefused  ArchiveTooLarge
  SenderRefused  SenderUnavailable
"""

from __future__ import annotations

from collections.abc import Sequence

from archive.faults import Fault
from portability.errors import PortabilityError


class TransferRefused(PortabilityError):
    """What came is not taken."""

    code = "transfer_refused"


class BadStatement(TransferRefused):
    """transfer.jwt is not what its issuer signed, lacks a claim, is of another issuer, or has expired."""

    code = "bad_statement"
    default_hint = "ask the sender for a new transfer; docs/receiving.md says what is checked"


class WrongAudience(TransferRefused):
    """The transfer is meant for somebody else."""

    code = "wrong_audience"
    default_hint = "check --audience; if it is yours, ask the sender whom it has you down as"


class WrongKey(TransferRefused):
    """The volumes are not encrypted to this identity."""

    code = "wrong_key"
    default_hint = "check --identity; if it is the right one, ask the sender which key it has of you"


class TransferChanged(TransferRefused):
    """A volume is not the one that transfer.jwt names: before or after decryption."""

    code = "changed"
    default_hint = "run it again; if it stays so, ask the sender for a new transfer"


class ArchiveRefused(TransferRefused):
    """An archive that does not verify. Nothing of it was unpacked."""

    code = "archive_refused"
    default_hint = "`portability verify` names every fault; docs/archive-format.md says what each means"

    def __init__(self, message: str, *, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class ArchiveTooLarge(TransferRefused):
    """It unpacks to more than there is room for, or than its bytes can hold. Nothing of it was unpacked."""

    code = "archive_too_large"
    default_hint = "free some space, or name another folder; --most-bytes bounds what is taken"


class SenderRefused(PortabilityError):
    """The sender says no: the link has expired, was revoked, or is none."""

    code = "sender_refused"
    default_hint = "ask the sender for a new link"


class SenderUnavailable(PortabilityError):
    """The sender does not answer, or not in the agreed way. What came so far is kept."""

    code = "sender_unavailable"
    retryable = True
    default_hint = "run the same command again: it goes on where it stopped"

    def __init__(self, message: str, *, hint: str | None = None, retry_after_seconds: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_seconds = retry_after_seconds
        """What the sender asks for (RFC 9110 section 10.2.3), within reason."""

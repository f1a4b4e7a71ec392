"""What people are refused: errors below BadInput, one tree with those of portability/errors.py.

BadInput
  UnknownLink  LinkInvalid  UnknownRecall  UnknownMandate
  StepUpRequired  ReasonRequired  MandateRefused
  TooManyAttempts  TooManyExports  KeyReused
  AmbiguousSubject  OnLegalHold  ErasureRunning  ExportsRunning  UnknownHold
"""

from __future__ import annotations

from collections.abc import Sequence

from portability.errors import BadInput


class UnknownLink(BadInput):
    """A link id that does not exist or is revoked already."""

    code = "unknown_link"
    default_hint = "`portability links ID` lists an export's links"


class LinkInvalid(BadInput):
    """Forged, unknown, expired, revoked or used up: whoever holds such a link learns no more than that."""

    code = "link_invalid"
    default_hint = "ask for a new link"

    def __init__(self, message: str = "this link does not work", *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)


class UnknownRecall(BadInput):
    """A recall id that does not exist or is closed already."""

    code = "unknown_recall"
    default_hint = "it may be closed already"


class UnknownMandate(BadInput):
    """A mandate id that does not exist or has ended already."""

    code = "unknown_mandate"
    default_hint = "record a new one"


class MandateRefused(BadInput):
    """A mandate that does not cover this: another subject, profile or agent, or it has ended."""

    code = "mandate_refused"
    default_hint = "record one that covers it"


class StepUpRequired(BadInput):
    """The login is not strong or not fresh enough for this; RFC 9470's challenge says what would be."""

    code = "step_up_required"
    default_hint = "log in again with a second factor"

    def __init__(
        self, message: str = "this needs a strong and fresh login", *, acr_values: Sequence[str] = (), max_age: int = 0
    ) -> None:
        super().__init__(message)
        self.acr_values = tuple(acr_values)
        self.max_age = max_age


class ReasonRequired(BadInput):
    """Whoever acts on another person's data says why."""

    code = "reason_required"
    default_hint = "add --reason: a ticket or a sentence"


class TooManyAttempts(BadInput):
    """Too many tries of a login, a code or a link."""

    code = "too_many_attempts"
    default_hint = "wait, then try again"

    def __init__(self, message: str = "too many attempts", *, retry_after_seconds: int = 60) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TooManyExports(BadInput):
    """This subject had as many exports in 30 days as the deployment allows."""

    code = "too_many_exports"
    default_hint = "download the last one, or ask a privacy officer"


class KeyReused(BadInput):
    """An idempotency key came again with another request."""

    code = "key_reused"
    default_hint = "use a new Idempotency-Key for another request"


class AmbiguousSubject(BadInput):
    """The verified identities of a subject lead to two people: nobody's data is read before a human has looked."""

    code = "ambiguous_subject"
    default_hint = "find out who is who, correct the platform's records, then ask again"


class OnLegalHold(BadInput):
    """Held for a legal reason: it is neither erased nor purged before the hold is released (GDPR Art. 17(3)(e))."""

    code = "on_legal_hold"
    default_hint = "`portability holds list` shows who asked for the hold; release it first"


class ErasureRunning(BadInput):
    """The subject is being erased: nothing is begun for it, and nothing is held, before that has ended."""

    code = "erasure_running"
    default_hint = "wait until the erasure has ended"


class ExportsRunning(BadInput):
    """The subject has exports that have not ended: an erasure would take their data away under them."""

    code = "exports_running"
    default_hint = "wait until they have ended, or add --cancel-running"


class UnknownHold(BadInput):
    """A hold id that does not exist or is released already."""

    code = "unknown_hold"
    default_hint = "`portability holds list` shows them"

"""Errors of the engine: together with those of portability/api/errors.py one tree, grouped by whose fault it is.

BadInput             the caller's fault: exit code 2, nothing was changed
  BadSubject  BadDate  BadSource  UnknownProfile  UnknownExporter  UnknownDirectory  UnknownFormat  UnknownRegime
  UnknownExport  UnknownInstruction  UnknownKey  WrongState  NotAllowed
  UnknownLink  LinkInvalid  UnknownRecall  UnknownMandate  StepUpRequired  ReasonRequired  MandateRefused
  TooManyAttempts  TooManyExports  KeyReused
  AmbiguousSubject  OnLegalHold  ErasureRunning  ExportsRunning  UnknownHold  MissingExtra
ArchiveError         this software's fault while an archive is written
  VolumeFault  NoSigningKey
ControlError         queue, database and control of a job
  QueueUnavailable  DatabaseUnavailable  ProcessEnded  LeaseLost  Cancelled  Draining  Incomplete  Timeout
"""

from __future__ import annotations

from collections.abc import Sequence

from portability.api.errors import ArchiveError, BadInput, PortabilityError


class MissingExtra(BadInput):
    """The command needs a package that only an extra of the distribution installs."""

    code = "missing_extra"
    default_hint = 'pip install "vlint-portability[embedded]"'


class BadSubject(BadInput):
    """A subject that is not `user:ID`, `contact:ID` with a tenant, or `tenant:ID`, or does not fit the profile."""

    code = "bad_subject"
    default_hint = "use user:ID, contact:ID with --tenant T, tenant:ID, email:ADDRESS or phone:NUMBER"


class BadDate(BadInput):
    """An invalid date, or an empty range of dates."""

    code = "bad_date"
    default_hint = "use YYYY-MM-DD or an RFC 3339 time with its zone"


class BadSource(BadInput):
    """The source database cannot be used: it does not exist, or lacks the expected tables."""

    code = "bad_source"
    default_hint = "check PORTABILITY_SOURCE_URL; `portability seed` makes a source with made-up data"


class UnknownProfile(BadInput):
    """A profile that does not exist."""

    code = "unknown_profile"
    default_hint = "profiles are access, portability and switch"


class UnknownExporter(BadInput):
    """An exporter that is not installed."""

    code = "unknown_exporter"
    default_hint = "`portability plugins` lists what is installed"


class UnknownDirectory(BadInput):
    """A directory that is not installed."""

    code = "unknown_directory"
    default_hint = "check PORTABILITY_DIRECTORY; `schema` is the built-in one"


class UnknownFormat(BadInput):
    """A format that is not installed."""

    code = "unknown_format"
    default_hint = "`portability plugins` lists what is installed"


class UnknownRegime(BadInput):
    """A regime (law) that has no deadline rules here."""

    code = "unknown_regime"


class UnknownExport(BadInput):
    """An export id that does not exist."""

    code = "unknown_export"
    default_hint = "`portability list` shows the exports"


class UnknownInstruction(BadInput):
    """An instruction id that does not exist or is already withdrawn."""

    code = "unknown_instruction"
    default_hint = "`portability instructions list` lists them"


class UnknownKey(BadInput):
    """A key id that does not exist."""

    code = "unknown_key"
    default_hint = "`portability keys list` lists them"


class WrongState(BadInput):
    """The state of the export does not allow this action."""

    code = "wrong_state"


class NotAllowed(BadInput):
    """The actor may not do this."""

    code = "not_allowed"


class VolumeFault(ArchiveError):
    """A volume with an error; it is never finished, always aborted."""

    code = "volume_fault"
    retryable = True


class NoSigningKey(ArchiveError):
    """No active signing key exists on this machine, or not yet: a new one may still have to be copied here."""

    code = "no_signing_key"
    retryable = True
    default_hint = "`portability keys new` makes one"


class ControlError(PortabilityError):
    """A fault of the queue, the database, or the control of a job."""

    code = "control_error"


class QueueUnavailable(ControlError):
    """Redis does not answer. The request is stored and continues when a clock runs."""

    code = "queue_unavailable"
    retryable = True
    default_hint = "is Redis running, and PORTABILITY_REDIS_URL right? without servers: start `portability up`"


class DatabaseUnavailable(ControlError):
    """The database does not answer, or its schema is not the newest."""

    code = "database_unavailable"
    retryable = True
    default_hint = "check PORTABILITY_DATABASE_URL, then `portability db upgrade`"


class ProcessEnded(ControlError):
    """A process of the embedded stack ended while it started; `portability` ends with its exit code."""

    code = "process_ended"

    def __init__(self, message: str, *, hint: str | None = None, exit_status: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.exit_status = exit_status


class LeaseLost(ControlError):
    """Another worker owns the export now; this one stops and writes nothing more."""

    code = "lease_lost"


class Cancelled(ControlError):
    """The export was cancelled while it was running."""

    code = "cancelled"


class Draining(ControlError):
    """The worker must stop: it releases the export, and another worker writes the open volume again."""

    code = "draining"
    retryable = True


class Timeout(ControlError):
    """A wait exceeded its time limit; the awaited work continues."""

    code = "timeout"


class Incomplete(ControlError):
    """The export has gaps, and the request demanded a complete one."""

    code = "incomplete"
    default_hint = "`portability show ID` lists the gaps"


class UnknownLink(BadInput):
    """A link id that does not exist or is already revoked."""

    code = "unknown_link"
    default_hint = "`portability links ID` lists an export's links"


class LinkInvalid(BadInput):
    """Forged, unknown, expired, revoked or used up: the answer does not say which."""

    code = "link_invalid"
    default_hint = "ask for a new link"

    def __init__(self, message: str = "this link does not work", *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)


class UnknownRecall(BadInput):
    """A recall id that does not exist or is already closed."""

    code = "unknown_recall"
    default_hint = "check the id; the recall may already be closed"


class UnknownMandate(BadInput):
    """A mandate id that does not exist or has already ended."""

    code = "unknown_mandate"
    default_hint = "record a new mandate"


class MandateRefused(BadInput):
    """A mandate that does not cover the request: other subject, profile or agent, or it has ended."""

    code = "mandate_refused"
    default_hint = "record a mandate that covers the request"


class StepUpRequired(BadInput):
    """The login is not strong or recent enough; RFC 9470's challenge says what is required."""

    code = "step_up_required"
    default_hint = "log in again with a second factor"

    def __init__(
        self,
        message: str = "a strong and recent login is required",
        *,
        acr_values: Sequence[str] = (),
        max_age: int = 0,
        action: str = "",
        thing: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.acr_values, self.max_age, self.action, self.thing = tuple(acr_values), max_age, action, thing


class ReasonRequired(BadInput):
    """An action on another person's data needs a reason."""

    code = "reason_required"
    default_hint = "add --reason: a ticket or a sentence"


class TooManyAttempts(BadInput):
    """Too many attempts of a login, a code or a link."""

    code = "too_many_attempts"
    default_hint = "wait, then try again"

    def __init__(
        self, message: str = "too many attempts", *, retry_after_seconds: int = 60, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_seconds = retry_after_seconds


class TooManyExports(BadInput):
    """The subject reached the deployment's limit of exports in 30 days."""

    code = "too_many_exports"
    default_hint = "download the latest export, or contact a privacy officer"


class KeyReused(BadInput):
    """An idempotency key was sent again with a different request."""

    code = "key_reused"
    default_hint = "use a new Idempotency-Key for each request"


class AmbiguousSubject(BadInput):
    """A subject's verified identities belong to two people: no data is read before a human has checked them."""

    code = "ambiguous_subject"
    default_hint = "`portability identities` shows which source names whom; correct its records, then ask again"


class AddressOfAccount(BadInput):
    """The address of a request for a person without account belongs to an account: its data needs the account's login.

    No data is read: the person who reads a mailbox or answers a phone may be another person than the account holder.
    """

    code = "address_of_account"
    default_hint = "cancel the request: the person was informed by mail to log in and to request the data there"


class OnLegalHold(BadInput):
    """The subject is under a legal hold: nothing is erased or purged until it is released (GDPR Art. 17(3)(e))."""

    code = "on_legal_hold"
    default_hint = "`portability holds list` shows the hold; release it first"


class ErasureRunning(BadInput):
    """The subject is being erased: no request and no legal hold is accepted until the erasure has ended."""

    code = "erasure_running"
    default_hint = "wait until the erasure has ended"


class ExportsRunning(BadInput):
    """The subject has exports that have not ended, whose data an erasure would delete."""

    code = "exports_running"
    default_hint = "wait until they have ended, or add --cancel-running"


class UnknownHold(BadInput):
    """A hold id that does not exist or is already released."""

    code = "unknown_hold"
    default_hint = "`portability holds list` lists them"

"""All errors of this project, in one tree by whose fault it is.

PortabilityError
  BadInput             the caller's: exit code 2, nothing was changed
    BadSetting  BadSubject  BadDate  BadSource  UnknownProfile  UnknownExporter  UnknownFormat  UnknownRegime
    UnknownExport
    UnknownInstruction  UnknownKey  WrongState  NotAllowed  DuplicatePlugin  BrokenPlugin
  SourceError          a source's: it becomes a gap, never a broken archive
    SourceUnavailable  SourceRefused  SourceStalled  ExporterFault
  StorageError         our storage's: the volume is poisoned, aborted and tried again
    StorageUnavailable  StorageRefused  StorageFull  ObjectMissing  ObjectChanged  ForeignStore
  ArchiveError         ours while writing an archive
    FormatError  VolumeFault  NoSigningKey
  ControlError         the machinery around a job
    QueueUnavailable  DatabaseUnavailable  LeaseLost  Cancelled  Draining  Incomplete  Timeout

A message says what failed, on which thing and what was seen. It never holds personal data: no record values, no
names, no addresses; things are named by opaque ids. `hint` says what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar


class PortabilityError(Exception):
    """Base of all errors. `code` is stable and documented in docs/errors.md."""

    code: ClassVar[str] = "portability_error"
    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = self.default_hint if hint is None else hint


class BadInput(PortabilityError):
    """The caller asked for something that cannot be; nothing was changed."""

    code = "bad_input"


class BadSetting(BadInput):
    """One or more settings are missing or malformed; all faults are reported together."""

    code = "bad_setting"
    default_hint = "see docs/settings.md"


class BadSubject(BadInput):
    """A subject that is not `user:ID`, `contact:ID` with a tenant, or `tenant:ID`, or does not fit the profile."""

    code = "bad_subject"
    default_hint = "use user:ID, contact:ID with --tenant T, or tenant:ID"


class BadDate(BadInput):
    """A date that is none, or a range that is empty."""

    code = "bad_date"
    default_hint = "use YYYY-MM-DD or an RFC 3339 time with its zone"


class BadSource(BadInput):
    """The source database cannot be used as it is: not there, or without the expected tables."""

    code = "bad_source"
    default_hint = "check PORTABILITY_SOURCE_URL; `portability seed` makes a source to play with"


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
    """A law whose deadline is not known here."""

    code = "unknown_regime"


class UnknownExport(BadInput):
    """An export id that does not exist."""

    code = "unknown_export"
    default_hint = "`portability list` shows the exports"


class UnknownInstruction(BadInput):
    """An instruction id that does not exist or is withdrawn already."""

    code = "unknown_instruction"
    default_hint = "`portability instructions list` shows them"


class UnknownKey(BadInput):
    """A key id that does not exist."""

    code = "unknown_key"
    default_hint = "`portability keys list` shows them"


class WrongState(BadInput):
    """The export's state does not allow this."""

    code = "wrong_state"


class NotAllowed(BadInput):
    """The actor may not do this."""

    code = "not_allowed"


class DuplicatePlugin(BadInput):
    """Two installed plugins have one name."""

    code = "duplicate_plugin"
    default_hint = "uninstall one of the two packages"


class BrokenPlugin(BadInput):
    """A plugin that does not load or does not have the shape of its protocol."""

    code = "broken_plugin"
    default_hint = "check it with portability.testing.check_exporter"


class SourceError(PortabilityError):
    """A source's fault."""

    code = "source_error"


class SourceUnavailable(SourceError):
    """The source does not answer now; trying later may help."""

    code = "source_unavailable"
    retryable = True


class SourceRefused(SourceError):
    """The source answers and says no; trying later does not help."""

    code = "source_refused"


class SourceStalled(SourceError):
    """The source hangs: it was waited for, and is not asked again in this run. A retry of the gap may help."""

    code = "source_stalled"
    retryable = True
    default_hint = "look at the source; PORTABILITY_SOURCE_SECONDS is how long it is waited for"


class ExporterFault(SourceError):
    """An exporter broke its promises: raised, returned a non-JSON value or an undeclared field."""

    code = "exporter_fault"
    default_hint = "check it with portability.testing.check_exporter"


class StorageError(PortabilityError):
    """Object storage's fault."""

    code = "storage_error"


class StorageUnavailable(StorageError):
    """Storage does not answer now; trying later may help."""

    code = "storage_unavailable"
    retryable = True


class StorageRefused(StorageError):
    """Storage answers and says no: credentials, bucket or rights."""

    code = "storage_refused"
    default_hint = "check PORTABILITY_STORAGE_URL and the credentials with `portability doctor`"


class StorageFull(StorageError):
    """No space is left."""

    code = "storage_full"
    retryable = True
    default_hint = "free some space; the export goes on by itself"


class WrongClock(StorageError):
    """Storage takes no request of this machine, whose wall clock is wrong. Another machine can go on at once."""

    code = "wrong_clock"
    retryable = True
    default_hint = "set the machine's clock, and keep it right by NTP"


class ObjectMissing(StorageError):
    """No such object."""

    code = "object_missing"


class ObjectChanged(StorageError):
    """The object is not the version that was asked for."""

    code = "object_changed"


class ForeignStore(StorageError):
    """The storage folder is not the one that the database knows."""

    code = "foreign_store"
    default_hint = "mount the same folder on every machine, or use s3://"


class ArchiveError(PortabilityError):
    """A fault of ours while an archive is written."""

    code = "archive_error"


class FormatError(ArchiveError):
    """A value that a format cannot carry without loss."""

    code = "format_error"


class VolumeFault(ArchiveError):
    """A volume that went wrong; it is never finished, always aborted."""

    code = "volume_fault"
    retryable = True


class NoSigningKey(ArchiveError):
    """There is no active key to sign with on this machine, or not yet: a new one may still have to be copied here."""

    code = "no_signing_key"
    retryable = True
    default_hint = "`portability keys new` makes one"


class ControlError(PortabilityError):
    """The machinery around a job."""

    code = "control_error"


class QueueUnavailable(ControlError):
    """Redis does not answer. The request is kept in the database and goes on when a clock runs."""

    code = "queue_unavailable"
    retryable = True
    default_hint = "start `portability up`, or check PORTABILITY_REDIS_URL"


class DatabaseUnavailable(ControlError):
    """The database does not answer or is not migrated."""

    code = "database_unavailable"
    retryable = True
    default_hint = "check PORTABILITY_DATABASE_URL, then `portability db upgrade`"


class LeaseLost(ControlError):
    """Another worker owns the export now; this one stops without writing anything more."""

    code = "lease_lost"


class Cancelled(ControlError):
    """The export was cancelled while it ran."""

    code = "cancelled"


class Draining(ControlError):
    """The worker is asked to stop: it gives the export back, and another one writes the open volume anew."""

    code = "draining"
    retryable = True


class Timeout(ControlError):
    """What was waited for did not come in time; it goes on without the one who waits."""

    code = "timeout"


class Incomplete(ControlError):
    """The export has gaps and the request asked for a complete one."""

    code = "incomplete"
    default_hint = "`portability show ID` names the gaps"


def all_errors() -> Iterator[type[PortabilityError]]:
    """Every class of the tree, parents first."""
    queue: list[type[PortabilityError]] = [PortabilityError]
    while queue:
        error = queue.pop(0)
        yield error
        queue.extend(error.__subclasses__())

"""Errors that plug-ins raise or receive, grouped by whose fault it is; the others are in portability/errors.py.

PortabilityError
  BadInput             the caller's fault: exit code 2, nothing was changed
    BadSetting  BadMap  DuplicatePlugin  BrokenPlugin
  SourceError          a source's fault: it becomes a gap, never a broken archive
    SourceUnavailable  SourceRefused  SourceDamaged  SourceStalled  ExporterFault
  StorageError         the storage's fault: the volume is aborted and retried
    StorageUnavailable  StorageRefused  StorageFull  WrongClock  ObjectMissing  ObjectChanged  ForeignStore
  ArchiveError         this software's fault while an archive is written
    FormatError

A message says what failed, on which object and what was seen. It never contains personal data: no record values, no
names, no addresses; objects are named by opaque ids. `hint` says what to do next to who runs commands, `caller_hint`
to a caller over HTTP, who runs none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar


class PortabilityError(Exception):
    """The base class of all errors. `code` is stable and documented in docs/errors.md."""

    code: ClassVar[str] = "portability_error"
    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None, caller_hint: str = "") -> None:
        super().__init__(message)
        self.caller_hint = caller_hint
        self.hint = self.default_hint if hint is None else hint


class BadInput(PortabilityError):
    """The caller's request is invalid; nothing was changed."""

    code = "bad_input"


class BadSetting(BadInput):
    """One or more settings are missing or invalid; all errors are reported together."""

    code = "bad_setting"
    default_hint = "see docs/settings.md"


class BadMap(BadInput):
    """The map of a source is invalid; all its faults are reported together, each with line and column."""

    code = "bad_map"
    default_hint = "see docs/maps.md"


class DuplicatePlugin(BadInput):
    """Two installed plug-ins have the same name."""

    code = "duplicate_plugin"
    default_hint = "uninstall one of the two packages, or name one in the file PORTABILITY_SOURCES"


class BrokenPlugin(BadInput):
    """A plug-in cannot be loaded, or does not fulfil its protocol."""

    code = "broken_plugin"
    default_hint = "check it with the suites of portability.testing; see docs/plugins.md"


class SourceError(PortabilityError):
    """A fault of a source."""

    code = "source_error"
    reason: str = ""
    """Of a file that cannot be read: `missing` or `changed`; empty: the code is the reason of the gap."""

    def __init__(self, message: str, *, hint: str | None = None, caller_hint: str = "", reason: str = "") -> None:
        super().__init__(message, hint=hint, caller_hint=caller_hint)
        self.reason = reason


class SourceUnavailable(SourceError):
    """The source does not answer now; a later attempt may succeed."""

    code = "source_unavailable"
    retryable = True
    is_local = False
    """Whether this machine lacks what reading needs, such as room for temporary files; the source may be well."""


class SourceRefused(SourceError):
    """The source answers with a refusal; a later attempt does not help."""

    code = "source_refused"
    is_about_value = False
    """Whether it refuses the id that it was asked for, because of its form: it may answer for another id."""


class SourceDamaged(SourceRefused):
    """The source has lost a part of what it stores, or of an index: what it answers may lack records."""

    code = "source_damaged"
    default_hint = "see what PRAGMA integrity_check says; REINDEX repairs an index, and a copy the rest"


class SourceStalled(SourceError):
    """The source did not answer within its time limit and is not read again in this run; retrying the gap may help."""

    code = "source_stalled"
    retryable = True
    default_hint = "check the source; PORTABILITY_SOURCE_SECONDS is the time limit for its answers"


class WorkerDied(SourceError):
    """Workers died while they asked this source: a fault of a C library, or more memory than the machine has."""

    code = "worker_died"
    retryable = True
    default_hint = "look for the kernel's out-of-memory killer and for a crash of a library; then retry the gap"


class ExporterFault(SourceError):
    """An exporter violated its contract: it raised an error, or returned a non-JSON value or an undeclared field."""

    code = "exporter_fault"
    default_hint = "check it with portability.testing.check_exporter"


class StorageError(PortabilityError):
    """A fault of the object storage."""

    code = "storage_error"


class StorageUnavailable(StorageError):
    """Storage does not answer now; a later attempt may succeed."""

    code = "storage_unavailable"
    retryable = True
    default_hint = "does the storage run, and is its URL right? see docs/storage.md"


class StorageRefused(StorageError):
    """Storage answers with a refusal: credentials, bucket or permissions are wrong."""

    code = "storage_refused"
    default_hint = "check PORTABILITY_STORAGE_URL, the credentials and their rights; see docs/storage.md"


class StorageFull(StorageError):
    """No storage space is left."""

    code = "storage_full"
    retryable = True
    default_hint = "free some space; exports continue automatically, commands when they are run again"


class WrongClock(StorageError):
    """Storage rejects all requests of this machine because its clock is wrong. Another machine can continue at once."""

    code = "wrong_clock"
    retryable = True
    default_hint = "set the machine's clock, and synchronise it by NTP"


class ObjectMissing(StorageError):
    """The object does not exist."""

    code = "object_missing"


class ObjectChanged(StorageError):
    """The object is not the requested version."""

    code = "object_changed"


class ForeignStore(StorageError):
    """The storage folder is not the one that is recorded in the database."""

    code = "foreign_store"
    default_hint = "mount the same folder on every machine, or use s3://"


class ArchiveError(PortabilityError):
    """A fault of this software while an archive is written."""

    code = "archive_error"


class FormatError(ArchiveError):
    """A value that a format cannot represent without loss."""

    code = "format_error"


def all_errors() -> Iterator[type[PortabilityError]]:
    """Every class of the tree, parents first."""
    queue: list[type[PortabilityError]] = [PortabilityError]
    while queue:
        error = queue.pop(0)
        yield error
        queue.extend(error.__subclasses__())

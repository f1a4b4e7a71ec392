"""Faults of a source for tests: one chosen call fails as databases, file stores and web services fail."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx
from sqlalchemy import Dialect, Engine, event

from portability.api import FileStore
from portability.api.errors import SourceRefused, SourceUnavailable

_STATEMENTS = ("do_execute", "do_execute_no_params", "do_executemany")

_SQLITE = {"unavailable": "SQLITE_IOERR", "slow": "SQLITE_BUSY", "refused": "SQLITE_AUTH"}
_SQLSTATE = {"unavailable": "57P01", "slow": "57014", "refused": "42501"}
"""PostgreSQL: shut down by an administrator, statement timeout, no privilege."""
_MARIADB = {"unavailable": 2013, "slow": 1969, "refused": 1142}
"""MariaDB: connection lost, statement timeout, command denied."""


class FaultMode(StrEnum):
    """How a call of a source fails."""

    UNAVAILABLE = "unavailable"
    """It does not answer: a lost connection, HTTP 503."""
    SLOW = "slow"
    """It answers too late: the time limit of the database or of the HTTP client ends the call."""
    REFUSED = "refused"
    """It answers with a refusal: a missing privilege, HTTP 403."""


@dataclass(slots=True)
class SourceFaults:
    """Counts the calls of a source, and lets one of them fail. Not thread-safe: one test uses it."""

    calls: int = 0
    """Calls since `arm`."""
    failed: int = 0
    """Calls that failed since `arm`."""
    _mode: FaultMode | None = field(default=None, repr=False)
    _at: int = 0

    def arm(self, mode: FaultMode | None = None, at: int = 0) -> None:
        """Count from 0, and let call number `at` (from 1) fail; without a mode all calls succeed."""
        self.calls = self.failed = 0
        self._mode, self._at = mode, at

    def due(self) -> FaultMode | None:
        """Count a call of the source; returns how it must fail. For test servers of an own kind."""
        self.calls += 1
        if self._mode is None or self.calls != self._at:
            return None
        self.failed += 1
        return self._mode

    def watch(self, engine: Engine) -> None:
        """Let statements of a database fail with the errors of its driver."""
        for name in _STATEMENTS:
            event.listen(engine, name, self._execute)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Let statements of every database fail within the block: for exporters that open their own."""
        executing = self._execute
        for name in _STATEMENTS:
            event.listen(Engine, name, executing)
        try:
            yield
        finally:
            for name in _STATEMENTS:
                event.remove(Engine, name, executing)

    def _execute(self, *arguments: Any) -> None:  # noqa: ANN401  # as SQLAlchemy calls listeners
        if (mode := self.due()) is not None:
            raise _driver_error(arguments[-1].dialect, mode)

    def files(self, store: FileStore) -> FileStore:
        """Return a file store whose calls fail."""
        return _FailingFiles(store, self)

    def transport(self, transport: httpx.BaseTransport) -> httpx.BaseTransport:
        """Return a transport of httpx whose requests fail."""
        return _FailingTransport(transport, self)


@dataclass(frozen=True, slots=True)
class _FailingFiles:
    store: FileStore
    faults: SourceFaults

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        self._call()
        return self.store.read(key, offset, etag=etag)

    def stat(self, key: str) -> tuple[int, str] | None:
        self._call()
        return self.store.stat(key)

    def _call(self) -> None:
        match self.faults.due():
            case None:
                return
            case FaultMode.REFUSED:
                raise SourceRefused("forbidden: the store refuses the file")
            case mode:
                raise SourceUnavailable(f"{mode}: the store does not answer")


class _FailingTransport(httpx.BaseTransport):
    def __init__(self, transport: httpx.BaseTransport, faults: SourceFaults) -> None:
        self._transport, self._faults = transport, faults

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        match self._faults.due():
            case None:
                return self._transport.handle_request(request)
            case FaultMode.REFUSED:
                return httpx.Response(403, request=request)
            case FaultMode.SLOW:
                raise httpx.ReadTimeout("too slow", request=request)
            case FaultMode.UNAVAILABLE:
                return httpx.Response(503, request=request)

    def close(self) -> None:
        self._transport.close()


def _driver_error(dialect: Dialect, mode: FaultMode) -> Exception:
    """Return what the driver of a database raises; drivers have the same classes (PEP 249), and codes of their own."""
    driver: Any = dialect.loaded_dbapi
    error: Any
    if dialect.name == "sqlite":
        # As sqlite3 does: only a denial by the authorizer is not an OperationalError.
        error = (sqlite3.DatabaseError if mode is FaultMode.REFUSED else sqlite3.OperationalError)(mode)
        error.sqlite_errorname = _SQLITE[mode]
    elif dialect.name == "postgresql":
        error = driver.errors.lookup(_SQLSTATE[mode])(mode)
    else:
        error = driver.OperationalError(_MARIADB[mode], mode)
    raised: Exception = error
    return raised

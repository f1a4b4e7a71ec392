"""Why the control database fails, in words for an operator: of its text only that its cause is known is repeated."""

from __future__ import annotations

import re
from typing import NamedTuple

from portability.database.sqlite_files import DISK_FAULTS


class FailureCause(NamedTuple):
    """What an error says, without any value of a row or account, and what to do; None: what the error class says."""

    seen: str
    hint: str | None = None


_DISK = FailureCause("", "check the disk of the database: is it full, and may this user write the file and its folder?")
_DAMAGED = FailureCause(
    "",
    "its file is damaged, or is another one than its -wal file belongs to: stop all processes, then restore all of its"
    " files together, or the file alone after deleting -wal and -shm",
)
_BUSY = FailureCause("", "another process writes into the file: wait until it has ended, then run it again")
_LOCK = FailureCause("", "another session keeps a lock: look at pg_locks and pg_stat_activity, then run it again")
_ENDED = FailureCause("", "the server has ended the connection: wait until it is up, then run it again")
_RIGHT = FailureCause("", "grant the role of the URL the right that it lacks")
_READ_ONLY = FailureCause("", "the server is a replica, or the database or role is set to read only")
_LIMIT = FailureCause("", "a time limit of the server or role has ended it: docs/errors.md")
_SILENT = FailureCause("it does not answer in time", "look at the network and at the server")
_MEMORY = FailureCause(
    "", "the server has no memory for it: look at its log; for many locks at a time, raise max_locks_per_transaction"
)
_SORTING = FailureCause("", "raise temp_file_limit of the server or role, or work_mem")
_BY_KIND = {
    re.compile("ConnectionTimeout"): _SILENT,
    re.compile(f"{DISK_FAULTS}|DiskFull"): _DISK,
    re.compile("SQLITE_(CORRUPT|NOTADB)"): _DAMAGED,
    re.compile("SQLITE_BUSY"): _BUSY,
    re.compile("LockNotAvailable|DeadlockDetected"): _LOCK,
    re.compile("AdminShutdown|CrashShutdown|CannotConnectNow|DatabaseDropped"): _ENDED,
    re.compile("InsufficientPrivilege"): _RIGHT,
    re.compile("ReadOnlySqlTransaction"): _READ_ONLY,
    re.compile("QueryCanceled|IdleInTransactionSessionTimeout|TransactionTimeout"): _LIMIT,
    re.compile("OutOfMemory"): _MEMORY,
    re.compile("ConfigurationLimitExceeded"): _SORTING,
}
"""By the type of the driver's error, and the code of SQLite."""
_ACCOUNT = FailureCause("it refuses the account", "check user, password and pg_hba.conf")
_AT_CONNECT = {
    "too many clients already|remaining connection slots|too many connections for": FailureCause(
        "all its connections are in use",
        "raise max_connections, or share connections by a pooler: docs/operate.md#a-pooler-before-postgresql",
    ),
    "authentication failed|no pg_hba.conf entry|no password supplied": _ACCOUNT,
    'role "[^"]*" (does not exist|is not permitted)': _ACCOUNT,
    'database "[^"]*" does not exist': FailureCause(
        "there is no such database",
        "create it, or correct its name in its URL; a new control database needs `portability db upgrade`",
    ),
    # Of a server whose disk is full: it answers, and each new connection needs a file.
    "could not write|No space left": FailureCause("it cannot write to its disk", "make room on the disk of its data"),
    "starting up|shutting down|recovery mode|not yet accepting": FailureCause(
        "it starts or stops", "wait until it is up"
    ),
    "[Cc]onnection refused|No such file or directory": FailureCause(
        "nothing listens there", "start PostgreSQL, or correct host and port in its URL"
    ),
    "could not translate host name|resolve host|Name or service not known": FailureCause(
        "its host has no address", "correct the host in its URL, or the name service"
    ),
    "server closed the connection|SSL connection has been closed|SSL SYSCALL|connection is (lost|closed)": FailureCause(
        "the connection was lost", _ENDED.hint
    ),
    "SSL|[Cc]ertificate": FailureCause(
        "TLS with it fails", "correct sslmode and sslrootcert in its URL, or the certificate of the server"
    ),
    "timeout expired|timed out": _SILENT,
}
"""By the server's or libpq's text: an error while connecting has no code."""
_DENIED = re.compile(r"(?:permission denied for|must be owner of) (table|schema|sequence|view|database) (\w{1,63})")
"""Names in the schema, and no value."""

_NO_SAVEPOINT = "no such savepoint"


def found(error: BaseException | None) -> FailureCause:
    """Return the type of a driver's error and, where it is known, its cause; the error's text may quote data."""
    error = _original(error)
    kind = " ".join(filter(None, (type(error).__name__, getattr(error, "sqlite_errorname", None))))
    for pattern, cause in _BY_KIND.items():
        if pattern.search(kind):
            denied = _DENIED.search(str(error)) if cause is _RIGHT else None
            return FailureCause(f"{kind} for the {denied[1]} {denied[2]}" if denied else kind, cause.hint)
    if kind == "OperationalError":
        for text, cause in _AT_CONNECT.items():
            if re.search(text, str(error)):
                return FailureCause(f"{kind}, {cause.seen}", cause.hint)
    return FailureCause(kind)


def _original(error: BaseException | None) -> BaseException | None:
    """Return the error that ended a transaction: after it, SQLite fails at the return to a savepoint, too."""
    before = getattr(error.__context__, "orig", None) if error and _NO_SAVEPOINT in str(error) else None
    return before if isinstance(before, BaseException) else error

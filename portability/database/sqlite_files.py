"""Files of SQLite databases: a new file is for its owner alone, and the file of another system may be replaced."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

from sqlalchemy import Dialect, Engine, event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from portability.errors import DatabaseUnavailable

DISK_FAULTS = "SQLITE_(FULL|IOERR|CANTOPEN|READONLY)"
"""Names of errors about the file or its disk, as a pattern (sqlite.org/rescode.html)."""
_FILE = "portability_file"


def check_exists(url: str) -> None:
    """Check that a control database has its file: SQLite would make an empty one. Raises DatabaseUnavailable."""
    target = make_url(url)
    path = target.database or ""
    if target.drivername != "sqlite" or path.startswith("file:"):
        return
    try:
        Path(path).stat()
    except FileNotFoundError:
        hint = "correct PORTABILITY_DATABASE_URL; `portability db upgrade` makes a new one"
        raise DatabaseUnavailable(f"there is no control database at {path}", hint=hint) from None
    except OSError:
        return  # to open it fails, and says why


def follow(engine: Engine, path: str) -> None:
    """Read the file that has the name at each transaction: another system replaces its file as a whole.

    The open file keeps its rows, even if it was deleted.
    """
    event.listen(engine, "do_connect", partial(_note_file, path))
    event.listen(engine, "checkout", partial(_check_file, path))


def make_private(engine: Engine, path: str) -> None:
    """Make the file of a new database for its owner alone: SQLite gives it, and its log, the rights of the umask."""
    if not path.startswith((":memory:", "file:")):  # no file, or a URI of an operator's own
        event.listen(engine, "do_connect", partial(_make_private, path))


def _note_file(path: str, _dialect: Dialect, record: ConnectionPoolEntry, *_arguments: object) -> None:
    record.info[_FILE] = _file_at(path)


def _check_file(path: str, _connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
    if record.info[_FILE] != _file_at(path):
        raise DisconnectionError  # the pool then opens the file anew


def _file_at(path: str) -> tuple[int, int] | None:
    """Return what identifies the file at a path; None: it does not exist."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make_private(path: str, *_connecting: object) -> None:
    # A file that exists is not opened: closing it would end the locks of this process's connections to it.
    with suppress(OSError):  # SQLite reports it
        Path(path).touch(mode=0o600, exist_ok=False)

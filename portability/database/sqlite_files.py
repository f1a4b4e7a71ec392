"""Files of SQLite databases: a new file is for its owner alone, and only the file of another system may be replaced."""

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
_REPLACED_HINT = (
    "stop all processes, remove the files of the same name with -wal and -shm, put the database back, and start again"
)


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


def keep(engine: Engine, path: str) -> None:
    """Make the file of a new control database for its owner alone; refuse transactions once another file has its name.

    They would be in a file that no other process reads, and a start compares the database with the journal.
    """
    if path.startswith((":memory:", "file:")):  # no file, or a URI of an operator's own
        return
    opened = _OpenedFile(path)
    event.listen(engine, "do_connect", opened.note)
    event.listen(engine, "checkout", opened.check)


class _OpenedFile:
    """The file of a control database that a process has opened first."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: tuple[int, int] | None = None

    def note(self, *_connecting: object) -> None:
        """Note which file is opened, and make it if it is absent. Raises DatabaseUnavailable as `check` does."""
        if self._file:
            self.check()  # before SQLite makes an empty file in the place of one that was deleted
        else:
            _make_private(self._path)
            self._file = _file_at(self._path)

    def check(self, *_taken: object) -> None:
        """Check that the name still leads to the file. Raises DatabaseUnavailable."""
        present = _file_at(self._path)
        if self._file and self._file != present:
            what = "replaced" if present else "deleted"
            seen = f"the file of the control database {self._path} was {what} while this process had it open"
            raise DatabaseUnavailable(seen, hint=_REPLACED_HINT)


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


def _make_private(path: str) -> None:
    """Make the file for its owner alone: SQLite gives it, and its log, the rights of the umask."""
    # A file that exists is not opened: closing it would end the locks of this process's connections to it.
    with suppress(OSError):  # SQLite reports it
        Path(path).touch(mode=0o600, exist_ok=False)

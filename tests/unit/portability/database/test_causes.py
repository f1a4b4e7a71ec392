from __future__ import annotations

from psycopg import OperationalError

from portability.database import causes


def test_a_server_whose_disk_is_full_is_named_at_connect() -> None:
    """PostgreSQL says only which file it could not write, without the word disk, and no code."""
    seen = 'connection to server at "127.0.0.1", port 5432 failed: FATAL:  could not write init file'
    cause = causes.found(OperationalError(seen))
    assert (cause.seen, cause.hint) == (
        "OperationalError, it cannot write to its disk",
        "make room on the disk of its data",
    )

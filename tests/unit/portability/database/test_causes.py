from __future__ import annotations

import pytest
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


@pytest.mark.parametrize(
    "seen",
    [
        "connection is bad: server does not support SSL, but SSL was required",
        'root certificate file "/x/root.crt" does not exist',
        "SSL error: certificate verify failed",
    ],
)
def test_a_fault_of_tls_is_named_at_connect(seen: str) -> None:
    """A URL with `sslmode=verify-full`, as docs/operate.md has it, and a server without TLS or of another authority."""
    cause = causes.found(OperationalError(seen))
    assert cause.seen == "OperationalError, TLS with it fails"
    assert "sslrootcert" in (cause.hint or "")

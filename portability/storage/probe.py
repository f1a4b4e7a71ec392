"""Does a storage really keep what it is given? The same question for every kind."""

from __future__ import annotations

import re
import secrets

from portability.errors import StorageUnavailable
from portability.storage import Storage

PROBES = "portability-check"
PROBE = re.compile(rf"{PROBES}/[0-9a-f]{{16}}")


def probe(storage: Storage) -> None:
    """Write, read back and delete a small object.

    Raises: StorageError, with the hint of what failed.
    """
    key = f"{PROBES}/{secrets.token_hex(8)}"
    body = secrets.token_bytes(1000)
    upload = storage.begin(key)
    try:
        upload.write(body)
        stored = upload.complete()
    except BaseException:
        upload.abort()
        raise
    try:
        seen = b"".join(storage.read(key, etag=stored.etag))
        part = b"".join(storage.read(key, 500, etag=stored.etag))
    finally:
        storage.delete(key)
    if (seen, part) != (body, body[500:]):
        raise StorageUnavailable(f"{key} came back other than it was written", hint="use another storage")

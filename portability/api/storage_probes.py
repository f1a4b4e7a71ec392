"""Checks of a storage: a small object is written, read back and deleted."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from portability.api.errors import StorageError, StorageUnavailable
from portability.api.storages import Storage, put

PROBES = "portability-check"
"""The folder of the objects that `probe` writes."""
PROBE = re.compile(rf"{PROBES}/[0-9a-f]{{16}}")
PROBE_AGE = timedelta(hours=24)
"""A younger probe may belong to a check that runs, by the clock of another machine."""


def probe(storage: Storage) -> None:
    """Write, read back and delete a small object: the default for `Storage.check`.

    Objects that killed checks have left a day ago are deleted: a storage without archives is never swept.

    Raises: StorageError, with a hint for what failed.
    """
    _forget_probes(storage)
    key = f"{PROBES}/{os.urandom(8).hex()}"
    body = os.urandom(1000)
    stored = put(storage, key, body)
    try:
        seen = b"".join(storage.read(key, etag=stored.etag))
        part = b"".join(storage.read(key, 500, etag=stored.etag))
    finally:
        storage.delete(key)
    if (seen, part) != (body, body[500:]):
        raise StorageUnavailable(f"{key} was read back with other bytes than were written", hint="use another storage")


def _forget_probes(storage: Storage) -> None:
    # An account without the right to list or delete can still be checked.
    with suppress(StorageError):
        for found in list(storage.list(f"{PROBES}/")):
            if PROBE.fullmatch(found.key) and found.modified_at < datetime.now(UTC) - PROBE_AGE:
                storage.delete(found.key)

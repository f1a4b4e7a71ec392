"""Objects put into a storage."""

from __future__ import annotations

from portability.api.storages import Storage, StoredObject


def store_object(storage: Storage, key: str, body: bytes, *, block_bytes: int = 1 << 20) -> StoredObject:
    """Upload a body in blocks."""
    upload = storage.begin(key, media_type="application/zip")
    for start in range(0, len(body), block_bytes):
        upload.write(body[start : start + block_bytes])
    return upload.complete()

"""Withdraw: take back whatever was stored for a volume that will never be part of an archive."""

from __future__ import annotations

from sqlalchemy import RowMapping

from portability.storage import Storage
from worker import excerpt
from worker.checkpoint import UNKNOWN_UPLOAD


def withdraw(storage: Storage, row: RowMapping) -> None:
    """Abort the upload of a volume's row, delete its object and what lies beside it. Twice is no error.

    Raises: StorageError.
    """
    if row["upload_id"] == UNKNOWN_UPLOAD:
        for upload in storage.uploads(row["object_key"]):
            storage.abort(upload.key, upload.upload_id)
    else:
        storage.abort(row["object_key"], row["upload_id"])
    storage.delete(row["object_key"])
    excerpt.withdraw(storage, row["object_key"])

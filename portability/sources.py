"""What the host lends to exporters: the platform's database and files, opened on first use in the exporting process."""

from __future__ import annotations

from functools import cached_property

from sqlalchemy import Engine

from portability.api import FileStore
from portability.db import open_engine
from portability.settings import Settings
from portability.storage import Storage, open_storage, prepare
from portability.storage.files import StorageFiles


class PlatformSources:
    """The `Sources` of a real export. Only what is closed, or prepared and not used since, may pass a fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def database(self) -> Engine:
        return open_engine(self._settings.source, read_only=True)

    @cached_property
    def files(self) -> FileStore:
        return StorageFiles(self._storage)

    @cached_property
    def _storage(self) -> Storage:
        return open_storage(self._settings.recordings)

    def prepare(self) -> None:
        """Make what takes long to make, and leave no connection open. Raises StorageError."""
        prepare(self._storage)

    def close(self) -> None:
        """Close all connections; new ones are opened when they are needed."""
        self.database.dispose()

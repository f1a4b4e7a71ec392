"""Keys in the shared credentials file of AWS libraries: read again when the file changes, while processes run."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

from botocore.credentials import CredentialProvider, Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session as Core

FileStamp: TypeAlias = tuple[int, int, int]
PROVIDER = "shared-credentials-file"
"""The provider of botocore that reads the file once."""


def follow(core: Core) -> None:
    """Let the clients of a session sign with the keys that the file has at that moment."""
    providers: Any = core.get_component("credential_provider")
    name = str(core.get_config_variable("credentials_file"))
    path = Path(os.path.expanduser(name))  # noqa: PTH111  # an account may have no home
    providers.insert_before(PROVIDER, _FollowingProvider(providers.get_provider(PROVIDER), path))


class _FollowingProvider(CredentialProvider):
    METHOD = f"{PROVIDER}-followed"

    def __init__(self, reader: Any, path: Path) -> None:  # noqa: ANN401  # untyped in botocore
        self._reader, self._path = reader, path

    def load(self) -> FileCredentials | None:
        """Return the keys of the file; None: it has none for the profile."""
        seen = _stamp(self._path)
        found = self._reader.load()
        return FileCredentials(found, self._reader, self._path, seen) if found else None


class FileCredentials(Credentials):
    """The keys of a file. While it cannot be read, or is half written, the keys before stay."""

    def __init__(self, found: Credentials, reader: Any, path: Path, seen: FileStamp | None) -> None:  # noqa: ANN401  # untyped in botocore
        super().__init__(
            found.access_key, found.secret_key, found.token, found.method, getattr(found, "account_id", None)
        )
        self._reader, self._path, self._seen = reader, path, seen
        self._lock = Lock()

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the keys that a request is signed with."""
        with self._lock:
            stamp = _stamp(self._path)
            if stamp != self._seen and (found := self._read()) is not None:
                self.access_key, self.secret_key, self.token = found.access_key, found.secret_key, found.token
                self._seen = stamp
            return super().get_frozen_credentials()

    def _read(self) -> Credentials | None:
        try:
            found: Credentials | None = self._reader.load()
        except (BotoCoreError, OSError, ValueError):
            return None
        return found


def _stamp(path: Path) -> FileStamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size

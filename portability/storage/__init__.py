"""Object storage behind one protocol: a storage URL's scheme selects a plug-in among the entry points."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from portability.api.errors import BrokenPlugin, PortabilityError, StorageError
from portability.api.storages import PreparedStorage, Storage, StorageFactory, bad_url
from portability.plugins import STORAGES, find


def open_storage(url: str, *, sse: str | None = None) -> Storage:
    """Open the storage that a URL names, without any connection yet. docs/storage.md describes the URLs.

    Args:
        url: location of the storage; its scheme is the name of a plug-in of the group `portability.storages`.
        sse: server-side encryption, in the words of the storage; on S3 `AES256`, `aws:kms` or `aws:kms:KEY`.

    Raises:
        BadSetting: for an invalid URL; the message does not repeat it, because it may contain secrets.
        DuplicatePlugin, BrokenPlugin.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise bad_url("is not a URL") from None
    if parts.username or parts.password or parts.fragment:
        raise bad_url("must not contain a user, password or fragment")
    found = find(STORAGES)
    if parts.scheme not in found:
        raise bad_url(f"begins with {parts.scheme + ':' if parts.scheme else 'no scheme'}")
    factory: StorageFactory = found[parts.scheme].load()
    try:
        storage = factory(parts, sse)
    except PortabilityError:
        raise
    except Exception as error:
        raise BrokenPlugin(f"storage plug-in {parts.scheme!r} cannot be started: {type(error).__name__}") from error
    if not isinstance(storage, Storage):
        raise BrokenPlugin(f"storage plug-in {parts.scheme!r} is not a Storage: it is a {type(storage).__name__}")
    return storage


@contextmanager
def named_by(option: str) -> Iterator[None]:
    """Name the option or setting that a storage was given by in the hints of its errors.

    They name that of this deployment's own archives.
    """
    try:
        yield
    except StorageError as error:
        error.hint = error.hint.replace("PORTABILITY_STORAGE_URL", option)
        raise


def prepare(storage: Storage) -> None:
    """Prepare a storage if it supports preparation. Raises StorageError."""
    if isinstance(storage, PreparedStorage):
        storage.prepare()

"""The contract of every storage: the public suite for each built-in kind, one check a test."""

from __future__ import annotations

import pytest
import servers

from portability.api import Storage
from portability.storage import open_storage
from portability.storage.s3.bucket import S3Storage
from portability.testing.storages import PART_BYTES, STORAGE_RULES
from portability.testing.uploads import StorageOpener, StorageRule


@pytest.fixture(params=["file", "s3"])
def opener(request: pytest.FixtureRequest) -> StorageOpener:
    """One empty storage, which a test can open repeatedly, as other processes would. S3 lists in small pages."""
    if request.param == "file":
        url = (request.getfixturevalue("tmp_path") / "store").as_uri()
        return lambda: open_storage(url)
    server: servers.S3Server = request.getfixturevalue("s3")
    prefix = request.getfixturevalue("s3_url").split("/")[3].split("?")[0]

    def bucket() -> Storage:
        return S3Storage(
            server.bucket,
            prefix,
            endpoint=server.endpoint,
            addressing="path",
            first_part_bytes=PART_BYTES,
            page_objects=3,
        )

    return bucket


@pytest.mark.parametrize("rule", STORAGE_RULES, ids=lambda rule: rule.__name__)
def test_keeps_every_promise(opener: StorageOpener, rule: StorageRule) -> None:
    """Each rule of the public suite holds for a folder and for a bucket."""
    rule(opener, PART_BYTES)

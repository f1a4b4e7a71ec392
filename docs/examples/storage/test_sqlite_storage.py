"""The storage meets the requirements."""

from pathlib import Path
from urllib.parse import urlsplit

from sqlite_storage import SqliteStorage, open_file

from portability.api import BLOCK_BYTES
from portability.testing import check_storage


def test_requirements(tmp_path: Path) -> None:
    """Each opening is like that of another process; at the end the storage is empty."""

    def opened() -> SqliteStorage:
        return open_file(urlsplit(f"sqlite://{tmp_path}/archives.db"), None)

    check_storage(opened, part_bytes=BLOCK_BYTES)
    assert list(opened().list()) == []
    assert list(opened().uploads()) == []

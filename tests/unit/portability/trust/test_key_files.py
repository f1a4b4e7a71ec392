from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from factories import World

from portability.database.engine import writing
from portability.trust import keys
from receiver.ledger.seals import JournalKey


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """Let each write beyond this number of bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_part_of_a_signing_key(made: World) -> None:
    """The folder is as before, because a part of a key would stop what reads all keys of the folder."""
    folder = made.place.settings.keys
    before = sorted(folder.iterdir())
    with pytest.raises(OSError), disk_full_after(20), writing(made.engine) as connection:  # noqa: PT011  # of any errno
        keys.new(connection, folder, actor="operator:test")
    assert sorted(folder.iterdir()) == before


def test_an_import_on_a_full_disk_can_be_repeated(tmp_path: Path) -> None:
    """The journal's key is whole or absent: the next import makes it, and all that follow read the same key."""
    path = tmp_path / "state" / "import-journal.key"
    with pytest.raises(OSError), disk_full_after(20):  # noqa: PT011  # of any errno
        JournalKey.at(path, make=True)
    assert list(path.parent.iterdir()) == []
    made_key = JournalKey.at(path, make=True)
    assert JournalKey.at(path, make=True).kid == made_key.kid
    assert (path.stat().st_mode & 0o777, list(path.parent.iterdir())) == (0o600, [path])

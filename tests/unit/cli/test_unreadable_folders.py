"""A folder of another account: what reads it says so, and does not take it for an empty one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from factories import World

from portability.errors import NoSigningKey
from portability.law import notice
from portability.law.notice import NoticeHole
from portability.trust import keys
from receiver.importer.contents import bags

Close = Callable[[Path], Path]


@pytest.fixture
def close(monkeypatch: pytest.MonkeyPatch) -> Close:
    """Let the system refuse the listing of a folder, as it does to an account without rights."""

    def closed(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        for name in ("listdir", "scandir"):
            listing: Callable[..., Any] = getattr(os, name)

            def refused(path: Any = ".", listing: Callable[..., Any] = listing) -> Any:
                if os.fspath(path) == str(folder):
                    raise PermissionError(errno.EACCES, "Permission denied", str(folder))
                return listing(path)

            monkeypatch.setattr(os, name, refused)
        return folder

    return closed


def test_requests_of_another_account_are_not_no_requests(made: World, run: Callable[..., Result], close: Close) -> None:
    """`pull list` by another person printed an empty table."""
    folder = close(made.folder / "pulls")
    listed = run("pull", "list")
    assert (listed.exit_code, listed.stdout) == (2, "")
    assert f"cannot use {folder}: Permission denied" in listed.stderr


def test_kept_heads_that_cannot_be_read_are_a_fault(
    made: World, run: Callable[..., Result], close: Close, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`doctor` said that the folder is empty: no one would look at it again."""
    monkeypatch.setenv("PORTABILITY_AUDIT_HEADS_DIR", str(close(made.folder / "heads")))
    seen = run("doctor").output
    assert "cannot read PORTABILITY_AUDIT_HEADS_DIR: Permission denied" in seen


def test_keys_that_cannot_be_read_are_not_missing(tmp_path: Path, close: Close) -> None:
    """Without keys each batch of the journal would be one with a wrong signature."""
    with pytest.raises(NoSigningKey, match="cannot read the folder of private keys: PermissionError"):
        keys.kids(close(tmp_path / "keys"), "audit")
    assert keys.kids(tmp_path / "absent", "audit") == ()


def test_a_register_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path, close: Close) -> None:
    """The message said that the folder does not exist."""
    with pytest.raises(NoticeHole, match="PermissionError"):
        notice.load(close(tmp_path / "notice"))


def test_an_archive_that_cannot_be_read_is_not_an_empty_folder(tmp_path: Path, close: Close) -> None:
    """The message advised to use another folder."""
    with pytest.raises(PermissionError):
        bags(close(tmp_path / "in"))

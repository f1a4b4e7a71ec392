"""What a fault of the disk of temporary files is, beside other errors of the operating system."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pytest

from worker.write.temporary import disk_fault


def test_a_folder_that_is_gone_is_a_fault_of_its_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has found the folder at the first file, and does not look for another."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError) as raised:
        tempfile.mkstemp()

    assert disk_fault(raised.value) == "No such file or directory"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES])
def test_another_file_that_is_missing_is_a_fault_of_the_program(tmp_path: Path, number: int) -> None:
    """Waiting for hours would hide it: it fails after its attempts, and the log has the traceback."""
    tempfile.gettempdir()

    assert not disk_fault(OSError(number, "No such file", str(tmp_path / "of the program")))
    assert not disk_fault(OSError(number, "No such file"))
    assert disk_fault(OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"

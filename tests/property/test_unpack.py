"""For any change of a signed archive, unpacking gives the signed files or nothing, and nothing elsewhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import volumes
from hypothesis import given
from hypothesis import strategies as st

from receiver.faults import ArchiveRefused, ArchiveTooLarge
from receiver.verify.unpack import unpack


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes, dict[str, bytes]]:
    """A signed volume, and the files that it holds."""
    folder = tmp_path_factory.mktemp("whole")
    (path,) = volumes.write_archive(folder)
    unpack([path], volumes.JWKS, folder / "out")
    return path.name, path.read_bytes(), _files(folder / "out")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.requirement("R38")
@given(data=st.data())
def test_a_broken_archive_writes_nothing(whole: tuple[str, bytes, dict[str, bytes]], data: st.DataObject) -> None:
    """Bytes changed, cut out, put in, or swapped, anywhere."""
    name, raw, files = whole
    begin = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(begin, min(len(raw), begin + 64)))
    put = data.draw(st.one_of(st.binary(max_size=64), st.integers(0, len(raw) - 64).map(lambda at: raw[at : at + 64])))
    broken = raw[:begin] + put + raw[end:]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / name).write_bytes(broken)
        try:
            unpack([folder / name], volumes.JWKS, folder / "out")
        except (ArchiveRefused, ArchiveTooLarge):
            assert broken != raw
            assert _files(folder / "out") == {}
        else:
            assert broken == raw
            assert _files(folder / "out") == files
        assert {path.name for path in folder.iterdir()} == {name, "out"}

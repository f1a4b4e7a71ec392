"""Readers of ZIPs, each by other people: what they find in volumes, member by member.

Those that only unpack write into a folder of their own, which is hashed and removed.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

from judges.listing import Listing, listing, measured, of_folder, of_output
from judges.programs import SOURCES, node, program, run

Reader: TypeAlias = Callable[[Sequence[Path]], list[Listing]]
"""The listings of some volumes, in their order; fails the test where the reader finds anything wrong."""


def python_zipfile(paths: Sequence[Path]) -> list[Listing]:
    """The standard library's; it compares the CRC of each member."""
    return [_by_zipfile(path) for path in paths]


def info_zip(paths: Sequence[Path]) -> list[Listing]:
    """What most systems have: `unzip -t`, then unpacked."""
    unzip = program("unzip", package="unzip")

    def unpack(path: Path, folder: Path) -> None:
        assert "No errors detected" in run([unzip, "-tq", path])
        run([unzip, "-qq", path, "-d", folder])

    return _by_unpacking(paths, unpack)


def seven_zip(paths: Sequence[Path]) -> list[Listing]:
    """7-Zip: `7z t`, which warns of much that others let pass, then unpacked."""
    seven = program("7z", package="7zip")

    def unpack(path: Path, folder: Path) -> None:
        said = run([seven, "t", "-bd", path])
        assert "Everything is Ok" in said
        assert "WARNING" not in said.upper()
        run([seven, "x", "-bd", "-y", f"-o{folder}", path])

    return _by_unpacking(paths, unpack)


def bsdtar_from_a_pipe(paths: Sequence[Path]) -> list[Listing]:
    """libarchive, as it reads a download: forward only, by the local headers; macOS has it too."""
    bsdtar = program("bsdtar", package="libarchive-tools")

    def unpack(path: Path, folder: Path) -> None:
        with subprocess.Popen([program("cat", package="coreutils"), path], stdout=subprocess.PIPE) as cat:
            run([bsdtar, "-xf", "-", "-C", folder], stdin=cat.stdout)

    return _by_unpacking(paths, unpack)


def java_zip_file(paths: Sequence[Path]) -> list[Listing]:
    """Java by the directory."""
    return _by_java("file", paths)


def java_zip_input_stream(paths: Sequence[Path]) -> list[Listing]:
    """Java by the local headers: the strictest of all."""
    return _by_java("stream", paths)


def node_yauzl(paths: Sequence[Path]) -> list[Listing]:
    """What most programs for Node read ZIPs with; it refuses unsafe names and wrong sizes."""
    return of_output(run([*node("members.cjs"), *paths]))


def go_archive_zip(paths: Sequence[Path]) -> list[Listing]:
    """Go's standard library, where Go is installed: it is large, so its absence is only reported."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed, so it cannot judge; to get it: apt-get install golang-go")
    alone = {"GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    return of_output(run([go, "run", SOURCES / "go" / "members.go", *paths], env=alone))


READERS: Mapping[str, Reader] = {
    "Python zipfile": python_zipfile,
    "Info-ZIP unzip": info_zip,
    "7-Zip": seven_zip,
    "bsdtar from a pipe": bsdtar_from_a_pipe,
    "Java ZipFile": java_zip_file,
    "Java ZipInputStream": java_zip_input_stream,
    "Node yauzl": node_yauzl,
    "Go archive/zip": go_archive_zip,
}


def _by_zipfile(path: Path) -> Listing:
    with zipfile.ZipFile(path) as archive:
        return listing(measured(info.filename, archive.open(info)) for info in archive.infolist())


def _by_unpacking(paths: Sequence[Path], unpack: Callable[[Path, Path], None]) -> list[Listing]:
    found: list[Listing] = []
    for path in paths:
        # Beside the volume: a large file may not fit where temporary files go.
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            unpack(path, Path(folder))
            found.append(of_folder(Path(folder)))
    return found


def _by_java(how: str, paths: Sequence[Path]) -> list[Listing]:
    java = program("java", package="default-jdk-headless")
    return of_output(run([java, SOURCES / "java" / "Members.java", how, *paths]))

"""What a stranger can make of an archive without its key: none of it verifies, whatever the manifests say."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import volumes

from archive.verify.archives import verified, verify
from archive.verify.volumes import CheckedVolume

Files = dict[str, bytes]


def with_manifests(files: Files) -> None:
    """Write both manifests anew: after that only the signature knows of a change."""

    def lines(names: list[str]) -> bytes:
        return "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in names).encode()

    files["manifest-sha256.txt"] = lines([name for name in files if name.startswith("data/")])
    unlisted = ("data/", "signature.jwt", "tagmanifest-sha256.txt")
    files["tagmanifest-sha256.txt"] = lines([name for name in files if not name.startswith(unlisted)])


def forged(token: Callable[[bytes], bytes]) -> Callable[[Files], None]:
    """Other data of the same length, manifests to match, and a token made from the true one."""

    def change(files: Files) -> None:
        files["data/calls/calls.csv"] = files["data/calls/calls.csv"].replace(b"10.50", b"99.50")
        with_manifests(files)
        files["signature.jwt"] = token(files.pop("signature.jwt"))

    return change


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"\n", id="a line end"),
        pytest.param(lambda _: b"..", id="dots"),
        pytest.param(lambda _: b"\0", id="NUL"),
        pytest.param(lambda true: true[:-1], id="cut"),
        pytest.param(lambda true: true.rpartition(b".")[0] + b".", id="no third part"),
        pytest.param(lambda true: b"." + true.partition(b".")[2], id="no header"),
        pytest.param(lambda true: true, id="that of the true data"),
    ],
)
@pytest.mark.parametrize("partial", [False, True])
def test_a_forged_volume_does_not_verify(tmp_path: Path, token: Callable[[bytes], bytes], partial: bool) -> None:
    """The signature proves a volume: an empty one proves as little as none."""
    path = volumes.write_archive(tmp_path)[0]
    volumes.pack_again(path, forged(token))
    result = verify([path], volumes.JWKS, partial=partial)
    assert not result.ok
    assert {fault.file for fault in result.errors} & {"signature.jwt", "tagmanifest-sha256.txt"}


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda _: b"",
    "doubled": lambda body: body + body,
    "one byte more": lambda body: b" " + body,
    "null": lambda _: b"null",
}


@pytest.mark.parametrize("way", CHANGES)
def test_each_file_is_as_it_was_signed(tmp_path: Path, way: str) -> None:
    """No file of a volume can be changed, with manifests to match or without; that the ZIP is another is not enough."""
    whole = volumes.write_archive(tmp_path)[0]
    names = list[str]()
    volumes.pack_again(Path(shutil.copy(whole, tmp_path / "names.zip")), names.extend)
    believed = []
    for name, fitting in itertools.product(names, (False, True)):

        def edit(files: Files, name: str = name, fitting: bool = fitting) -> None:
            files[name] = CHANGES[way](files.pop(name))
            if fitting and name not in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
                with_manifests(files)

        path = Path(shutil.copy(whole, tmp_path / "changed.zip"))
        volumes.pack_again(path, edit)
        if volumes.codes([path]) <= {"repacked"}:
            believed.append((name, fitting))
    assert believed == []
    assert len(names) == 14


def test_a_volume_without_claims_is_never_whole() -> None:
    """Whatever a check has overlooked: without a verified signature nothing is verified."""
    result = verified([CheckedVolume("x.zip", holds_export=True)])
    assert not result.ok
    assert [(fault.code, fault.volume, fault.file) for fault in result.errors] == [
        ("missing", "x.zip", "signature.jwt")
    ]

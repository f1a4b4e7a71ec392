from __future__ import annotations

import random
import zlib
from types import SimpleNamespace
from typing import Any, cast

import pytest
from zipstream import ng

from archive import deflate


def test_zipstream_uses_our_compressor() -> None:
    """The adaptation reaches zipstream-ng; a version that names its globals otherwise would fail here."""
    assert ng.crc32 is deflate.crc32
    stream = ng._get_compressor(8, 0)
    assert (stream.compress(b"abc") + stream.flush())[:1] == b"\x01"


@pytest.mark.parametrize("level", [*deflate.LEVELS, deflate.STORED_LEVEL])
def test_what_is_packed_unpacks(level: int) -> None:
    """Any inflater reads all levels."""
    data = b"portability" * 50_000
    packer = deflate.compressor(level)
    packed = packer.compress(data) + packer.flush()
    assert zlib.decompress(packed, -zlib.MAX_WBITS) == data
    assert deflate.inflater().decompress(packed, len(data)) == data
    assert deflate.crc32(data) == zlib.crc32(data)


def test_media_are_stored_unless_they_shrink() -> None:
    """The beginning decides; an empty file has none, and is stored."""
    noise = random.Random(8).randbytes(2 * deflate.SAMPLE_BYTES)
    assert deflate.media_level(noise) == deflate.STORED_LEVEL
    assert deflate.media_level(b"") == deflate.STORED_LEVEL
    assert deflate.media_level(bytes(deflate.SAMPLE_BYTES)) == deflate.SOUND_LEVEL
    assert deflate.media_level(noise[: deflate.SAMPLE_BYTES] + bytes(deflate.SAMPLE_BYTES)) == deflate.STORED_LEVEL


def _broken(**parts: Any) -> Any:
    working = {name: getattr(zlib, name) for name in ("compressobj", "decompressobj", "crc32")}
    return cast("Any", SimpleNamespace(**{**working, **parts}))


def _raising(*_arguments: object) -> None:
    raise RuntimeError


@pytest.mark.parametrize(
    "codec",
    [
        _broken(crc32=lambda _data, _value=0: 7),
        _broken(compressobj=_raising),
        _broken(compressobj=lambda *_: zlib.compressobj(1, zlib.DEFLATED, 15)),
        _broken(compressobj=lambda level, *rest: zlib.compressobj(level, *rest) if level == 1 else _raising()),
        _broken(decompressobj=lambda _: SimpleNamespace(decompress=lambda _data: b"")),
    ],
)
def test_a_build_that_does_not_work_is_not_trusted(codec: Any) -> None:
    """A broken build of the fast library is found out at start-up."""
    assert deflate.works(zlib)
    assert not deflate.works(codec)


def test_the_fast_library_does_it_where_there_is_a_build() -> None:
    """Nothing would fail without it: everything would take four times as long."""
    fast = pytest.importorskip("isal.isal_zlib")
    assert deflate.codec is fast


def test_without_the_fast_library_zlib_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a build, or with a broken one, zlib is used."""
    monkeypatch.setattr(deflate, "works", lambda _codec: False)
    assert deflate.best_codec() is zlib
    monkeypatch.setattr(deflate, "import_module", _missing)
    assert deflate.best_codec() is zlib


def _missing(name: str) -> None:
    raise ImportError(name)

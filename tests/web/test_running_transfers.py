"""A recipient downloads a large copy slowly while the consent is revoked: the running download ends."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest
from factories import MadeUpExporter, things
from sending import offered, sender, shown
from served import MIB, Served
from sqlalchemy import update
from transferring import Provider

from portability.database import models
from portability.database.engine import writing
from web import stream

BUFFERS_MIB = 32
"""What is under way between two programs, and is sent after the revocation."""
BEFORE_MIB = 8
SPARE_SECONDS = 5.0
"""For a busy machine."""
GIB = 1 << 30


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with sender(tmp_path_factory.mktemp("running"), redis_server, MadeUpExporter(things(5))) as server:
        yield server


def grown_copy(served: Served, transfer_id: str, size: int) -> None:
    """Put a large object in the place of the encrypted copy. What is in it matters to no download."""
    key, block = f"{secrets.token_hex(12)}/1.1.large.age", secrets.token_bytes(MIB)
    upload = served.world.place.storage.begin(key)
    for _ in range(size // MIB):
        upload.write(block)
    upload.complete()
    copy = models.transfer_copy
    with writing(served.world.engine) as connection:
        changed = update(copy).where(copy.c.transfer_id == transfer_id)
        connection.execute(changed.values(object_key=key, bytes=size // MIB * MIB))


def read_slowly(answer: httpx.Response, mib_per_second: int, revoke: Callable[[], None]) -> tuple[int, float]:
    """Read at the rate of a slow line, and revoke after 8 MiB; returns the bytes and the seconds since the revocation.

    The sender ends the answer before its announced length.
    """
    read, revoked_at = 0, 0.0
    with suppress(httpx.RemoteProtocolError):
        for block in answer.iter_raw(MIB):
            read += len(block)
            time.sleep(len(block) / MIB / mib_per_second)
            if read >= BEFORE_MIB * MIB and not revoked_at:
                revoke()
                revoked_at = time.monotonic()
    return read, time.monotonic() - revoked_at


@pytest.mark.parametrize(
    ("size", "look_seconds", "mib_per_second"),
    [
        pytest.param(128 * MIB, 0.05, 400, id="an accelerated clock"),
        pytest.param(2 * GIB, stream.LOOK_SECONDS, 60, id="2 GB", marks=pytest.mark.system),
    ],
)
@pytest.mark.requirement("R46")
def test_a_revocation_ends_a_running_download(
    served: Served,
    other: Provider,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    look_seconds: float,
    mib_per_second: int,
) -> None:
    """A slow recipient gets no more than what is sent until the next look, and cannot resume."""
    monkeypatch.setattr(stream, "LOOK_SECONDS", look_seconds)
    offer = offered(served, other)
    transfer_id, url = offer["transfer"], offer["url"]
    grown_copy(served, transfer_id, size)
    where = httpx.URL(url).join(httpx.post(f"{url}/volumes/1").headers["Location"])

    def revoke() -> None:
        assert served.call("DELETE", f"/v1/transfers/{transfer_id}").status_code == 204

    with httpx.stream("GET", where, timeout=60) as answer:
        read, seconds = read_slowly(answer, mib_per_second, revoke)

    assert seconds < look_seconds + BUFFERS_MIB / mib_per_second + SPARE_SECONDS
    assert read < (BEFORE_MIB + BUFFERS_MIB + (look_seconds + 1) * mib_per_second) * MIB
    assert read < size
    resumed = httpx.get(where, headers={"Range": f"bytes={read}-", "Accept": "application/json"})
    assert resumed.status_code == 404
    assert shown(served, transfer_id)["state"] == "revoked"

"""`portability receive` as a process of its own: killed, started again, and never large."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import volumes
from fake_sender import ISSUER, FakeSender, running
from pyrage import x25519

from archive.parts import SealedVolume
from archive.write.volume import Volume

MB = 1_000_000
KILLS = 3
VOLUMES = 5
MEMORY_MB = 200
OURS = x25519.Identity.generate()


def blocks(size: int) -> Iterator[bytes]:
    """Bytes that do not pack."""
    block = secrets.token_bytes(1 << 20)
    for begin in range(0, size, len(block)):
        yield block[: size - begin]


def large_archive(folder: Path, size: int, count: int) -> list[Path]:
    """Volumes that have `size` bytes together."""
    of = volumes.envelope(profile="portability")
    paths: list[Path] = []
    sealed: list[SealedVolume] = []
    for number in range(1, count + 1):
        path = folder / f"{of.volume_name(number)}.zip"
        with path.open("wb") as file:
            volume = Volume(of, number, file.write)
            volume.add("calls/recordings/c.wav", blocks(size // count), volumes.content("audio/wav"))
            closing = volumes.closing_document(of, number, sealed) if number == count else None
            sealed.append(volume.seal(volumes.KEY, closing=closing))
        paths.append(path)
    return paths


# It writes down itself what it had: getrusage would count what its parent had when it was forked.
PROGRAM = """
import atexit, os, pathlib
from cli.main import run
atexit.register(lambda: pathlib.Path(os.environ["STATUS"]).write_text(pathlib.Path("/proc/self/status").read_text()))
run()
"""


def receiver(sender: FakeSender, folder: Path) -> subprocess.Popen[bytes]:
    """The command in a process of its own."""
    arguments = ["receive", sender.url, "--to", str(folder / "in"), "--identity", str(folder / "key.txt")]
    program = [sys.executable, "-c", PROGRAM, *arguments, "--issuer", ISSUER, "--json"]
    environment = {**os.environ, "STATUS": str(folder / "status")}
    return subprocess.Popen(program, env=environment)  # what it says is shown where the test fails


def peak_mb(status: Path) -> int:
    """The most memory that a process ever had."""
    found = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
    return max(map(int, found), default=0) // 1024  # a process that has ended says nothing any more


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "size", [60 * MB, *(pytest.param(size, marks=pytest.mark.system) for size in (500 * MB, 5_000 * MB))]
)
def test_a_large_transfer_is_killed_three_times(tmp_path: Path, size: int) -> None:
    """Each run continues where the previous one was killed: hardly a byte comes twice, and memory stays small."""
    (tmp_path / "key.txt").write_text(f"{OURS}\n")
    peaks: list[int] = []
    try:
        with running(FakeSender(large_archive(tmp_path, size, VOLUMES), OURS.to_public())) as sender:
            for kill in range(1, KILLS + 1):
                process = receiver(sender, tmp_path)
                sender.on_sent = partial(_kill, sender, process, size * kill // (KILLS + 1), peaks)
                assert process.wait() == -signal.SIGKILL
                sender.on_sent = lambda: None
            assert receiver(sender, tmp_path).wait() == 0
            total = sum(map(len, sender.sent))

        assert len(list((tmp_path / "in" / "archive").glob("*/data/calls/recordings/c.wav"))) == VOLUMES
        # What is in the buffers of sockets at a kill is sent again: some MB a connection, for any size.
        assert sender.sent_bytes.total() <= total + max(0.05 * total, KILLS * 5 * MB)
        assert len(peaks) >= KILLS
        assert max(*peaks, peak_mb(tmp_path / "status")) < MEMORY_MB
    finally:
        shutil.rmtree(tmp_path)


def _kill(sender: FakeSender, process: subprocess.Popen[bytes], threshold: int, peaks: list[int]) -> None:
    if sender.sent_bytes.total() > threshold and process.poll() is None:
        peaks.append(peak_mb(Path(f"/proc/{process.pid}/status")))
        process.kill()

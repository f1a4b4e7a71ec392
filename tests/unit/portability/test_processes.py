from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from portability.processes import report_ready

SHARED = """
import threading
from ctypes import CDLL
from portability.processes import share_one_arena

share_one_arena()
blocks = []
threads = [threading.Thread(target=lambda: blocks.append(bytearray(100_000))) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
CDLL(None).malloc_stats()
"""


def test_all_threads_take_memory_from_one_arena() -> None:
    """Glibc would give each thread a separate arena, which keeps the memory that the thread has freed."""
    statistics = subprocess.run([sys.executable, "-c", SHARED], capture_output=True, text=True, check=True).stderr

    assert "Arena 0:" in statistics
    assert "Arena 1:" not in statistics


@pytest.mark.parametrize("address", ["{folder}/ready", "@portability-{folder}"])
def test_a_supervisor_hears_once_that_a_process_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """By the protocol of sd_notify(3); a child of the process does not report again."""
    address = address.format(folder=tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(address.replace("@", "\0"))
        supervisor.settimeout(0)
        report_ready()
        report_ready()

        assert supervisor.recv(100) == b"READY=1"
        with pytest.raises(BlockingIOError):
            supervisor.recv(100)
    assert "NOTIFY_SOCKET" not in os.environ


def test_no_supervisor_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither where none is named, nor where it is gone."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    report_ready()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    report_ready()
    assert "NOTIFY_SOCKET" not in os.environ

from __future__ import annotations

import os
import signal
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


SIGNALLED = """
import os, signal, sys, threading
from portability.processes import stop_event

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that were started by nohup ignore it
stop = stop_event()
sent = []

def interrupt(frame, event, _argument):
    if "threading" in frame.f_code.co_filename and frame.f_code.co_name in ("wait", "__enter__", "__exit__"):
        frame.f_trace_opcodes = True
        if event == "opcode":
            sent.append(frame.f_lasti)
            if len(sent) == int(sys.argv[1]):
                os.kill(os.getpid(), int(sys.argv[2]))
        return interrupt

sys.settrace(interrupt)
while not stop.wait(0.01):
    pass
sys.settrace(None)
print("stopped after", len(sent))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("instruction", [1, 7, 20, 40, 60, 80, 100])
def test_a_signal_stops_a_process_at_any_instruction(number: int, instruction: int) -> None:
    """Also while the main thread holds the lock of the event that it waits for."""
    command = [sys.executable, "-c", SIGNALLED, str(instruction), str(int(number))]
    stopped = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert int(stopped.split()[-1]) >= instruction


def test_nohup_keeps_a_process_running() -> None:
    """It ignores the end of its terminal, as it did before it listened for signals."""
    listening = "import signal; from portability.processes import stop_event; stop_event()"
    program = f"{listening}; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    done = subprocess.run(["nohup", sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


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

from __future__ import annotations

import subprocess
import sys

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
    """Glibc would give each thread one of its own, and keep in it what the thread has freed."""
    told = subprocess.run([sys.executable, "-c", SHARED], capture_output=True, text=True, check=True).stderr

    assert "Arena 0:" in told
    assert "Arena 1:" not in told

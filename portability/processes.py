"""What is asked of the operating system for a process: its end with its parent, and how it takes memory."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
M_ARENA_MAX = -8
COLLECT_AFTER = 50_000
"""Objects that may hold others, before the collector looks at them; with Python's 700 it does ten times a batch."""


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Ask Linux to signal this process when its parent ends (prctl(2), PR_SET_PDEATHSIG); elsewhere nothing happens.

    `parent` is its pid as it knew itself before the fork: it may have ended before the child runs its first line.
    It counts the *thread* that forked: start children from a thread that lives as long as they should.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before the kernel was asked
            os._exit(1)


def share_one_arena() -> None:
    """Let all threads take memory from one place (mallopt(3), M_ARENA_MAX): each else keeps what it has freed.

    It costs no time: the interpreter lets one thread at a time make objects. Where libc is not glibc nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def settle() -> None:
    """Take all that is in memory for what stays, before work begins: the collector looks at newer objects alone.

    A fork would else go through everything, and copy it to do so.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])

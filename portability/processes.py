"""Operating system settings of a process: when it ends, how it reports that it is ready, how it allocates memory."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue

PR_SET_PDEATHSIG = 1
M_ARENA_MAX = -8
COLLECT_AFTER = 50_000
"""Container objects before the garbage collector runs; with Python's default of 700 it runs ten times a batch."""


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Ask Linux to signal this process when its parent ends (prctl(2), PR_SET_PDEATHSIG); elsewhere nothing happens.

    `parent` is the parent's pid, read before the fork: the parent may have ended before the child runs its first line.
    The kernel watches the *thread* that forked: start children from a thread that lives as long as they should.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # the parent ended before prctl was called
            os._exit(1)


def stop_event() -> threading.Event:
    """Return an event that SIGTERM, SIGINT and a closed terminal (SIGHUP) set, for the main thread of a process.

    A thread of its own sets it. A signal handler runs between any two instructions of the main thread, which may hold
    the event's lock at that moment: a handler that sets the event would then wait for that lock without end.
    `SimpleQueue.put` is reentrant.
    """
    stop = threading.Event()
    signals: SimpleQueue[int] = SimpleQueue()

    def set_after_signal() -> None:
        signals.get()
        stop.set()

    threading.Thread(target=set_after_signal, name="signals", daemon=True).start()
    # A process that nohup(1) has started ignores the end of its terminal, and goes on.
    ends_with_terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    for number in (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if ends_with_terminal else [])):
        signal.signal(number, lambda number, _frame: signals.put(number))
    return stop


def report_ready() -> None:
    """Report to the supervisor that this process has started (sd_notify(3)): systemd, or the embedded stack.

    It does so once; without a supervisor that asks for it nothing happens.
    """
    address = os.environ.pop("NOTIFY_SOCKET", None)
    if address is None:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor, suppress(OSError):
        # A name that begins with @ is in Linux' abstract namespace.
        supervisor.sendto(b"READY=1", address.replace("@", "\0", 1) if address.startswith("@") else address)


def share_one_arena() -> None:
    """Make all threads share one memory arena (mallopt(3), M_ARENA_MAX): otherwise each arena keeps its freed memory.

    It costs no time, since the interpreter runs one thread at a time. Without glibc nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def settle() -> None:
    """Mark all objects in memory as permanent before work begins: the garbage collector then skips them.

    Otherwise a forked child would scan all objects, and copy their memory pages by doing so. Freed memory goes back to
    the system (malloc_trim(3)).
    """
    gc.collect()
    gc.freeze()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim:
        malloc_trim(0)
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])

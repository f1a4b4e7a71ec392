from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import pytest

from portability.api.errors import SourceStalled, SourceUnavailable
from portability.errors import Cancelled
from worker.read import bounded_calls
from worker.read.bounded_calls import BoundedCaller, dismiss

WAIT_SECONDS = 30


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    """What a hanging source waits for; it comes when the test is over."""
    release = threading.Event()
    yield release
    release.set()


def bounded(seconds: float = WAIT_SECONDS, check: Callable[[], None] = lambda: None) -> BoundedCaller:
    return BoundedCaller("made/things", seconds, check)


def test_all_calls_of_a_source_are_made_in_one_other_thread() -> None:
    """A generator may contain objects of its thread; the caller can continue its checks meanwhile."""
    source = bounded()
    threads = [source.ask(threading.get_ident).get() for _ in range(3)]
    last: list[int] = []
    source.close(lambda: last.append(threading.get_ident()))
    assert len({*threads, *last}) == 1
    assert threading.get_ident() not in threads


def test_a_thread_serves_one_source_after_the_other() -> None:
    """Starting a thread costs more than most answers; sources that are open at the same time have a thread each."""
    dismiss()
    first, second = bounded(), bounded()
    threads = [source.ask(threading.get_ident).get() for source in (first, second)]
    assert len({*threads}) == 2
    first.close()
    second.close(lambda: None)
    later = [bounded(), bounded()]
    assert {source.ask(threading.get_ident).get() for source in later} == {*threads}
    for source in later:
        source.close()


def test_a_thread_that_was_left_alone_serves_no_one(hung: threading.Event) -> None:
    """Neither a thread that answered too late nor one that was busy when its source was closed is used again."""
    dismiss()
    stalled, closed = bounded(0.01), bounded()
    threads: list[threading.Thread] = []

    def hang() -> None:
        threads.append(threading.current_thread())
        hung.wait(WAIT_SECONDS)

    assert isinstance(stalled.ask(hang).error, SourceStalled)
    assert closed.ask(lambda: 7).get() == 7
    closed.begin(hang)
    closed.close(lambda: None)
    hung.set()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    source = bounded()
    assert source.ask(threading.current_thread).get() not in threads
    source.close()


def test_a_fork_has_threads_of_its_own() -> None:
    """No thread survives a fork: one that waits in the parent would never answer the child."""
    forks = (
        "import os, worker.read.bounded_calls as b\n"
        "def ask():\n"
        "    source = b.BoundedCaller('x', 5, lambda: None)\n"
        "    print(source.ask(lambda: 7).get(), flush=True)\n"
        "    source.close()\n"
        "ask()\n"
        "if os.fork() == 0:\n"
        "    ask()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "ask()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", forks], capture_output=True, text=True, timeout=WAIT_SECONDS, check=True
    )
    assert done.stdout == "7\n7\n7\n"


def test_the_context_of_the_one_who_asks_is_there() -> None:
    """What the log binds for a job is bound in the source's thread too."""
    export: ContextVar[str] = ContextVar("export")
    export.set("abc234")
    source = bounded()
    assert source.ask(export.get).get() == "abc234"
    source.close()


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, StopIteration])
def test_whatever_a_call_raises_is_for_the_one_who_asked(error: type[BaseException]) -> None:
    """It ends neither the thread nor the process, and the next call is made."""

    def raises() -> None:
        raise error

    source = bounded()
    with pytest.raises(error):
        source.ask(raises).get()
    assert source.ask(lambda: 7).get() == 7
    source.close()


def test_a_call_that_was_begun_is_made_once(hung: threading.Event) -> None:
    """The source works while no caller waits; a caller of the same call then gets its result."""
    source, calls = bounded(), []

    def call() -> int:
        calls.append(1)
        hung.set()
        return len(calls)

    source.begin(call)
    source.begin(call)
    assert hung.wait(WAIT_SECONDS)
    assert source.ask(call).get() == 1
    assert source.ask(call).get() == 2
    source.close()


def test_what_was_begun_and_is_not_wanted_is_not_waited_for(hung: threading.Event) -> None:
    """Closing comes back at once; the last call is made all the same, as soon as the source is done."""
    source, closed = bounded(), threading.Event()
    source.begin(lambda: hung.wait(WAIT_SECONDS))
    source.close(closed.set)
    assert not closed.is_set()
    hung.set()
    assert closed.wait(WAIT_SECONDS)
    with pytest.raises(SourceStalled):
        source.ask(lambda: 7).get()


def test_a_call_that_hangs_is_left_alone(hung: threading.Event) -> None:
    """Past its deadline the source is stalled; it is never called again, and its late answer is ignored."""
    source, calls = bounded(0.05), []

    def hang() -> str:
        calls.append(threading.current_thread())
        hung.wait(WAIT_SECONDS)
        return "late"

    for _ in range(3):
        with pytest.raises(SourceStalled, match=r"^made/things did not answer within 0\.05 s$"):
            source.ask(hang).get()
    source.close(hang)
    assert len(calls) == 1
    hung.set()
    calls[0].join(WAIT_SECONDS)
    assert not calls[0].is_alive()


def test_who_waits_for_a_source_hears_that_the_job_must_stop(hung: threading.Event) -> None:
    """Cancelling and draining do not wait for a source's deadline, and what closes afterwards does not wait either."""

    def check() -> None:
        raise Cancelled("cancelled")

    source, began = bounded(check=check), time.monotonic()
    with pytest.raises(Cancelled):
        source.ask(lambda: hung.wait(WAIT_SECONDS))
    source.close(lambda: hung.wait(WAIT_SECONDS))
    assert time.monotonic() - began < WAIT_SECONDS / 3


def test_a_process_ends_without_what_it_left_alone() -> None:
    """The thread is a daemon: neither the interpreter's end nor a handler of it waits."""
    hangs = (
        "import threading, worker.read.bounded_calls as b; "
        "print(type(b.BoundedCaller('x', 0.01, lambda: None).ask(threading.Event().wait).error).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", hangs], capture_output=True, text=True, timeout=WAIT_SECONDS, check=True
    )
    assert done.stdout == "SourceStalled\n"


def test_a_source_that_is_waited_for_is_reported(hung: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has not answered for a while, then with the code of its fault, and no more when it answers."""
    monkeypatch.setattr(bounded_calls, "REPORT_SECONDS", 0.0)
    reports: list[tuple[str | None, str | None]] = []

    def report(source: str | None, code: str | None) -> None:
        reports.append((source, code))
        hung.set()

    def unavailable() -> None:
        hung.wait(WAIT_SECONDS)
        raise SourceUnavailable("away")

    source = BoundedCaller("made/things", WAIT_SECONDS, lambda: None, report)
    assert isinstance(source.ask(unavailable).error, SourceUnavailable)
    assert isinstance(source.ask(lambda: int("x")).error, ValueError)
    assert source.ask(lambda: 7).get() == 7
    source.close()

    assert list(dict.fromkeys(reports)) == [
        ("made/things", None),
        ("made/things", "source_unavailable"),
        ("made/things", "exporter_fault"),
        (None, None),
    ]

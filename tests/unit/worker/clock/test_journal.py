"""The clock's thread for the journal: it ships, compares, and lets the other threads begin."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from factories import World, world
from going_back import journal_of
from workers import until

from portability.database.engine import reading
from portability.errors import NoSigningKey
from portability.journal import shipping
from worker.clock import journal


def while_it_runs(made: World, act: Callable[[threading.Event], None]) -> None:
    """Let the thread run while `act` looks at it."""
    stop, ready = threading.Event(), threading.Event()
    args = (made.engine, journal_of(made), lambda: made.place.storage, stop, ready)
    thread = threading.Thread(target=journal.run, args=args)
    thread.start()
    try:
        act(ready)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def is_shipped(made: World) -> bool:
    with reading(made.engine) as connection:
        return not shipping.waiting(connection)


def test_what_any_process_commits_is_shipped(tmp_path: Path) -> None:
    """Workers do not ship themselves; within a moment their events are in storage."""
    made = world(tmp_path, {}).with_all_keys()

    def look(ready: threading.Event) -> None:
        assert ready.wait(60)
        made.request()
        until(lambda: is_shipped(made), "it is shipped")

    while_it_runs(made, look)


def test_a_deployment_without_a_key_for_the_journal_works(tmp_path: Path) -> None:
    """It cannot ship, which the doctor says; mail, expiry and sweeps begin all the same."""
    made = world(tmp_path, {})
    while_it_runs(made, compared)
    assert not is_shipped(made)


def compared(ready: threading.Event) -> None:
    assert ready.wait(60)


def test_a_fault_is_logged_once_until_it_ends() -> None:
    """A missing key does not fill the log."""
    faults: dict[str, str] = {}

    def fail() -> None:
        raise NoSigningKey("none")

    for _ in range(2):
        journal._attempt("ship", fail, faults)  # the step between two waits
        assert faults == {"ship": "no_signing_key"}
    journal._attempt("ship", lambda: None, faults)  # as above
    assert faults == {}


def test_other_work_waits_until_the_database_was_compared() -> None:
    """And ends without having begun if the clock stops before."""
    stop, ready, done = threading.Event(), threading.Event(), list[str]()
    threads = [
        threading.Thread(target=journal.after, args=(ready, stop, done.append, "worked")),
        threading.Thread(target=journal.after, args=(threading.Event(), stop, done.append, "never")),
    ]
    for thread in threads:
        thread.start()
    assert done == []
    ready.set()
    threads[0].join(60)
    assert done == ["worked"]
    stop.set()
    threads[1].join(60)
    assert done == ["worked"]

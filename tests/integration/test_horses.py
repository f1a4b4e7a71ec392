"""What becomes of a worker's child, and what the parent makes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from watched import SLOW, Watched, watched
from workers import family, kill, until

from portability.queue import connect, open_queue, wake
from portability.settings import load_settings
from worker.process import rq_worker


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("horses"), redis_server, SLOW) as running:
        running.rests(running.ask("access"))  # worker and clock are up: a database that is locked ends their start
        yield running


def test_a_child_process_that_dies_is_counted(place: Watched) -> None:
    """Killed by the kernel, or crashed: one count, the worker continues, and so does the export."""
    before = place.counts().get("horse_died", 0)
    asked = place.ask()
    kill(place.working())
    until(lambda: place.counts().get("horse_died", 0) > before, "it is counted", seconds=30)
    place.rests(asked)
    assert place.counts()["horse_died"] == before + 1
    assert place.deployed.processes[0].poll() is None


def test_a_stalled_child_process_is_killed(place: Watched) -> None:
    """A child stopped within a volume sends no heartbeat: another one continues, and it cannot wake up again."""
    before = place.counts()
    asked = place.ask()
    frozen = place.working()
    os.kill(frozen, signal.SIGSTOP)
    until(lambda: not Path(f"/proc/{frozen}").exists(), "the frozen horse is gone", seconds=60)
    place.rests(asked)
    assert place.counts()["horse_stalled"] == before.get("horse_stalled", 0) + 1
    assert place.counts().get("horse_died", 0) == before.get("horse_died", 0)


def test_a_child_process_that_hangs_before_it_has_claimed_is_killed(place: Watched) -> None:
    """Without a lease no thread beats: the parent's wait for the first beat is limited."""
    before = place.counts().get("horse_stalled", 0)
    asked = place.ask()
    with place.locked():
        wake(open_queue(place.redis), asked)
        until(lambda: bool(family(place.deployed)), "a horse hangs", seconds=90)
        (hanging,) = family(place.deployed)
        until(lambda: not Path(f"/proc/{hanging}").exists(), "the hanging horse is gone", seconds=60)
    until(lambda: place.counts().get("horse_stalled", 0) > before, "it is counted", seconds=60)
    place.rests(asked)


def test_the_parent_holds_no_connection_that_a_fork_would_share(place: Watched) -> None:
    """After jobs and after counting deaths: no open file of the database, no thread except the main one."""
    asked = place.ask()
    place.rests(asked)
    parent = place.deployed.processes[0].pid
    files = [str(fd.readlink()) for fd in Path(f"/proc/{parent}/fd").iterdir()]
    assert not [name for name in files if "sqlite" in name]
    threads = [task.name for task in Path(f"/proc/{parent}/task").iterdir()]
    assert threads == [str(parent)], place.stacks(parent)


def test_a_worker_listens_to_one_queue_of_ours(redis_url: str, tmp_path: Path) -> None:
    """With two, RQ pops without a safety copy: a worker that dies just then loses the message for good."""
    with connect(redis_url) as client:
        worker = rq_worker.new_worker(load_settings(dir=tmp_path), client, threading.Event())
    assert worker.queue_names() == ["portability"]
    assert worker.queue_class.__name__ == "Queue"


def test_what_a_job_needs_is_imported_before_the_fork(place: Watched) -> None:
    """A fresh child process would import for seconds."""
    heavy = ("boto3", "zipstream", "joserfc", "orjson", "worker.export", "exporters.reference.calls", "formats.csv")
    asks = f"""
import sys
from cli.main import main
from worker.process import rq_worker
rq_worker.run = lambda *_: print([name for name in {heavy!r} if name not in sys.modules])
main(["worker"])
"""
    environment = {
        **place.deployed.environment,
        "PORTABILITY_STORAGE_URL": "s3://bucket/prefix?endpoint=http://127.0.0.1:1",
        "PORTABILITY_RECORDINGS_URL": "s3://bucket/prefix?endpoint=http://127.0.0.1:1",
    }
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"

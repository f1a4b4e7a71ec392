"""A Redis that accepts connections and says nothing: a machine that froze, or a server of another kind."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from portability.errors import QueueUnavailable
from portability.queue import WAIT_SECONDS, connect
from portability.settings import load_settings
from worker.process import rq_worker


def test_a_worker_ends_at_its_start_if_redis_says_nothing(tmp_path: Path) -> None:
    """Its supervisor and its operator see the fault; it does not wait for an answer without end."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = load_settings(dir=tmp_path, redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        with pytest.raises(QueueUnavailable, match=r"^Redis does not answer: TimeoutError$"):
            rq_worker.run(settings, answer_seconds=0.1)


def test_a_running_worker_notices_a_redis_that_falls_silent() -> None:
    """A machine that is cut off sends no end of the connection: each wait of a worker has a limit, also its first."""
    assert connect("redis://127.0.0.1:1/0", waits=True).get_connection_kwargs()["socket_timeout"] == WAIT_SECONDS
    # RQ would lengthen a limit that is shorter than its own wait, and only for connections that do not exist yet.
    bare = rq_worker.ExportWorker.__new__(rq_worker.ExportWorker)
    bare.worker_ttl = rq_worker.WORKER_TTL_SECONDS
    assert bare.connection_timeout < WAIT_SECONDS

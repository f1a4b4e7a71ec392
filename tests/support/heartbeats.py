"""Heartbeats of processes that do not run, as RQ's workers and the clock leave them in Redis."""

from __future__ import annotations

import redis

from portability.queue import QUEUE, beat_clock, connect, open_queue

WORKER = "rq:worker:made-up"


def report_processes(redis_url: str) -> None:
    """Report that a worker and a clock are at work: for longer than a test takes on a busy machine."""
    beat_clock(open_queue(connect(redis_url)), 600)
    with redis.Redis.from_url(redis_url) as client:
        client.sadd(f"rq:workers:{QUEUE}", WORKER)
        client.hset(WORKER, "queues", QUEUE)

"""`intake`: requests accepted by eight processes at once, compared with one process, on one PostgreSQL that syncs.

Each process accepts the requests of different people, as the API does after the login: it asks for the database's time,
and takes each request in one transaction. One more process chains the events of the audit log meanwhile, as a clock
does. Beside each number of processes stands what as many processes do that share nothing: they compute, and give way to
the next as often as if they asked a database. Where those become slower too, no lock is the cause: the processor's
caches are.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median

import orjson
import servers
from servers.databases import Postgres
from sqlalchemy import func, select

from bench.figures import Figure, machine
from portability.database import deployment, models
from portability.database.engine import open_engine, reading, writing
from portability.database.migrations import upgrade
from portability.processes import die_with_parent, settle
from portability.requests import acceptance, intake
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor, ActorRole
from portability.requests.states import ONGOING
from portability.settings import load_settings
from portability.trust import audit
from worker.clock.journal import EVERY_SECONDS

PROCESSES = (1, 2, 4, 8)
SECONDS = 4.0
LONG_SECONDS = 20.0
ROUNDS = 3
"""Each number of processes is measured this often, in turn: the processor's speed changes with what else runs."""
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
"""Settings of PostgreSQL as in production: a commit waits for the disk."""
WARM_UP = 20
TARGET = 1 / 1.6
ACCEPTING = "from bench.intake import work; work()"
COMPUTING = "from bench.intake import compute; compute()"
CHAINING = "from bench.intake import chain; chain()"
STATEMENTS = 10
"""Of one accepted request: as often a process waits for the database."""


def measure(*, long: bool) -> Figure:
    """Measure seconds for one accepted request; also print requests per second for each number of processes."""
    seconds, rates = LONG_SECONDS if long else SECONDS, {count: list[float]() for count in PROCESSES}
    for _ in range(ROUNDS):
        for count, found in rates.items():
            with servers.postgres(persists=True, settings=DURABLE) as server:
                found.append(_rate(server, count, seconds))
    fewest, *_, most = (median(found) for found in rates.values())
    return Figure("intake", 1 / most, 1 / fewest, TARGET, "s", ROUNDS)


def _rate(server: Postgres, count: int, seconds: float) -> float:
    """Return the accepted requests per second of some processes together."""
    url = server.url(server.create_database())
    engine = open_engine(url)
    upgrade(engine)
    with _chaining(url):
        found = _together(ACCEPTING, count, [url, str(seconds)])
    with reading(engine) as connection:
        stored = connection.execute(select(func.count()).select_from(models.export)).scalar_one()
    engine.dispose()
    accepted = sum(each["accepted"] for each in found)
    if stored != accepted + count * WARM_UP:
        raise RuntimeError(f"{accepted} requests were accepted, and {stored} are stored")
    rate = _per_second(found)
    slowest = max(each["slowest"] for each in found)
    line = {
        "processes": count,
        "per_second": round(rate, 1),
        "cpu_ms": round(1000 * sum(each["cpu"] for each in found) / accepted, 2),
        "slowest_ms": round(1000 * slowest, 1),
        "computed_per_second": round(_per_second(_together(COMPUTING, count, [str(seconds)])), 1),
        "machine": machine(),
    }
    print(orjson.dumps(line).decode(), flush=True)
    return rate


def _per_second(found: Sequence[Mapping[str, float]]) -> float:
    return sum(each["accepted"] / each["seconds"] for each in found)


@contextmanager
def _chaining(url: str) -> Iterator[None]:
    begin = partial(die_with_parent, os.getpid())
    process = subprocess.Popen([sys.executable, "-c", CHAINING, url], preexec_fn=begin)  # noqa: PLW1509  # only a prctl
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _together(program: str, count: int, arguments: Sequence[str]) -> list[dict[str, float]]:
    """Run a program in processes that begin together; returns what each printed."""
    begin = partial(die_with_parent, os.getpid())
    command = [sys.executable, "-c", program, *arguments]
    started = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=begin)  # noqa: PLW1509  # only a prctl
        for number in range(count)
    ]
    for each in started:
        if not (each.stdout and each.stdout.readline() == b"ready\n"):
            raise RuntimeError("a process did not begin")
    for each in started:
        each.stdin.write(b"\n")  # type: ignore[union-attr]  # a pipe
        each.stdin.flush()  # type: ignore[union-attr]  # as above
    return [orjson.loads(each.communicate()[0]) for each in started]


def chain() -> None:
    """Chain recorded events until stopped."""
    engine = open_engine(sys.argv[1])
    while True:
        audit.chain_all(engine)
        time.sleep(EVERY_SECONDS)


def work() -> None:
    """Accept requests for some seconds, and print how many as JSON: one of the processes."""
    url, seconds, own = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    settings, engine = load_settings(database_url=url), open_engine(url)

    def accept(number: int) -> None:
        who = f"usr_{own}_{number}"
        request = acceptance.check(
            profile="access", subject=f"user:{who}", channel="api", regimes=settings.laws, at=deployment.clock(engine)
        )
        with writing(engine) as connection:
            intake.take(connection, settings, request, actor=Actor(ActorRole.SUBJECT, who), auth=PRESENT)

    _repeat(accept, seconds)


def compute() -> None:
    """Do work of the processor alone, in the same pieces, for some seconds, and print how many as JSON."""
    table = models.subject_ref

    def build(_number: int) -> None:
        for _ in range(STATEMENTS):
            select(*table.c).where(table.c.ref == "", table.c.digest.in_(ONGOING)).compile()
            os.sched_yield()

    _repeat(build, float(sys.argv[1]))


def _repeat(act: Callable[[int], None], seconds: float) -> None:
    """Act for some seconds after a line of standard input, and print how often as JSON."""
    for number in range(WARM_UP):
        act(number)
    settle()
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu, accepted, slowest = time.perf_counter(), time.process_time(), 0, 0.0
    while (at := time.perf_counter()) - began < seconds:
        act(WARM_UP + accepted)
        accepted, slowest = accepted + 1, max(slowest, time.perf_counter() - at)
    taken = time.perf_counter() - began
    found = {"accepted": accepted, "seconds": taken, "cpu": time.process_time() - cpu, "slowest": slowest}
    print(orjson.dumps(found).decode())

"""`python -m chaos.kills`: kill -9 of a worker's child at evenly spaced points of one large export (docs/chaos.md)."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaos import oracle, rows
from chaos.faults import Hit
from chaos.recovery import Recoveries
from chaos.round import STUCK_SECONDS
from chaos.run import Chaos, chaos
from demo.plan import SeedPlan

PLATFORM = SeedPlan(
    tenants=1, users=1, contacts=5, calls=110, chats=5, events=100, recordings=105, recording_seconds=(120, 120)
)
"""200 MB of sound."""
SETTINGS = {"VOLUME_BYTES": str(20 << 20), "SLICE_BYTES": str(4 << 30), "PIECE_BYTES": str(1 << 20)}
UPLOADED_MAX = 1.15
"""Bytes sent to storage for each byte of the archive: one volume of ten is written twice."""
TICK_SECONDS, LOOK_SECONDS = 0.002, 0.1


@dataclass(frozen=True, slots=True)
class Point:
    """One export, killed once."""

    share: float
    """Of the archive's bytes, when its worker was killed."""
    uploaded: float
    """Bytes that went to storage, as a multiple of the archive's."""
    recovered_seconds: float
    """From the kill to the next claim."""
    seconds: float
    problems: tuple[str, ...]

    def line(self) -> str:
        summary = f"killed at {self.share:.0%}: {self.uploaded:.2f} of its bytes uploaded, "
        summary += f"claimed again after {self.recovered_seconds:.1f} s, {self.seconds:.1f} s in all"
        return "\n".join([summary, *(f"    {problem}" for problem in self.problems)])


def points(made: Chaos, count: int) -> Iterator[Point]:
    """Kill at `count` points, each in an export of its own."""
    size = made.bytes[made.tenant]
    for number in range(count):
        yield _point(made, (number + 0.5) / count, size)


def _point(made: Chaos, share: float, size: int) -> Point:
    assert made.stack.http is not None
    began_at, uploaded_before = time.monotonic(), made.stack.http.part_bytes
    identifier = made.ask(made.tenant)
    recoveries = Recoveries()
    problems = list(_killed_once(made, identifier, uploaded_before + share * size, recoveries))
    uploaded = (made.stack.http.part_bytes - uploaded_before) / size
    if uploaded > UPLOADED_MAX:
        problems.append(f"uploaded: {uploaded:.2f} of its bytes, more than {UPLOADED_MAX}")
    accepted = {identifier: made.tenant}
    problems += oracle.judge(made.stack, accepted, made.reference)[0]
    made.forget(accepted)
    waited = max((one.seconds for one in recoveries.done), default=0.0)
    return Point(share, uploaded, waited, time.monotonic() - began_at, tuple(problems))


def _killed_once(made: Chaos, identifier: str, at_bytes: float, recoveries: Recoveries) -> Iterator[str]:
    """Wait for the export's end, and kill the worker that has claimed it once `at_bytes` bytes are uploaded."""
    stack, is_killed, deadline = made.stack, False, time.monotonic() + 2 * STUCK_SECONDS
    assert stack.http is not None
    next_look = 0.0
    while time.monotonic() < deadline:
        is_time = not is_killed and stack.http.part_bytes >= at_bytes
        if is_time or time.monotonic() > next_look:
            next_look = time.monotonic() + LOOK_SECONDS
            stack.mend()
            look = rows.look(stack.engine, [identifier])
            if look is not None:
                recoveries.see(look)
                if is_time and look.owners:
                    is_killed = True
                    for horse in look.owners:
                        with suppress(ProcessLookupError):
                            os.kill(horse, signal.SIGKILL)
                    recoveries.hit("kill_horse", Hit(frozenset(look.owners)), look)
                if not look.open:
                    break
        time.sleep(TICK_SECONDS)
    else:
        yield f"stuck: {identifier}"
    if not is_killed:
        yield "missed: the export ended before it could be killed"


def main() -> int:
    """Kill at as many points as the option says; 1 where anything was wrong."""
    parser = argparse.ArgumentParser(prog="chaos.kills", description=__doc__)
    parser.add_argument("--points", type=int, default=100)
    count = parser.parse_args().points
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    done: list[Point] = []
    with chaos("servers", folder / "stack", PLATFORM, more=SETTINGS) as made:
        print(f"{made.bytes[made.tenant]} bytes in {made.volumes[made.tenant]} volumes", flush=True)  # noqa: T201  # a command
        for point in points(made, count):
            print(point.line(), flush=True)  # noqa: T201  # as above
            done.append(point)
    wrong = sum(bool(point.problems) for point in done)
    most = max(point.uploaded for point in done)
    longest = max(point.recovered_seconds for point in done)
    summary = f"{len(done)} points, {wrong} wrong; at most {most:.2f} of the archive's bytes uploaded"
    print(f"\n{summary}, longest to the next claim {longest:.1f} s")  # noqa: T201  # as above
    shutil.rmtree(folder)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

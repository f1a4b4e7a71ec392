"""A figure: the cost of an operation here, compared with the cost elsewhere, measured side by side in one run."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

import orjson


@dataclass(frozen=True, slots=True)
class Figure:
    """Medians of `n` runs of both sides; the ratio compares costs, lower is better."""

    name: str
    ours: float
    theirs: float
    target: float
    """The highest acceptable ratio."""
    unit: str
    n: int

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    def line(self) -> str:
        """Return one JSON document."""
        rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return orjson.dumps({**rounded, "ratio": round(self.ratio, 3), "machine": machine()}).decode()


def interleaved(name: str, ours: Callable[[], float], theirs: Callable[[], float], *, target: float, n: int) -> Figure:
    """Measure both sides in turn, so that a slower machine slows both; each call returns its seconds."""
    pairs = [(ours(), theirs()) for _ in range(n)]
    return Figure(name, median(p[0] for p in pairs), median(p[1] for p in pairs), target, "s", n)


def process_seconds(program: Sequence[str]) -> float:
    """Run a program without its output; return seconds from start to exit. Raises CalledProcessError."""
    began = time.perf_counter()
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def machine() -> str:
    """Describe the machine."""
    return f"{os.cpu_count()} x {_processor()}, Python {platform.python_version()}"


def _processor() -> str:
    with open("/proc/cpuinfo") as lines:  # noqa: PTH123  # exists on Linux only, like other parts of the bench
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

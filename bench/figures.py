"""A figure: what something costs here, against what it costs elsewhere, measured side by side in one run."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

import orjson


@dataclass(frozen=True, slots=True)
class Figure:
    """Medians of `n` runs of both sides; a ratio is cost against cost, lower is better."""

    name: str
    ours: float
    theirs: float
    target: float
    """Highest ratio that we are content with."""
    unit: str
    n: int

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    def line(self) -> str:
        """One JSON document."""
        rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return orjson.dumps({**rounded, "ratio": round(self.ratio, 3), "machine": machine()}).decode()


def interleaved(name: str, ours: Callable[[], float], theirs: Callable[[], float], *, target: float, n: int) -> Figure:
    """Both sides in turn, so that a machine that slows down slows both; each call returns its seconds."""
    pairs = [(ours(), theirs()) for _ in range(n)]
    return Figure(name, median(p[0] for p in pairs), median(p[1] for p in pairs), target, "s", n)


def machine() -> str:
    """What it ran on."""
    return f"{os.cpu_count()} x {_processor()}, Python {platform.python_version()}"


def _processor() -> str:
    with open("/proc/cpuinfo") as lines:  # noqa: PTH123  # Linux alone has it, like the rest of the bench
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

"""`python -m bench [NAME ...] [--long]`: measures figures and prints a line of JSON for each."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping

from bench import (
    delta,
    forms,
    growth,
    history,
    http_source,
    importing,
    intake,
    recordings,
    rows,
    rows_parallel,
    rss,
    scan,
    seed,
    simulate,
    simulated,
    size,
    slices,
    small,
    start,
    statements,
    throughput,
    verify,
    viewer,
)
from bench.figures import Figure
from portability import logs

FIGURES: Mapping[str, Callable[..., Figure]] = {
    "recordings": recordings.measure,
    "rows_jsonl": rows.measure_jsonl,
    "rows_jsonl_csv": rows.measure_both,
    "rows_parallel": rows_parallel.measure,
    "rows_cpu": rows.measure_cpu,
    "delta": delta.measure,
    "delta_hashes": delta.measure_hashes,
    "scan": scan.measure,
    "forms": forms.measure,
    "forms_rss": forms.measure_rss,
    "slices": slices.measure,
    "small": small.measure,
    "statements": statements.measure,
    "throughput": throughput.measure,
    "http_source": http_source.measure,
    "growth": growth.measure,
    "rss": rss.measure,
    "rss_growth": rss.measure_growth,
    "start": start.measure,
    "verify": verify.measure,
    "size": size.measure,
    "seed": seed.measure,
    "import": importing.measure,
    "intake": intake.measure,
    "history": history.measure,
    "simulate": simulate.measure,
    "simulated": simulated.measure,
    **viewer.FIGURES,
}

ALIASES: Mapping[str, str] = {"person_default": "forms"}
"""Other names of figures."""


def main() -> int:
    """Measure the named figures, or all; returns an exit status."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--long", action="store_true", help="larger sizes, more runs")
    arguments = parser.parse_args()
    names = [ALIASES.get(name, name) for name in arguments.names] or list(FIGURES)
    for name in names:
        if name not in FIGURES:
            parser.error(f"unknown figure {name!r}; known figures: {', '.join([*FIGURES, *ALIASES])}")
    if len(names) > 1:
        return max(_alone(name, long=arguments.long) for name in names)
    logs.configure("WARNING")
    print(FIGURES[names[0]](long=arguments.long).line(), flush=True)
    return 0


def _alone(name: str, *, long: bool) -> int:
    """Measure one figure in a separate process, like a job, after the disk has written the previous figure's data."""
    os.sync()
    return subprocess.call([sys.executable, "-m", "bench", name, *(["--long"] if long else [])])


if __name__ == "__main__":
    sys.exit(main())

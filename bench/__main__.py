"""`python -m bench [NAME ...] [--long]`: measures figures and prints a line of JSON for each."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from bench import growth, recordings, rows, rss, scan, seed, size, slices, small, verify
from bench.figures import Figure
from portability import logs

FIGURES: Mapping[str, Callable[..., Figure]] = {
    "recordings": recordings.measure,
    "rows_jsonl": rows.measure_jsonl,
    "rows_jsonl_csv": rows.measure_both,
    "rows_cpu": rows.measure_cpu,
    "scan": scan.measure,
    "slices": slices.measure,
    "small": small.measure,
    "growth": growth.measure,
    "rss": rss.measure,
    "rss_growth": rss.measure_growth,
    "verify": verify.measure,
    "size": size.measure,
    "seed": seed.measure,
}


def main() -> None:
    """Measure what is named, or everything."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--long", action="store_true", help="larger sizes, more runs")
    asked = parser.parse_args()
    logs.configure("WARNING")
    for name in asked.names or FIGURES:
        if name not in FIGURES:
            parser.error(f"no figure is named {name!r}; there are {', '.join(FIGURES)}")
        print(FIGURES[name](long=asked.long).line(), flush=True)


if __name__ == "__main__":
    main()

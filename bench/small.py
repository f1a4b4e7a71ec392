"""`small`: one small export by a real worker, from claim to ready, compared with a job of RQ that does nothing."""

from __future__ import annotations

from small_exports import instructed, small_source

from bench.figures import Figure, interleaved
from bench.stack import stack
from bench.surroundings import surroundings

JOBS = 20


def measure(*, long: bool) -> Figure:
    """Measure seconds of the worker."""
    with surroundings() as around:
        source = around.postgres.url(around.postgres.create_database())
        recordings = around.s3.url("recordings")
        whose = small_source(source, recordings)
        with stack(around, SOURCE_URL=source, RECORDINGS_URL=recordings) as running:
            instructed(running.made.engine, whose)
            return interleaved(
                "small",
                lambda: running.export(f"contact:{whose.contact}", tenant=whose.contact_tenant),
                lambda: running.nothing(JOBS),
                target=5,
                n=50 if long else 15,
            )

"""`statements`: the SQL statements of one small export from claim to ready, on the control database and its sources."""

from __future__ import annotations

import orjson
import servers
from small_exports import small_export

from bench.figures import Figure
from bench.surroundings import surroundings

FIXED = 20
"""Statements that an export may need besides those that read its datasets."""


def measure(*, long: bool) -> Figure:  # noqa: ARG001  # a count is the same in each run
    """Count statements; also print them by kind."""
    with (
        surroundings() as around,
        servers.valkey() as valkey,
        small_export(around.folder, around.postgres, around.s3, valkey.url) as running,
    ):
        running.count()
        found = running.count()
    line = {"datasets": found.datasets, "control": found.kinds, "own": len(found.own), "source": len(found.source)}
    print(orjson.dumps(line).decode(), flush=True)
    total = len(found.control) + len(found.own) + len(found.source)
    return Figure("statements", total, FIXED + found.datasets, 1, "statements", 1)

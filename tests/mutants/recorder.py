"""A pytest plug-in that writes which test runs which lines, and for how long: `-p mutants.recorder`."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

ROOMS = ("portability/", "worker/")
_seconds: dict[str, float] = defaultdict(float)
_measured = coverage.Coverage(data_file=None, include=[f"{room}*" for room in ROOMS])
_measured.start()
SERVERS = frozenset({"pg_server", "s3_server", "redis_server"})
VARIANTS = frozenset({"postgresql", "s3"})
"""Parameters of fixtures that start a server."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the tests that need a server: starting it would take longer than the tests of a change."""
    items[:] = [item for item in items if not _needs_server(item)]


def _needs_server(item: pytest.Item) -> bool:
    called = getattr(item, "callspec", None)
    variants = {each for each in called.params.values() if isinstance(each, str)} if called else set()
    return not SERVERS.isdisjoint(getattr(item, "fixturenames", ())) or not VARIANTS.isdisjoint(variants)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Attribute what runs from here on to the test."""
    _measured.switch_context(item.nodeid)
    try:
        yield
    finally:
        _measured.switch_context("")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the seconds of the test's phases; a test that fails or is skipped without a change proves nothing."""
    _seconds[report.nodeid] += report.duration if report.passed else float("inf")


def pytest_sessionfinish() -> None:
    """Write the file that RECORDED names: seconds by test, and tests by line and file."""
    _measured.stop()
    data = _measured.get_data()
    lines = {
        os.path.relpath(path): {
            str(line): [name for name in names if name] for line, names in data.contexts_by_lineno(path).items()
        }
        for path in data.measured_files()
    }
    passed = {name: seconds for name, seconds in _seconds.items() if seconds != float("inf")}
    Path(os.environ["RECORDED"]).write_text(json.dumps({"seconds": passed, "lines": lines}))

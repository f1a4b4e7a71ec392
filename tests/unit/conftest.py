"""What unit tests share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from factories import MadeUpExporter, World, things, world

from worker import prepare
from worker.read.reader import SourcePatience


@pytest.fixture
def made(tmp_path: Path) -> World:
    """A deployment in a folder, on SQLite, with a key for archives and an exporter of four records."""
    return world(tmp_path, {"made": MadeUpExporter(things(4))})


@pytest.fixture(autouse=True)
def _no_waiting_for_sources() -> Iterator[None]:
    """An unavailable source is retried at once; the waiting time of a worker is tested with the reader."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            prepare, "SourcePatience", partial(SourcePatience, wait=lambda seconds: time.sleep(seconds / 100))
        )
        yield

"""The archives that are judged, made once for all tests of a run."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from judges.cases import SHORT, Archive


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Archive]:
    """All archives except the large archives, by the name of their case.

    The first process of pytest-xdist makes them, in ten seconds, and the others read what they are.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "archives"
    folder.mkdir(exist_ok=True)
    described = folder / "described.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not described.exists():
            made = {name: case(Path(tempfile.mkdtemp(dir=folder))) for name, case in SHORT.items()}
            described.write_text(json.dumps({name: ([*map(str, one.volumes)], one.jwks) for name, one in made.items()}))
    return {
        name: Archive([*map(Path, volumes)], jwks)
        for name, (volumes, jwks) in json.loads(described.read_text()).items()
    }


@pytest.fixture(params=SHORT)
def archive(request: pytest.FixtureRequest, archives: Mapping[str, Archive]) -> Archive:
    """Each of them."""
    return archives[request.param]


@pytest.fixture
def bags(archive: Archive, tmp_path: Path) -> list[Path]:
    """Its volumes, unpacked."""
    return archive.unpacked(tmp_path)

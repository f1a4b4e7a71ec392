"""The archives that are judged, made once for all tests of a process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from judges.cases import SHORT, Archive


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Archive]:
    """All archives except the large archives, by the name of their case."""
    return {name: case(tmp_path_factory.mktemp("case")) for name, case in SHORT.items()}


@pytest.fixture(params=SHORT)
def archive(request: pytest.FixtureRequest, archives: Mapping[str, Archive]) -> Archive:
    """Each of them."""
    return archives[request.param]


@pytest.fixture
def bags(archive: Archive, tmp_path: Path) -> list[Path]:
    """Its volumes, unpacked."""
    return archive.unpacked(tmp_path)

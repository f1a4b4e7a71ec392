from __future__ import annotations

from pathlib import Path

import pytest
from factories import World

from portability.api.errors import ForeignStore
from portability.database import deployment, incidents
from portability.storage.local import LocalStorage


def test_the_first_folder_seen_becomes_the_store(made: World, tmp_path: Path) -> None:
    """The database remembers it; every machine that mounts the same folder is let in."""
    deployment.check_store(made.engine, LocalStorage(tmp_path / "archives"))
    deployment.check_store(made.engine, LocalStorage(tmp_path / "archives"))


def test_another_folder_is_refused(made: World, tmp_path: Path) -> None:
    """On a machine with a wrong folder, archives would be written where they are never found."""
    deployment.check_store(made.engine, LocalStorage(tmp_path / "archives"))
    with pytest.raises(ForeignStore):
        deployment.check_store(made.engine, LocalStorage(tmp_path / "elsewhere"))
    assert [(row["kind"], row["count"]) for row in incidents.counted(made.engine)] == [("foreign_store", 1)]

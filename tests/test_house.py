"""The house rules that no linter knows."""

from __future__ import annotations

import ast
import io
import os
import re
import tokenize
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
import repository
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository import PACKAGES, ROOT

import portability
from cli.main import main

MODULE_LINES = 330
FUNCTION_LINES = 50
LOCKS = ("run", "dev")

INDEX_HOSTS = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|index[-_]url *=|://[^/ ]*/simple\b")
MACHINE_PATHS = re.compile(r"(?<![\w.<>/}-])/(?:root|work|home|Users|mnt)/\w")
SILENCED = re.compile(r"#\s*(?:noqa|type: ignore)\b")
WITH_REASON = re.compile(r"#\s*(?:noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])\s*(?:#|-)\s*\w.*")
WRONG_ON_PURPOSE = re.compile(r"#\s*type: ignore\[[a-z, -]+\]")


def test_modules_are_short() -> None:
    """No module outgrows one sitting."""
    long = {_name(path): lines for path in _modules() if (lines := len(path.read_text().splitlines())) > MODULE_LINES}

    assert long == {}


def test_functions_are_short() -> None:
    """No function outgrows one screen; a migration is a list of statements."""
    long = {
        f"{_name(path)}:{function.name}": lines
        for path in _modules()
        if "migrations/versions" not in _name(path)
        for function in _functions(path)
        if (lines := _lines(function)) > FUNCTION_LINES
    }

    assert long == {}


def test_what_is_silenced_has_its_reason() -> None:
    """Each `noqa` and `type: ignore` names its rule, and why, on the line; a test's wrong type is one on purpose."""
    bare = [
        f"{_name(path)}:{line}"
        for path in repository.files("*.py")
        for line, comment in _comments(path)
        if SILENCED.search(comment)
        and not WITH_REASON.search(comment)
        and not (path.is_relative_to(ROOT / "tests") and WRONG_ON_PURPOSE.search(comment))
    ]

    assert bare == []


@pytest.mark.parametrize("forbidden", [INDEX_HOSTS, MACHINE_PATHS], ids=["index hosts", "paths of one machine"])
def test_files_name_no_place_of_ours(forbidden: re.Pattern[str]) -> None:
    """No file names a package index or a folder of somebody's machine: it must work behind any mirror, anywhere."""
    found = [
        f"{_name(path)}:{number}"
        for path in repository.files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if forbidden.search(line)
    ]

    assert found == []


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_is_current(lock: str) -> None:
    """Each dependency of pyproject.toml is locked at a version that it allows; nothing else is locked as direct."""
    locked = _locked(lock)
    wanted = {requirement.name: requirement for requirement in _wanted(lock)}
    allowed = {
        name: name in locked and requirement.specifier.contains(locked[name]) for name, requirement in wanted.items()
    }

    assert allowed == dict.fromkeys(wanted, True)
    assert _direct(lock) - {"setuptools"} == set(wanted)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_line_has_hashes(lock: str) -> None:
    """Pip installs from the lock with `--require-hashes`: each entry has its SHA-256 hashes."""
    bare = [entry.splitlines()[0] for entry in _entries(lock) if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)]

    assert bare == []


def test_the_development_lock_holds_the_other() -> None:
    """What is tested is what runs: the same versions in both locks."""
    run, dev = _locked("run"), _locked("dev")

    assert {name: dev.get(name) for name in run} == run


def test_the_procfile_runs_commands() -> None:
    """Every line of the Procfile is a command of ours."""
    lines = [line.split(":", 1)[1].split() for line in (ROOT / "Procfile").read_text().splitlines()]

    for program, *words in lines:
        assert program == "portability"
        command: click.Command = main
        for word in words:
            assert isinstance(command, click.Group)
            below = command.get_command(click.Context(command), word)
            assert below is not None
            command = below


def test_the_ci_runs_what_contributors_run() -> None:
    """`.ci/run` is executable and is `make check`, then `make test`."""
    script = ROOT / ".ci" / "run"

    assert os.access(script, os.X_OK)
    assert re.findall(r"make ([a-z-]+)", script.read_text()) == ["check", "test"]


def test_types_are_published() -> None:
    """Plugin authors import `portability`; its marker makes their type checkers read ours (PEP 561)."""
    assert (Path(portability.__file__).parent / "py.typed").is_file()


def _modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from repository.files("*.py", below=ROOT / package)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _wanted(lock: str) -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["embedded"], *(extras["dev"] if lock == "dev" else [])]
    for line in lines:
        requirement = Requirement(line)
        requirement.name = canonicalize_name(requirement.name)
        yield requirement


def _entries(lock: str) -> list[str]:
    return re.findall(r"^[a-z].*(?:\n[ ].*)*", (ROOT / "requirements" / f"{lock}.txt").read_text(), flags=re.MULTILINE)


def _locked(lock: str) -> Mapping[str, str]:
    heads = (re.match(r"([a-z0-9._-]+)(?:\[[a-z0-9,]+\])?==([^ ;]+)", entry) for entry in _entries(lock))
    return {canonicalize_name(head[1]): head[2] for head in heads if head}


def _direct(lock: str) -> set[str]:
    """Names that the lock says come from pyproject.toml or from the build's own list."""
    source = re.compile(r"# +(?:via )?(?:portability \(pyproject\.toml\)|-r requirements/build\.in)")
    return {
        canonicalize_name(re.split(r"[=\[]", entry, maxsplit=1)[0]) for entry in _entries(lock) if source.search(entry)
    }

"""The house rules that no linter knows."""

from __future__ import annotations

import ast
import io
import os
import re
import tokenize
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
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
SAME_HELPERS = 3
LOCKS = {"run": (), "embedded": ("embedded",), "dev": ("embedded", "otlp", "pkcs11", "parquet", "dev", "docs")}
"""What each lock file has beside the dependencies: extras of pyproject.toml."""

# What starts a server, a browser or a partner on loopback, of tests/support and of the libraries.
SERVER_MODULES = {
    *("servers", "served", "proxied", "sending", "transferring", "fake_sender", "http_faults", "issuer", "listener"),
    *("loopback", "postbox", "visits", "watched", "playwright", "uvicorn", "aiosmtpd", "http.server", "socketserver"),
}
SERVER_FIXTURES = {
    *("pg_server", "pg_url", "platform_url", "redis_server", "redis_url", "s3_server", "s3", "s3_url", "browser"),
}
CLASS = re.compile(r"^ *class (\w+)\b", re.MULTILINE)
HELPER = re.compile(r"^def (?!test_)(\w+)", re.MULTILINE)
IMPORT = re.compile(r"^ *(?:from [\w.]+ )?import (?:\([^)]*\)|[^#\n]*)", re.MULTILINE)
CLOCK = re.compile(r"\b(datetime\.(now|utcnow)|date\.today|time\.(time|time_ns))\b")
PRIVATE = re.compile(r"(?<!\w)_(?!_)\w")
ONE_SENTENCE = re.compile(r"(?:[^.]|\.(?=[\w/]))+\.")

INDEX_HOSTS = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|index[-_]url *=|://[^/ ]*/simple\b")
MACHINE_PATHS = re.compile(r"(?<![\w.<>/}-])/(?:root|work|home|Users|mnt)/\w")
COMPANY = re.compile(r"vlint(?!-portability)", re.IGNORECASE)
SILENCED = re.compile(r"#\s*(?:noqa|type: ignore)\b")
WITH_REASON = re.compile(r"#\s*(?:noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])\s*(?:#|-)\s*\w.*")
WRONG_ON_PURPOSE = re.compile(r"#\s*type: ignore\[[a-z, -]+\]")


def test_modules_are_short() -> None:
    """Modules are short enough to read in one go; a migration is a list of statements."""
    long = {
        _name(path): lines
        for path in _modules()
        if "migrations/versions" not in _name(path)
        if (lines := len(path.read_text().splitlines())) > MODULE_LINES
    }

    assert long == {}


def test_functions_are_short() -> None:
    """Functions fit on a screen; a migration is a list of statements."""
    long = {
        f"{_name(path)}:{function.name}": lines
        for path in _modules()
        if "migrations/versions" not in _name(path)
        for function in repository.functions(_parsed(path))
        if (lines := _lines(function)) > FUNCTION_LINES
    }

    assert long == {}


def test_a_class_name_is_unique() -> None:
    """A class name is unique in the repository, with tests and benchmarks, so that a reader knows which class it is."""
    assert _repeated(CLASS, repository.files("*.py"), most=1) == {}


def test_helpers_of_tests_are_shared_or_say_what_they_do() -> None:
    """A helper with the same name in many test modules belongs in tests/support or a conftest, or needs another name.

    A fixture that replaces a fixture of a conftest above it counts as the same fixture.
    """
    found = _repeated(HELPER, repository.files("*.py", below=ROOT / "tests"), most=SAME_HELPERS)

    assert found == {}


def test_a_room_says_its_job() -> None:
    """The `__init__` of each package says in one sentence what the package is for; details are a paragraph below."""
    jobs = {_name(path): ast.get_docstring(_parsed(path)) or "" for path in _modules() if path.name == "__init__.py"}

    assert {name: job for name, job in jobs.items() if not ONE_SENTENCE.fullmatch(job.split("\n\n")[0])} == {}


def test_private_names_stay_in_their_module() -> None:
    """No module imports a name with an underscore, or a module with one: shared names are public."""
    private = [
        f"{_name(path)}: {statement}"
        for path in _modules()
        for statement in IMPORT.findall(path.read_text())
        if PRIVATE.search(statement)
    ]

    assert private == []


def test_no_module_reads_the_clock_while_it_is_imported() -> None:
    """What runs past midnight would take yesterday for today: a test of a month's end as well as a worker."""
    timed = (path for path in repository.files("*.py") if CLOCK.search(path.read_text()))
    nodes = ((path, node) for path in timed for node in _imported_code(_parsed(path)) if isinstance(node, ast.Call))
    assert [f"{_name(path)}:{node.lineno}" for path, node in nodes if CLOCK.search(ast.unparse(node.func))] == []


def test_a_command_prints_in_one_place() -> None:
    """Only cli/terminal.py and cli/harmless.py write to the output: no command forgets what a terminal would obey."""
    printers = {"print", "click.echo", "click.secho", "echo", "secho", "sys.stdout.write", "sys.stderr.write"}
    makers = {"rich.print", "rich.console.Console", "rich.text.Text", "click.echo", "click.secho"}
    found = []
    for path in repository.files("*.py", below=ROOT / "cli"):
        if path.name in {"terminal.py", "harmless.py"} or "plugin_templates" in path.parts:
            continue
        for node in ast.walk(_parsed(path)):
            called = {ast.unparse(node.func)} & printers if isinstance(node, ast.Call) else set[str]()
            imported = {*_imported(node)} & makers if isinstance(node, ast.ImportFrom) else set[str]()
            found += [f"{path.name}: {name}" for name in called | imported]
    # A type checker needs the name of the console.
    assert found == ["context.py: rich.console.Console"]


@pytest.mark.parametrize("path", [*repository.files("*.py", below=ROOT / "tests" / "unit")], ids=lambda path: path.stem)
def test_a_unit_test_needs_no_server(path: Path) -> None:
    """A unit test starts no server, no browser and no partner on loopback, and takes no fixture that does."""
    tree = _parsed(path)
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom | ast.Import)
        for name in _imported(node)
        if any(f"{name}.".startswith(f"{server}.") for server in SERVER_MODULES)
    }
    asked = {argument.arg for function in repository.functions(_parsed(path)) for argument in function.args.args}
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}

    assert imported == set()
    assert (asked | named) & SERVER_FIXTURES == set()


def test_what_is_silenced_has_its_reason() -> None:
    """Each `noqa` and `type: ignore` names its rule and the reason; a test may pass a wrong type on purpose."""
    bare = [
        f"{_name(path)}:{line}"
        for path in repository.files("*.py")
        if SILENCED.search(path.read_text())
        for line, comment in _comments(path)
        if SILENCED.search(comment)
        and not WITH_REASON.search(comment)
        and not (path.is_relative_to(ROOT / "tests") and WRONG_ON_PURPOSE.search(comment))
    ]

    assert bare == []


@pytest.mark.parametrize("forbidden", [INDEX_HOSTS, MACHINE_PATHS], ids=["index hosts", "paths of one machine"])
def test_files_name_no_place_of_ours(forbidden: re.Pattern[str]) -> None:
    """No file names a package index or a folder of one machine: it must work behind any mirror, anywhere."""
    found = [
        f"{_name(path)}:{number}"
        for path in repository.files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if forbidden.search(line)
    ]

    assert found == []


def test_the_code_names_no_company() -> None:
    """A deployment's name is a setting: in code and texts stands none but that of the distribution."""
    found = [
        f"{_name(path)}:{number}"
        for package in PACKAGES
        for path in repository.files(below=ROOT / package)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if COMPANY.search(line)
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


@pytest.mark.parametrize("lock", ["run", "embedded"])
def test_the_development_lock_holds_the_others(lock: str) -> None:
    """What is tested is what runs: the same versions in all locks."""
    run, dev = _locked(lock), _locked("dev")

    assert {name: dev.get(name) for name in run} == run


def test_the_procfile_runs_commands() -> None:
    """Every line of the Procfile is a command of this project."""
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


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imported_code(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported: all but the bodies of functions."""
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child
                yield from _imported_code(child)


def _imported(node: ast.ImportFrom | ast.Import) -> Iterator[str]:
    """Dotted names, each with the module that it comes from."""
    for alias in node.names:
        yield f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name


def _repeated(definition: re.Pattern[str], modules: Iterable[Path], *, most: int) -> dict[str, list[str]]:
    """Names that more than `most` modules define, with those modules; the definitions in strings do not count."""
    places: dict[str, list[Path]] = defaultdict(list)
    for path in modules:
        for name in set(definition.findall(path.read_text())):
            places[name].append(path)
    found = {
        name: [_name(path) for path in where if name in _defined(path) and not _overrides(name, path)]
        for name, where in places.items()
        if len(where) > most
    }
    return {name: where for name, where in found.items() if len(where) > most}


@cache
def _defined(path: Path) -> set[str]:
    return {node.name for node in ast.walk(_parsed(path)) if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def _overrides(name: str, path: Path) -> bool:
    """Whether a conftest.py above has a fixture of this name."""
    above = (folder / "conftest.py" for folder in path.parents)
    return any(name in _defined(conftest) for conftest in above if conftest != path and conftest.exists())


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _wanted(lock: str) -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = (line for extra in LOCKS[lock] for line in project["optional-dependencies"][extra])
    for line in [*project["dependencies"], *extras]:
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
    source = re.compile(r"# +(?:via )?(?:vlint-portability \(pyproject\.toml\)|-r requirements/build\.in)")
    return {
        canonicalize_name(re.split(r"[=\[]", entry, maxsplit=1)[0]) for entry in _entries(lock) if source.search(entry)
    }

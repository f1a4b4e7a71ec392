"""Output that cannot be written: one line that says why, and an exit code, whatever buffers there are."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from repository import ROOT

from cli.context import Context, shared
from portability.api.errors import BadMap

pytestmark = pytest.mark.slow

VECTORS = ROOT / "conformance" / "vectors"
TARGET = ("--into", "sqlite:///{folder}/target.sqlite", "--as-tenant", "t")


def portability(
    *arguments: str, folder: Path, stdout: str | None = None, buffered: bool = True
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command; `stdout` is a file for its output."""
    environment = {**os.environ, "PORTABILITY_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    environment |= {} if buffered else {"PYTHONUNBUFFERED": "1"}
    with Path(stdout or os.devnull).open("w") as file:
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            stdout=file if stdout else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
    return done.returncode, done.stdout or "", done.stderr


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("keys", "list", "--json")])
def test_a_full_disk_under_the_output_is_one_line(tmp_path: Path, arguments: tuple[str, ...], buffered: bool) -> None:
    """Standard output is a file on a full disk: no traceback, and no success. With JSON the line is there, too."""
    code, _, errors = portability(*arguments, folder=tmp_path, stdout="/dev/full", buffered=buffered)

    assert code == 1
    assert errors.startswith("error: cannot write: No space left on device [storage_full]  hint: free some space;")
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("list", "--help")])
def test_a_help_that_cannot_be_written_is_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The library writes it, before any command begins."""
    code, _, errors = portability(*arguments, folder=tmp_path, stdout="/dev/full")

    assert (code, len(errors.splitlines())) == (1, 1)
    assert errors.startswith("error: cannot write: No space left on device [storage_full]")


def test_a_missing_choice_is_one_line(tmp_path: Path) -> None:
    """The words to choose from are on the line of the error, too: a program reads errors line by line."""
    code, _, errors = portability("pause", "an_id", folder=tmp_path)

    assert code == 2
    (line,) = errors.splitlines()
    assert line.startswith("error: Missing option '--reason'. Choose from: identity, clarification [bad_input]  hint: ")


@pytest.mark.parametrize("as_json", [False, True])
def test_the_exit_code_stays_where_no_error_can_be_written(tmp_path: Path, as_json: bool) -> None:
    """Standard error, or standard output with `--json`, is on a full disk: bad input is still exit code 2."""
    words = [sys.executable, "-m", "cli.main", "show", "nothing", "--dir", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*words, *(["--json"] if as_json else [])], stdout=full, stderr=full, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("before", "arguments", "said"),
    [
        (
            "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc/nothing']",
            ("import", f"{VECTORS}/archives/one-volume.zip", "--jwks", f"{VECTORS}/sender-jwks.json", *TARGET),
            "found no folder for temporary files [bad_input]  hint: set TMPDIR",
        ),
        (
            "import os; os.mkdir('{folder}/gone'); os.chdir('{folder}/gone'); os.rmdir('{folder}/gone')",
            ("list", "--dir", "here"),
            "the folder in which the command runs is gone [bad_input]  hint: change",
        ),
    ],
    ids=["temporary", "present"],
)
def test_a_folder_that_the_system_gives_may_be_missing(
    tmp_path: Path, before: str, arguments: tuple[str, ...], said: str
) -> None:
    """A read-only container has none for temporary files; another shell deletes the present one: one line says it."""
    words = [each.format(folder=tmp_path) for each in arguments]
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); {before.format(folder=tmp_path)}; from cli.main import run"
    )
    whole = f"{program}; sys.argv = ['portability', *{words!r}]; run()"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr[: len(said) + 7]) == (2, f"error: {said}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("to", ["/dev/full", "/proc/nothing/map.toml", "{long}"])
def test_a_file_that_cannot_be_made_is_named(tmp_path: Path, to: str) -> None:
    """A missing folder, a name that is too long, a device that exists: the error names the file, also for programs."""
    to = to.format(long=tmp_path / ("x" * 300))
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.execute("create table users (id integer primary key)")
    propose = ("source", "propose", f"sqlite:///{tmp_path / 'shop.db'}", "--subject-table", "users", "--to", to)
    code, output, errors = portability(*propose, "--json", folder=tmp_path)

    assert (code, errors) == (2, "")
    assert json.loads(output)["error"]["code"] == "bad_input"
    assert to in json.loads(output)["error"]["message"]


@pytest.mark.parametrize(
    ("raised", "said", "hint"),
    [
        (MemoryError(), "too little memory", "ulimit -v"),
        (OSError(errno.EMFILE, "Too many open files", "/opt/portability/journal.py"), "too few files", "ulimit -n"),
        (OSError(errno.ENFILE, "Too many open files in system"), "too few files", "ulimit -n"),
    ],
)
def test_a_limit_of_the_process_is_one_line(raised: Exception, said: str, hint: str) -> None:
    """It names the limit and how to raise it, and no file that was opened at that moment by chance."""

    @click.command()
    @shared
    def reaching(_context: Context) -> None:
        raise raised

    done = CliRunner().invoke(reaching, [])
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr
    assert hint in done.stderr
    assert "journal.py" not in done.stderr


def test_faults_of_a_map_are_apart_on_their_line() -> None:
    """Each has its place; an end of line in a name is shown as `?`, and one between faults as a semicolon."""

    @click.command()
    @shared
    def refusing(_context: Context) -> None:
        raise BadMap("crm.toml:3:1: unknown key 'a'\ncrm.toml:4:1: unknown key 'b\x1b'")

    errors = CliRunner().invoke(refusing, []).stderr
    assert errors.startswith("error: crm.toml:3:1: unknown key 'a'; crm.toml:4:1: unknown key 'b?' [bad_map]")


def test_a_file_that_may_not_grow_is_no_full_disk() -> None:
    """More free space helps neither a limit of the process nor a file system of files of 4 GiB at most."""

    @click.command()
    @shared
    def growing(_context: Context) -> None:
        raise OSError(errno.EFBIG, "File too large")

    done = CliRunner().invoke(growing, [])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: cannot write: File too large [storage_full]  hint: raise the limit")
    assert "ulimit -f" in done.stderr
    assert "free some space" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize(("arguments", "shown"), [((), "─"), (("--register", "--json"), "für")])
def test_a_pipe_gets_utf_8_in_any_locale(tmp_path: Path, encoding: str, arguments: tuple[str, ...], shown: str) -> None:
    """JSON is UTF-8, and a name that the locale has no letters for ends no command with a traceback."""
    environment = {**os.environ, "PORTABILITY_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cli.main", "plugins", *arguments]
    done = subprocess.run(command, capture_output=True, env={**environment, "PYTHONIOENCODING": encoding}, check=True)
    assert shown in done.stdout.decode()


def test_a_file_name_that_is_not_utf_8_is_named_with_signs(tmp_path: Path) -> None:
    """As JSON too, in results and in errors: JSON has no letter for such a byte."""
    (tmp_path / "in").mkdir()
    odd = tmp_path / "in" / os.fsdecode(b"\xfcni.zip")
    odd.write_bytes(b"no ZIP")
    keys = str(ROOT / "tests" / "golden" / "portability-1" / "jwks.json")

    code, text, _ = portability("verify", str(tmp_path / "in"), "--jwks", keys, "--json", folder=tmp_path)

    assert code == 1
    assert json.loads(text)["errors"][0]["volume"] == "?ni.zip"

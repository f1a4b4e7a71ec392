from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import forks
import pytest
from click.testing import CliRunner, Result
from factories import MadeUpExporter, world
from migrated import migrate

from cli.main import main
from portability import plugins
from portability.database.engine import open_engine

Run = Callable[..., Result]

ASK = ("request", "--profile", "access", "--subject", "user:usr_1")
CONSENT = ("authorisations", "add", "--subject", "user:usr_1", "--to", "other.example", "--include", "calls")
MANDATE = ("mandates", "add", "--agent", "subject:a", "--subject", "user:usr_1", "--profile", "access", "--issuer", "x")
BAD = [
    (("request", "--profile", "everything", "--subject", "user:usr_1"), "unknown_profile"),
    (("request", "--profile", "access", "--subject", "jane"), "bad_subject"),
    (("request", "--profile", "access", "--subject", "user:jane doe"), "bad_subject"),
    (("request", "--profile", "access", "--subject", "contact:con_1"), "bad_subject"),
    (("request", "--profile", "switch", "--subject", "user:usr_1"), "bad_subject"),
    ((*ASK, "--include", "nothing"), "unknown_exporter"),
    ((*ASK, "--include", ""), "bad_input"),
    ((*ASK, "--format", "docx"), "unknown_format"),
    ((*ASK, "--format", ","), "bad_input"),
    ((*ASK, "--since", "yesterday"), "bad_date"),
    ((*ASK, "--since", "2026-01-02", "--until", "2026-01-01"), "bad_date"),
    ((*ASK, "--received-at", "2999-01-01"), "bad_date"),
    ((*ASK, "--channel", "carrier pigeon"), "bad_input"),
    ((*ASK, "--as", "king:me"), "bad_input"),
    (("show", "nothing"), "unknown_export"),
    (("cancel", "nothing"), "unknown_export"),
    (("fetch", "nothing", "--to", "x"), "unknown_export"),
    (("instructions", "add", "--tenant", "a/b"), "bad_subject"),
    (("instructions", "add", "--tenant", "ten_1", "--include", ""), "unknown_exporter"),
    (("instructions", "add", "--tenant", "ten_1", "--include", "nothing"), "unknown_exporter"),
    (("instructions", "withdraw", "nothing"), "unknown_instruction"),
    ((*CONSENT, "--until", "soon"), "bad_date"),
    ((*CONSENT, "--until", "2126-01-01"), "bad_date"),
    ((*MANDATE, "--expires-at", "2126-01-01T00:00:00"), "bad_date"),
    ((*MANDATE, "--expires-at", "2126-01-01", "--agent", "jane"), "bad_input"),
    ((*MANDATE, "--expires-at", "2126-01-01", "--agent", "agent:jane"), "bad_input"),
    ((*MANDATE, "--expires-at", "2126-01-01", "--agent", "staff:jane"), "bad_input"),
    ((*MANDATE, "--expires-at", "2126-01-01", "--profile", "acces"), "bad_input"),
    (("feeds", "begin", *ASK[1:], "--until", ""), "bad_date"),
    (("keys", "new", "--purpose", "nothing"), "bad_input"),
    (("keys", "retire", "nothing"), "unknown_key"),
    (("keys", "revoke", "nothing"), "unknown_key"),
    (("verify", "nothing.zip"), "bad_input"),
    (("verify", "nothing.zip", "--jwks", "nothing.json"), "bad_input"),
    (("verify", "nothing.zip", "--jwks", "http://example.org/jwks.json"), "bad_input"),
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line in this process, on a state folder of its own with a migrated database."""
    engine = open_engine(f"sqlite:///{tmp_path}/portability.sqlite")
    migrate(engine)
    engine.dispose()
    # `--dir` sets it for child processes; monkeypatch takes it away again.
    monkeypatch.setenv("PORTABILITY_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    return lambda *arguments: runner.invoke(main, arguments, catch_exceptions=False)


@pytest.mark.parametrize(("arguments", "code"), BAD, ids=lambda value: " ".join(value)[:60])
def test_bad_input_is_one_line_with_code_and_hint(run: Run, arguments: tuple[str, ...], code: str) -> None:
    """Exit code 2, nothing on standard output, and what, on which thing, and usually a hint on standard error."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert f"[{code}]" in done.stderr


@pytest.mark.parametrize(("arguments", "code"), BAD, ids=lambda value: " ".join(value)[:60])
def test_machines_get_the_same_as_an_object(run: Run, arguments: tuple[str, ...], code: str) -> None:
    """`--json`: an object `error` with code, message and hint on standard output, and the same exit code."""
    done = run(*arguments, "--json")
    assert done.exit_code == 2
    assert done.stderr == ""
    error = json.loads(done.stdout)["error"]
    assert error.keys() == {"code", "message", "hint"}
    assert error["code"] == code
    assert error["message"]


def test_a_name_in_an_error_breaks_no_line_and_is_not_obeyed(run: Run) -> None:
    """A folder of another person may have any name: what reads the log counts lines, and a terminal obeys escapes."""
    done = run("verify", "a\nerror: forged\x1b[31m\u202e")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "a?error: forged?[31m?" in done.stderr


@pytest.mark.parametrize(("arguments", "_code"), [case for case in BAD if case[0][0] == "request"])
def test_a_refused_request_changes_nothing(run: Run, arguments: tuple[str, ...], _code: str) -> None:
    """What is checked is checked before anything is written."""
    run(*arguments)
    assert json.loads(run("list", "--json").stdout) == []


def test_an_id_typed_as_subject_is_not_repeated(run: Run) -> None:
    """A name or an address in the wrong place stays out of terminals and logs."""
    done = run("request", "--profile", "access", "--subject", "user:jane@example.org")
    assert "jane" not in done.output


@pytest.mark.parametrize("name", ["DATABASE_URL", "SOURCE_URL", "REDIS_URL", "STORAGE_URL", "RECORDINGS_URL"])
def test_a_bad_url_in_a_setting_is_reported_without_it(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named; the value may hold a password."""
    monkeypatch.setenv(f"PORTABILITY_{name}", "ftp://user:hunter2@host/")
    done = run("list")
    assert done.exit_code == 2
    assert f"PORTABILITY_{name}" in done.stderr
    assert "[bad_setting]" in done.stderr
    assert "hunter2" not in done.output


@pytest.mark.slow
def test_a_wish_that_the_state_does_not_allow(run: Run, tmp_path: Path) -> None:
    """A ready export cannot be cancelled, and one that is not ready cannot be fetched."""
    made = world(tmp_path, {"made": MadeUpExporter([])})
    ready = made.request()
    made.advance_all()
    queued = made.request("user:usr_2")
    made.engine.dispose()
    for arguments in (("cancel", ready), ("fetch", queued, "--to", "x")):
        done = run(*arguments)
        assert done.exit_code == 2
        assert "[wrong_state]" in done.stderr


def test_a_command_to_a_server_that_is_away_promises_no_retry(run: Run) -> None:
    """The clock repeats what it sends; the person who runs a command has to run it again."""
    document = "http://127.0.0.1:1/.well-known/portability"
    done = run("recipients", "discover", "localhost", "--url", document, "--country", "DE")
    assert "[outside_unavailable]" in done.stderr
    assert done.stderr.strip().endswith("run a command again: only the clock repeats its requests")


def test_a_claimed_role_is_not_believed_beside_servers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--as` gives roles on the embedded stack; elsewhere they cannot be checked."""
    monkeypatch.setenv("PORTABILITY_REDIS_URL", "redis://localhost/0")
    monkeypatch.setenv("PORTABILITY_SOURCE_URL", "sqlite:////absent/platform.sqlite")
    done = run(*ASK, "--as", "officer:jane")
    assert done.exit_code == 2
    assert "[not_allowed]" in done.stderr


def test_an_operator_may_not_fetch_beside_servers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the deployment allows it, because `fetch` makes a copy of a person's archive."""
    monkeypatch.setenv("PORTABILITY_REDIS_URL", "redis://localhost/0")
    assert "[not_allowed]" in run("fetch", "nothing", "--to", "x").stderr
    monkeypatch.setenv("PORTABILITY_ALLOW_FETCH", "1")
    assert "[unknown_export]" in run("fetch", "nothing", "--to", "x").stderr


@pytest.mark.parametrize("arguments", [("list", "--limit", "0"), ("list", "--limit", "-1"), ("list", "--state", "x")])
def test_options_out_of_range_are_refused_by_name(run: Run, arguments: tuple[str, ...]) -> None:
    """Exit code 2, the option named, no traceback."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert arguments[1] in done.stderr


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two packages that both bring an exporter `calls`."""
    module = ModuleType("a_strangers_plugins")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entries = [EntryPoint("calls", f"{module.__name__}:{name}", plugins.EXPORTERS) for name in ("one", "other")]
    declared = tuple(plugins.declared(entries))
    installed = plugins.installed
    monkeypatch.setattr(
        plugins, "installed", lambda group: declared if group == plugins.EXPORTERS else installed(group)
    )


@pytest.mark.usefixtures("twins")
@pytest.mark.parametrize("arguments", [("plugins",), ("plugins", "--register"), ("worker",), (*ASK, "--include", "x")])
def test_two_plugins_of_one_name_stop_every_command_that_needs_them(run: Run, arguments: tuple[str, ...]) -> None:
    """Also the worker: it does not start, so that no export is made by a random one of the two."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert "[duplicate_plugin]" in done.stderr
    assert "hint: uninstall one" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True])
def test_a_real_process_ends_the_same_way(tmp_path: Path, as_json: bool) -> None:
    """The installed command: exit code and streams as above, and no traceback."""
    command = [sys.executable, "-m", "cli.main", "show", "nothing", "--dir", str(tmp_path)]
    done = subprocess.run([*command, *(["--json"] if as_json else [])], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    if as_json:
        assert json.loads(done.stdout)["error"]["code"] == "unknown_export"
    else:
        assert done.stderr.splitlines() == [
            "error: no export has the id 'nothing' [unknown_export]  hint: `portability list` shows the exports"
        ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("list", "--limit", "99999999999999999999"),
        ("audit", "show", "--limit", "99999999999999999999"),
        ("audit", "show", "--after", "99999999999999999999"),
        ("web", "--fd", "99999999999999999999"),
        ("up", "--workers", "-1"),
        ("import", "x", "--into", "sqlite://", "--as-tenant", "t", "--journal-days", "99999999999"),
    ],
    ids=" ".join,
)
def test_a_number_that_nothing_can_store_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Before: the lines of an OverflowError, with `--json` too."""
    done = forks.run_fork([*words, "--dir", str(tmp_path), "--json"], os.environ, seconds=60)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (2, "bad_input")
    assert "is not in the range" in error["message"]


@pytest.mark.parametrize("as_json", [False, True])
def test_an_argument_in_another_encoding_is_refused(tmp_path: Path, as_json: bool) -> None:
    """A Latin-1 terminal gives bytes that are not UTF-8, which no database stores: one line, and no traceback."""
    words = [b"show", b"caf\xe9", b"--dir", os.fsencode(tmp_path), *([b"--json"] if as_json else [])]
    done = subprocess.run([sys.executable, "-m", "cli.main", *words], capture_output=True, text=True, check=False)
    fault = "argument 2 of the command has bytes that are not UTF-8"

    assert done.returncode == 2
    if as_json:
        error = json.loads(done.stdout)["error"]
        assert (error["code"], error["message"], done.stderr) == ("bad_input", fault, "")
    else:
        assert done.stderr.startswith(f"error: {fault} [bad_input]  hint: ")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["lsit"], "'list'"),
        (["workers"], "'worker'"),
        (["keys", "lst"], "'list'"),
        (["list", "--stat", "ready"], "'--state'"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_an_unknown_name_is_refused_with_the_nearest(words: list[str], nearest: str, as_json: bool) -> None:
    """Commands, subcommands and options; under `--json` as an object, like all other errors."""
    done = forks.run_fork([*words, *(["--json"] if as_json else [])], os.environ, seconds=60)
    error = json.loads(done.stdout)["error"] if as_json else {"code": "bad_input", "message": done.stderr}
    assert done.returncode == 2
    assert error["code"] == "bad_input"
    assert "Did you mean" in error["message"]
    assert nearest in error["message"]


@pytest.mark.slow
def test_the_shell_completes_commands() -> None:
    """What docs/cli.md says of completion: the shell is given the commands that begin with what was typed."""
    typed = {"_PORTABILITY_COMPLETE": "bash_complete", "COMP_WORDS": "portability keys re", "COMP_CWORD": "2"}
    program = Path(sys.executable).with_name("portability")
    done = subprocess.run([program], env={**os.environ, **typed}, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,retire", "plain,revoke"]


def test_a_request_that_is_open_already_is_not_new(run: Run) -> None:
    """Another country of residence is not taken over, an earlier receipt is; the answer says that it was open."""
    first = json.loads(run(*ASK, "--residence", "DE", "--json").stdout)
    again = run(*ASK, "--residence", "FR", "--received-at", "2026-01-12", "--json")
    seen = json.loads(again.stdout)
    assert (first["is_new"], seen["is_new"], seen["id"]) == (True, False, first["id"])
    assert (seen["residence"], seen["received_at"]) == ("DE", "2026-01-12T00:00:00Z")
    assert "only an earlier receipt is taken over" in again.stderr


@pytest.mark.parametrize("arguments", [("list",), ("db", "upgrade"), ("keys", "new"), ("doctor",)])
@pytest.mark.parametrize("below", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_reported(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], below: str
) -> None:
    """A file stands where the state folder should be."""
    (tmp_path / "file").write_text("")
    done = run(*arguments, "--dir", str(tmp_path / below))
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "PORTABILITY_DIR" in done.stderr
    seen = ("file: it is a file", "a file is where a folder is needed", "file/below: there is no such folder")
    assert any(words in done.stderr for words in seen)


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("show", "x"),
        ("audit", "verify"),
        ("erase", "--subject", "user:usr_1", "--reason", "T-1"),
        ("inbox", "import", "tr_1"),
    ],
    ids=lambda words: words[0],
)
def test_a_mistyped_folder_is_not_made(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A command that looks for something in a deployment does not begin an empty one, and then finds nothing in it."""
    done = run(*arguments, "--dir", str(tmp_path / "typo"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"no deployment is in {tmp_path}/typo: there is no such folder" in done.stderr
    assert not (tmp_path / "typo").exists()


def test_a_mistyped_database_is_not_made(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty file would be an error about its revision, and its hint would make a second control database of it."""
    path = tmp_path / "contorl.sqlite"
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", f"sqlite:///{path}")
    done = run("list")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: there is no control database at {path} [database_unavailable]")
    assert not path.exists()
    assert run("db", "upgrade").exit_code == 0
    assert run("list").exit_code == 0


def test_what_is_lent_to_the_pages_has_to_listen(run: Run) -> None:
    """A number that is not a socket, or a socket that cannot be reached, is reported at once."""
    assert run("keys", "new").exit_code == 0
    with socket.socket() as deaf:
        for number in (deaf.fileno(), 1 << 20):
            refused = run("web", "--fd", str(number))
            assert refused.exit_code == 2
            assert f"file descriptor {number} is not a listening socket" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True])
def test_a_port_that_is_in_use_is_bad_input(tmp_path: Path, as_json: bool) -> None:
    """Not exit code 3, which says that an archive has gaps: 2, and a line that names the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = ["web", "--port", port, "--dir", str(tmp_path), *(["--json"] if as_json else [])]
        done = forks.run_fork(words, os.environ, seconds=60)

    assert done.returncode == 2
    said = json.loads(done.stdout)["error"]["message"] if as_json else done.stderr.splitlines()[-1]
    assert f"the pages cannot listen at port {port} of 127.0.0.1" in said
    assert as_json or said.endswith("hint: stop what listens there, or use another --host or --port")


@pytest.mark.slow
@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_named(tmp_path: Path, host: str) -> None:
    """Nothing listens there that could be stopped: the hint speaks of the host."""
    done = forks.run_fork(["web", "--host", host, "--dir", str(tmp_path)], os.environ, seconds=60)

    assert done.returncode == 2
    said, _, hint = done.stderr.splitlines()[-1].partition("hint: ")
    assert f"the pages cannot listen at port 8000 of {host}" in said
    assert hint.startswith("--host is an address of this machine or a name that leads to one")


@pytest.mark.parametrize("process", ["worker", "web"])
def test_a_notice_register_with_a_hole_starts_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: str
) -> None:
    """Data that cannot be explained can be neither copied nor requested."""
    assert run("keys", "new").exit_code == 0
    folder = tmp_path / "notice"
    folder.mkdir()
    (folder / "own.toml").write_text('version = "1"\n[recipients.hosting]\nname = "X"\n')
    monkeypatch.setenv("PORTABILITY_NOTICE_DIR", str(folder))
    done = run(process)
    assert done.exit_code == 2
    assert "missing_value: recipients.hosting.country" in done.stderr
    assert "[notice_hole]" in done.stderr


@pytest.mark.parametrize("process", ["worker", "web"])
def test_the_made_up_controller_starts_nothing_beside_servers(
    run: Run, monkeypatch: pytest.MonkeyPatch, process: str
) -> None:
    """No archive of an adopter names the company of the demonstration; `doctor` is red, too."""
    assert run("keys", "new").exit_code == 0
    monkeypatch.setenv("PORTABILITY_REDIS_URL", "redis://localhost:1/0")
    monkeypatch.setenv("PORTABILITY_SOURCE_URL", "sqlite:////absent/platform.sqlite")
    done = run(process)
    assert done.exit_code == 2
    assert "made_up: controller.name" in done.stderr
    assert "PORTABILITY_NOTICE_DIR" in done.stderr
    found = {check["check"]: check for check in json.loads(run("doctor", "--json").stdout)["checks"]}
    assert (found["notice"]["ok"], found["notice"]["code"]) == (False, "notice_hole")

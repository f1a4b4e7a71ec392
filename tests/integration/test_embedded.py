"""The embedded default: no settings, no root, and nothing left running."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from forks import Fork
from workers import Deployment, children, command, kill, until

from cli import waiting
from cli.main import main


@pytest.fixture(scope="module")
def stack_of_the_first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Fork]]:
    """The stack of a first terminal: its folder and its process."""
    here = Deployment(tmp_path_factory.mktemp("up") / "state", {})
    stack = here.start("up", "--workers", "1")
    try:
        until(lambda: "open http://" in here.log.read_text(), "the stack is up")
        yield here, stack
    finally:
        here.stop()


def test_the_demonstration_ends_verified_and_runs_twice(tmp_path: Path) -> None:
    """`portability demo`: two archives by a real worker, verified; a second run on the same folder does it again."""
    first = Deployment(tmp_path / "state", {}, forks_children=True).json("demo", "--dir", str(tmp_path / "state"))
    second = Deployment(tmp_path / "state", {}).json("demo", "--dir", str(tmp_path / "state"))

    for answer in (first, second):
        assert answer["verified"] is True
        assert len(answer["exports"]) == 2
        assert answer["index_html"] == answer["pages"][0]
        assert all(Path(path).is_file() for path in [*answer["archives"], *answer["pages"], answer["jwks"]])
    assert set(first["exports"]).isdisjoint(second["exports"])
    assert _processes_of(tmp_path / "state") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_stack_is_stopped_or_killed(tmp_path: Path, number: signal.Signals) -> None:
    """`portability up`: Valkey, pages, workers and clock end with it, whether it is asked to stop or killed."""
    folder = tmp_path / "state"
    stack = subprocess.Popen(command("up", "--dir", str(folder), "--workers", "1"), stdout=subprocess.DEVNULL)
    until(lambda: (folder / "valkey.url").exists() and len(children(stack.pid)) == 4, "the stack is up")
    family = children(stack.pid)
    os.kill(stack.pid, number)
    stack.wait(60)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), "all children have ended")
    assert _processes_of(folder) == []


def test_a_second_stack_on_one_folder_is_refused(stack_of_the_first: tuple[Deployment, Fork]) -> None:
    """Two stacks would share one database and one queue: the second one reports it and changes nothing."""
    here, stack = stack_of_the_first
    refused = here.run("up", "--dir", str(here.folder), expect=2)
    assert "running" in refused.stderr
    assert stack.poll() is None


def test_stacks_that_start_at_once_have_pages_each(tmp_path: Path) -> None:
    """Neither shows the pages of the other stack, in any order of start."""
    stacks = [Deployment(tmp_path / name, {}, forks_children=True) for name in ("a", "b")]
    for stack in stacks:
        stack.start("up", "--workers", "0")
    try:
        until(lambda: all("open http://" in stack.log.read_text() for stack in stacks), "the pages are up")
        addresses = {stack.log.read_text().partition("open ")[2].split()[0] for stack in stacks}
        assert len(addresses) == len(stacks)
        assert all(httpx.get(f"{address}/healthz").is_success for address in addresses)
        webs = [(stack.folder / "web.log").read_text() for stack in stacks]
        assert not [log for log in webs if '"level": "error"' in log or "Traceback" in log]
    finally:
        for stack in stacks:
            stack.stop()


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    """A configured address is required: no other one is used, and nothing keeps running."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        here = Deployment(tmp_path / "state", {"BASE_URL": f"http://localhost:{port}"})
        refused = here.run("up", expect=2)
    assert f"port {port} of 127.0.0.1" in refused.stderr
    assert "PORTABILITY_BASE_URL" in refused.stderr
    assert _processes_of(here.folder) == []


@pytest.mark.parametrize("as_json", [False, pytest.param(True, marks=pytest.mark.system)])
def test_a_stack_whose_processes_cannot_start_says_why(tmp_path: Path, as_json: bool) -> None:
    """A worker that refuses its notice register: the error of the worker, its hint and its exit code, at once."""
    notice = tmp_path / "notice"
    notice.mkdir()
    (notice / "own.toml").write_text('version = "1"\n[recipients.hosting]\nname = "X"\n')
    here = Deployment(tmp_path / "state", {"NOTICE_DIR": str(notice)})
    refused = here.run("up", "--workers", "1", *(["--json"] if as_json else []), expect=2)
    error = json.loads(refused.stdout)["error"] if as_json else {"message": refused.stderr, "hint": refused.stderr}
    assert "ended with exit code 2 while it started" in error["message"]
    assert "missing_value: recipients.hosting.country" in error["message"]
    assert "[notice_hole]" in error["message"]
    assert f"its log is {tmp_path / 'state'}" in error["hint"]
    assert "open http" not in refused.stdout
    assert _processes_of(here.folder) == []


def test_a_process_that_ends_later_is_started_again(stack_of_the_first: tuple[Deployment, Fork]) -> None:
    """Its end is reported with its name, and the stack is whole again."""
    here, stack = stack_of_the_first
    before = set(children(stack.pid))
    clock = next(pid for pid in before if b"clock" in Path(f"/proc/{pid}/cmdline").read_bytes())
    kill(clock)
    until(lambda: "was restarted: clock" in here.log.read_text(), "the end is reported")
    assert len(set(children(stack.pid)) - before) == 1


def test_waiting_ends_where_no_worker_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`request --wait` beside a stack without a worker: the reason, and the request is kept."""
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 1.0)
    here = Deployment(tmp_path / "state", {}, forks_children=True)
    here.start("up", "--workers", "0")
    try:
        until(lambda: "open http://" in here.log.read_text(), "the stack is up")
        asked = _ask_and_wait(here, monkeypatch)
        assert (asked.exit_code, "no worker is running [timeout]" in asked.stderr) == (1, True), asked.stderr
        assert [export["state"] for export in here.json("list")] == ["queued"]
    finally:
        here.stop()


def test_waiting_ends_where_no_source_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`request --wait` with a platform database that refuses every connection: the reason, long before the archive."""
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings = {"SOURCE_URL": f"postgresql+psycopg://x@127.0.0.1:{port}/platform"}
    here = Deployment(tmp_path / "state", settings, forks_children=True)
    here.start("up", "--workers", "1")
    try:
        until(lambda: "open http://" in here.log.read_text(), "the stack is up")
        asked = _ask_and_wait(here, monkeypatch)
        assert asked.exit_code == 1
        assert "fails [source_unavailable] [timeout]  hint: look at the source" in asked.stderr
        assert "running: 0/" in asked.stderr
    finally:
        here.stop()


def test_other_commands_find_the_running_stack(stack_of_the_first: tuple[Deployment, Fork]) -> None:
    """`request --wait` in a second terminal, with nothing but the folder, is served by the stack of the first."""
    folder = stack_of_the_first[0].folder
    here = Deployment(folder, {})
    sizes = ("--users", "3", "--contacts", "3", "--calls", "3", "--events", "10")
    user = here.json("seed", "--dir", str(folder), *sizes)["examples"]["user"]
    asked = ("--profile", "access", "--include", "account", "--subject", f"user:{user}")
    view = here.json("request", *asked, "--wait", "--dir", str(folder))
    assert (view["state"], view["complete"], view["error"]) == ("ready", True, None)


def test_a_request_without_a_stack_is_kept(tmp_path: Path) -> None:
    """With no Valkey running the request is accepted all the same, and the hint says what to start."""
    here = Deployment(tmp_path / "state", {})
    asked = here.run("request", "--profile", "access", "--subject", "user:usr_1", "--json")
    assert json.loads(asked.stdout)["state"] == "queued"
    assert "portability up" in " ".join(asked.stderr.split())


def _ask_and_wait(here: Deployment, monkeypatch: pytest.MonkeyPatch) -> Result:
    """`request --wait` in this process, whose patience a test sets."""
    for name, value in here.environment.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(main, ["request", "--profile", "access", "--subject", "user:nobody", "--wait"])


def _processes_of(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found

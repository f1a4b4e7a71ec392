"""The embedded default: no settings, no root, and nothing left running."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest
from workers import Deployment, children, command, until


def test_the_demonstration_ends_verified_and_runs_twice(tmp_path: Path) -> None:
    """`portability demo`: two archives by a real worker, verified; a second run on the same folder does it again."""
    here = Deployment(tmp_path / "state", {})
    first = here.json("demo", "--dir", str(tmp_path / "state"))
    second = here.json("demo", "--dir", str(tmp_path / "state"))

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


def test_a_second_stack_on_one_folder_is_refused(tmp_path: Path) -> None:
    """Two stacks would share one database and one queue by accident: the second one says so and changes nothing."""
    folder = tmp_path / "state"
    stack = subprocess.Popen(command("up", "--dir", str(folder)), stdout=subprocess.DEVNULL)
    try:
        until((folder / "valkey.url").exists, "the stack is up")
        refused = subprocess.run(command("up", "--dir", str(folder)), capture_output=True, text=True, check=False)
        assert refused.returncode == 2
        assert "running" in refused.stderr
    finally:
        stack.terminate()
        stack.wait(60)


def test_stacks_that_start_at_once_have_pages_each(tmp_path: Path) -> None:
    """Neither shows the pages of the other one, whoever came first."""
    stacks = [Deployment(tmp_path / name, {}) for name in ("a", "b", "c")]
    for stack in stacks:
        stack.start("up", "--workers", "1")
    try:
        until(lambda: all("open http://" in stack.log.read_text() for stack in stacks), "the pages are up")
        addresses = {stack.log.read_text().partition("open ")[2].split()[0] for stack in stacks}
        assert len(addresses) == len(stacks)
        assert all(httpx.get(f"{address}/healthz").is_success for address in addresses)
        webs = [(stack.folder / "web.log").read_text() for stack in stacks]
        assert not [log for log in webs if "error" in log.lower()]
    finally:
        for stack in stacks:
            stack.stop()


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    """An address that was set is meant: no other one is taken, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        here = Deployment(tmp_path / "state", {"BASE_URL": f"http://localhost:{port}"})
        refused = here.run("up", expect=2)
    assert f"port {port} of 127.0.0.1" in refused.stderr
    assert "PORTABILITY_BASE_URL" in refused.stderr
    assert _processes_of(here.folder) == []


def test_other_commands_find_the_running_stack(tmp_path: Path) -> None:
    """`request --wait` in a second terminal, with nothing but the folder, is served by the stack of the first."""
    folder = tmp_path / "state"
    stack = subprocess.Popen(command("up", "--dir", str(folder)), stdout=subprocess.DEVNULL)
    try:
        until((folder / "valkey.url").exists, "the stack is up")
        here = Deployment(folder, {})
        here.run("seed", "--dir", str(folder), "--users", "3", "--contacts", "3", "--calls", "3", "--events", "10")
        view = here.json("request", "--profile", "access", "--subject", "user:nobody", "--wait", "--dir", str(folder))
        assert (view["state"], view["complete"], view["error"]) == ("ready", True, None)
    finally:
        stack.terminate()
        stack.wait(60)


def test_a_request_without_a_stack_is_kept(tmp_path: Path) -> None:
    """With no Valkey running the request is accepted all the same, and the hint says what to start."""
    here = Deployment(tmp_path / "state", {})
    asked = here.run("request", "--profile", "access", "--subject", "user:usr_1", "--json")
    assert json.loads(asked.stdout)["state"] == "queued"
    assert "portability up" in asked.stderr


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

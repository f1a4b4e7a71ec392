from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
import redis
import servers
from judges.programs import program
from servers.s3 import remove_sockets

_STARTS = """
import servers, sys, time
with {started}:
    print("up", flush=True)
    time.sleep(600)
"""
DATABASES = "servers.postgres(), servers.valkey(), servers.seaweedfs()"
PROXY = "servers.nginx('server { listen 80; } server { listen 443; }', replaced={}, files={})"


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found |= {int(status.parent.name), *_descendants(int(status.parent.name))}
    return found


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a child's life to its parent's")
@pytest.mark.parametrize("started", [DATABASES, PROXY])
def test_servers_die_with_a_killed_parent(started: str) -> None:
    """A kill -9 of the test process leaves no server behind."""
    if started == PROXY:
        program("nginx", package="nginx")
    with subprocess.Popen(
        [sys.executable, "-c", _STARTS.format(started=started)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(servers.__file__).parents[1])},
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        children = _descendants(parent.pid)
        depth = len(Path(tempfile.gettempdir()).parts) + 1
        folders = {Path(*Path(f"/proc/{child}/cwd").resolve().parts[:depth]) for child in children}
        commands = b" ".join(Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
        parent.send_signal(signal.SIGKILL)
    assert len(children) >= 3
    give_up_at = time.monotonic() + 20
    while any(map(_alive, children)):
        assert time.monotonic() < give_up_at, "a server outlived its parent"
        time.sleep(0.02)
    assert all(folder.name.startswith("t-") for folder in folders)
    for folder in folders:  # what the killed one could not do
        shutil.rmtree(folder, ignore_errors=True)
    remove_sockets([int(port) for port in re.findall(rb"port[a-z.]*=(\d+)", commands)])


def test_databases_are_fresh(pg_url: str) -> None:
    """Each test's database is empty and takes tables."""
    with psycopg.connect(pg_url.replace("+psycopg", "")) as connection:
        connection.execute("create table only_here (id int)")
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
    assert tables == [("only_here",)]


def test_valkey_is_flushed(redis_url: str) -> None:
    """Each test's Valkey is empty and takes values."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        assert client.set("here", "only")

"""A web process that may open no more files: it says so once, and goes on when connections end."""

from __future__ import annotations

import json
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import httpx
from servers import free_ports
from workers import Deployment, until

SPARE = 4
"""How many more files it may open; there are more connections."""


def test_connections_without_files_are_one_line_of_the_log(tmp_path: Path) -> None:
    """Of each of some thousand tries a second there was a line, which filled the disk of the logs within a day."""
    (port,) = free_ports(1)
    deployed = Deployment(tmp_path, {"ISSUER": f"http://127.0.0.1:{port}"})
    web = deployed.start("web", "--port", str(port))

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz/live", timeout=2).is_success
        except httpx.HTTPError:
            return False

    until(answers, "the pages answer")
    _, hard = resource.prlimit(web.pid, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{web.pid}/fd").iterdir()))
    resource.prlimit(web.pid, resource.RLIMIT_NOFILE, (used + SPARE, hard))
    with ExitStack() as held:
        for _ in range(3 * SPARE):
            held.enter_context(socket.create_connection(("127.0.0.1", port)))
        until(lambda: "EMFILE" in deployed.log.read_text(), "the log says it", seconds=30)
    until(answers, "the pages answer again")
    deployed.stop()
    lines = [json.loads(line) for line in deployed.log.read_bytes().splitlines() if line.startswith(b"{")]
    assert [line["error"] for line in lines if line["event"] == "web.accepts_nothing"] == ["EMFILE"]
    assert [line for line in lines if "out of system resource" in line["event"]] == []

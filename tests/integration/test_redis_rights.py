"""The user of docs/operate.md for Redis: its rights are enough for a job, and what it lacks is said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import servers
from redis.exceptions import ResponseError
from repository import ROOT
from workers import deployment

from demo.plan import SeedPlan
from demo.seed import seed
from portability.errors import QueueUnavailable
from portability.queue import not_reached
from portability.settings import load_settings
from portability.storage.local import LocalStorage
from worker.process import rq_worker

PLAN = SeedPlan(tenants=1, users=1, contacts=2, calls=2, chats=2, events=3, recordings=0)


@pytest.fixture
def limited_port() -> Iterator[int]:
    """A Valkey with the user of the page, whose password is `secret`."""
    (rule,) = re.findall(r"^ACL SETUSER (.*)$", (ROOT / "docs" / "operate.md").read_text(), re.MULTILINE)
    (port,) = servers.free_ports(1)
    with servers.valkey(port=port), redis.Redis(port=port) as client:
        client.execute_command("ACL", "SETUSER", *rule.replace("PASSWORD", "secret").split())
        yield port


def test_its_rights_are_enough(limited_port: int, tmp_path: Path) -> None:
    """A worker, a clock, the doctor and a request: no command is refused, and no other key is made."""
    url = f"redis://portability:secret@127.0.0.1:{limited_port}/0"
    folder = tmp_path / "state"
    with deployment(folder, workers=1, REDIS_URL=url, ALLOW_FETCH="1") as running:
        source = f"sqlite:///{folder}/platform.sqlite"
        user = seed(source, LocalStorage(folder / "recordings"), PLAN).examples.user
        asked = ("--profile", "access", "--subject", f"user:{user}", "--include", "account")
        assert running.json("request", *asked, "--wait")["state"] == "ready"
        found = {check["check"]: check["ok"] for check in running.json("doctor", expect=(0, 1))["checks"]}
    assert (found["queue"], found["workers"], found["clock"]) == (True, True, True)
    with redis.Redis(port=limited_port) as client:
        refused: Any = client.execute_command("ACL", "LOG")
        names = {key.decode().partition(":")[0] for key in client.scan_iter()}
    assert refused == []
    assert names <= {"rq", "portability"}


@pytest.mark.parametrize(
    ("login", "seen", "hint"),
    [
        ("portability:wrong@", "Redis refuses: AuthenticationError", "user and password"),
        ("", "Redis refuses: NoPermissionError", "docs/operate.md"),
    ],
)
def test_a_refusal_is_no_silence(limited_port: int, tmp_path: Path, login: str, seen: str, hint: str) -> None:
    """A worker that Redis refuses says so, with what to change."""
    with redis.Redis(port=limited_port) as client:
        client.execute_command("ACL", "SETUSER", "default", "-ping")
    settings = load_settings(dir=tmp_path, redis_url=f"redis://{login}127.0.0.1:{limited_port}/0")
    with pytest.raises(QueueUnavailable, match=f"^{seen}$") as refused:
        rq_worker.run(settings)
    assert hint in refused.value.hint


def test_the_protected_mode_is_named() -> None:
    """A Valkey with the defaults of its own refuses other machines, such as the containers beside it."""
    error = not_reached(ResponseError("DENIED Running in protected mode because protected mode is enabled"))
    assert str(error) == "Redis refuses: ResponseError"
    assert "protected-mode no" in error.hint

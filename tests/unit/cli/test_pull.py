"""`portability pull` without any provider: what it reads from the files of its requests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from factories import World

from receiver.pulls import records
from receiver.pulls.metadata import PullServer
from receiver.pulls.records import GrantedAccess, PullRecord

WHOLE, DAMAGED = "ask_" + "a" * 20, "ask_" + "b" * 20


@pytest.fixture
def pulls(made: World) -> Path:
    """The folder of a whole request, and of one whose file is cut."""
    addresses = {name: f"https://a.example/{name}" for name in PullServer.__dataclass_fields__ if name != "domain"}
    record = PullRecord(
        id=WHOLE,
        server=PullServer(domain="a.example", **addresses),
        client_id="b.example",
        redirect_uri="https://b.example/back",
        datasets=("account",),
        until=None,
        created_at="2026-11-01T00:00:00Z",
        state="",
        verifier="",
        key={},
    )
    records.save(made.folder / "pulls", record)
    (made.folder / "pulls" / f"{DAMAGED}.json").write_text('{"id": ')
    return made.folder / "pulls"


@pytest.mark.usefixtures("pulls")
def test_a_damaged_request_does_not_hide_the_others(run: Callable[..., Result]) -> None:
    """The list has the other requests, and says which is damaged."""
    listed = run("pull", "list", "--json")
    assert [(one["id"], one["state"]) for one in json.loads(listed.stdout)] == [(DAMAGED, "damaged"), (WHOLE, "asked")]
    damaged, whole = json.loads(listed.stdout)
    assert damaged.keys() == whole.keys()


def test_the_error_about_a_damaged_request_names_its_file(pulls: Path, run: Callable[..., Result]) -> None:
    """Nothing else removes it."""
    ended = run("pull", "end", DAMAGED)
    assert ended.exit_code == 2
    assert f"delete {pulls / DAMAGED}.json" in ended.stderr


@pytest.mark.parametrize(
    ("until", "refresh", "seconds", "lapsed", "state"),
    [
        (None, None, 60, False, "allowed"),
        (None, None, -1, False, "expired"),
        ("2100-01-01T00:00:00Z", "token", -1, False, "allowed"),
        ("2100-01-01T00:00:00Z", "token", -1, True, "expired"),
        ("2026-01-01T00:00:00Z", "token", 60, False, "expired"),
    ],
)
def test_a_consent_whose_tokens_ended_is_expired(
    pulls: Path,
    run: Callable[..., Result],
    until: str | None,
    refresh: str | None,
    seconds: int,
    *,
    lapsed: bool,
    state: str,
) -> None:
    """Only an access token that cannot be renewed ends by its time."""
    known = records.load(pulls, WHOLE)
    granted = GrantedAccess("token", time.time() + seconds, refresh, ("account",))
    records.save(pulls, replace(known, until=until, granted=granted, lapsed=lapsed))
    (pulls / f"{DAMAGED}.json").unlink()
    (one,) = json.loads(run("pull", "list", "--json").stdout)
    assert one["state"] == state
    assert ("portability pull begin" in run("pull", "list").stderr) == (state == "expired")

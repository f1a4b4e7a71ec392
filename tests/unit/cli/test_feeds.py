"""Feeds on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import feeding
from click.testing import Result
from factories import World
from sqlalchemy import select

from portability.database import models
from portability.database.engine import reading

Run = Callable[..., Result]
ASKED = ("--profile", "access", "--subject", "user:usr_1", "--format", "jsonl")


def answer_of(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_feed_from_begin_to_end(run: Run, made: World, tmp_path: Path) -> None:
    """Its first archive, the next by the cursor, and its end; an old cursor is refused."""
    made.with_all_keys()
    begun = answer_of(run("feeds", "begin", *ASKED, "--every", "1", "--json"))
    assert (begun["number"], begun["running"], begun["every_days"]) == (0, begun["requested"], 1)
    assert answer_of(run("feeds", "next", begun["id"], "--json"))["requested"] == begun["requested"]
    made.advance_all()
    held = tmp_path / "cursor"
    held.write_text(feeding.changes(made.fetch(begun["requested"]))["cursor"])
    following = answer_of(run("feeds", "next", begun["id"], "--cursor", str(held), "--json"))
    made.advance_all()
    old = run("feeds", "next", begun["id"], "--cursor", str(held), "--json")
    assert (old.exit_code, "stale_cursor" in old.output) == (2, True)
    (listed,) = answer_of(run("feeds", "list", "--json"))
    assert (listed["number"], listed["export_id"]) == (2, following["requested"])
    assert answer_of(run("feeds", "end", begun["id"], "--json")) == {"id": begun["id"]}
    assert run("feeds", "next", begun["id"]).exit_code == 2
    with reading(made.engine) as connection:
        assert connection.scalars(select(models.feed_part.c.number)).all() == []


def test_bad_terms_begin_nothing(run: Run, made: World) -> None:
    """No consent of this id, no days, and an end in the past."""
    made.with_all_keys()
    for terms in (["--authorisation", "aut_x"], ["--every", "0"], ["--until", "2026-01-01T00:00:00Z"]):
        assert run("feeds", "begin", *ASKED, *terms).exit_code == 2
    assert answer_of(run("feeds", "list", "--json")) == []
    assert run("feeds", "end", "feed_x").exit_code == 2

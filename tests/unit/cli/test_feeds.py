"""Feeds on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import feeding
import pytest
from click.testing import Result
from factories import MadeUpExporter, World, things
from feeding import KeyedMadeUpExporter
from sqlalchemy import select

from portability.api import Gap
from portability.database import models
from portability.database.engine import reading

pytestmark = pytest.mark.slow

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
    (ended,) = answer_of(run("audit", "show", "--action", "feed.ended", "--json"))
    assert (ended["action"], ended["detail"]["feed"]) == ("feed.ended", begun["id"])
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


def test_a_company_leaves(run: Run, made: World) -> None:
    """The rehearsal, a delta at the cut-over, and the report: by dataset and by archive, also after the end."""
    made.with_all_keys()
    source = KeyedMadeUpExporter(things(9))
    made.place.exporters.update({"made": source})  # type: ignore[attr-defined]  # a dict
    asked = ("--profile", "switch", "--subject", "tenant:ten_1", "--format", "jsonl", "--reason", "leaves")
    feed = answer_of(run("feeds", "begin", *asked, "--json"))["id"]
    made.advance_all()
    source.records = [{**record, "text": "changed"} for record in things(9)[2:5]] + things(9)[5:8]
    source.others = ["thing_8"]
    answer_of(run("feeds", "next", feed, "--json"))
    made.advance_all()
    last = answer_of(run("feeds", "list", "--json"))[0]["export_id"]
    answer_of(run("feeds", "end", feed, "--json"))
    report = answer_of(run("feeds", "report", feed, "--json"))
    (dataset,) = (one for one in report["datasets"] if one["exporter"] == "made")
    assert dataset == {
        "exporter": "made",
        "dataset": "things",
        "rehearsal": 9,
        "changed": 3,
        "deleted": 2,
        "out_of_scope": 1,
        "absent": 0,
        "gaps": 0,
    }
    first, second = report["archives"]
    assert (first["number"], first["mode"], first["records"]) == (1, "full", 9)
    assert (second["number"], second["mode"], second["records"]) == (2, "hashes", 3)
    assert (second["deleted"], second["out_of_scope"], second["export"]) == (2, 1, last)
    assert min(first["bytes"], second["bytes"], first["seconds"], second["seconds"]) > 0
    assert report["cursor"] == feeding.changes(made.fetch(last))["cursor"]
    shown = run("feeds", "report", feed)
    assert report["cursor"] in shown.stdout
    assert "things" in shown.stdout
    assert run("feeds", "report", "feed_x").exit_code == 2


def test_the_exit_code_after_a_wait_is_that_of_the_archive(
    run: Run, made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a cut-over a script must learn that the archive has a gap, or has failed: 0 is a whole archive."""
    made.with_all_keys()
    source = MadeUpExporter(things(3))
    made.place.exporters.update({"made": source})  # type: ignore[attr-defined]  # a dict
    monkeypatch.setattr("cli.feeds.wait_for", lambda _context, _exports: made.advance_all())
    begun = run("feeds", "begin", *ASKED, "--wait", "--json")
    assert begun.exit_code == 0, begun.output
    feed = answer_of(run("feeds", "list", "--json"))[0]["id"]

    source.gaps = {0: (Gap("things/thing_0", "missing"),)}
    assert run("feeds", "next", feed, "--wait", "--json").exit_code == 3
    assert answer_of(run("feeds", "list", "--json"))[0]["number"] == 2

    monkeypatch.setattr("cli.feeds.wait_for", lambda _context, exports: run("cancel", *exports))
    assert run("feeds", "next", feed, "--wait", "--json").exit_code == 1
    assert run("feeds", "next", feed, "--json").exit_code == 0

"""Feeds of a database that a map declares: the map says how changes are found, and another map compares everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import MagicMock

import crm_database
import factories
import feeding
import pytest
from crm_database import DEALS, CrmDatabase
from factories import World
from feeding import Feed

from exporters.sql.mapped.exporter import MappedExporter
from portability.api.errors import SourceUnavailable
from portability.source_file import read_sections
from portability.sources import PlatformSources, open_exporters

SOURCES = """[crm]
kind = "sql"
url = "env:CRM_URL"
map = "crm.toml"
files = "env:CRM_FILES"
"""
OUTBOX = '[changes]\ndatasets = ["contacts", "accounts", "deals", "tasks"]\noutbox = { table = "outbox", at = "at" }\n'
BY_TIME = '[changes]\ndatasets = ["deals"]\n'
BeginFeed = Callable[[str], tuple[Feed, CrmDatabase]]


@pytest.fixture
def begin_feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BeginFeed:
    """Begin a feed of a company whose map ends with a text, and make its first archive."""

    def begun(changes: str) -> tuple[Feed, CrmDatabase]:
        url = f"sqlite:///{tmp_path / 'crm.db'}"
        crm = crm_database.fill(url, url)
        crm.run("create table outbox (table_name text, row_key text, at text)")
        crm.put("outbox", [("tasks", "1", "2020-01-01 00:00:00.000000")])
        crm.run("update deals set offer_key = 'offer', offer_bytes = 5")
        (tmp_path / "files").mkdir()
        (tmp_path / "files" / "offer").write_bytes(b"offer")
        monkeypatch.setenv("CRM_URL", url)
        monkeypatch.setenv("CRM_FILES", f"file://{tmp_path / 'files'}")
        (tmp_path / "sources.toml").write_text(SOURCES)
        (tmp_path / "crm.toml").write_text(crm_database.MAP.read_text() + changes)
        made = factories.world(tmp_path, {}, source_url=url, sources=tmp_path / "sources.toml")
        feed = feeding.begin(with_new_processes(made), "tenant:org_a", profile="switch")
        assert feeding.changes(feed.next())["mode"] == "full"
        return feed, crm

    return begun


def with_new_processes(world: World) -> World:
    read_sections.cache_clear()
    settings = world.place.settings
    return replace(world, place=replace(world.place, exporters=open_exporters(settings, PlatformSources(settings))))


def with_another_map(feed: Feed) -> Feed:
    """The feed after the map has a remark more."""
    path = feed.world.folder / "crm.toml"
    path.write_text(f"# decided again\n{path.read_text()}")
    return replace(feed, world=with_new_processes(feed.world))


def moment() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"


def delivered_of(paths: list[Path], name: str) -> list[object]:
    return [record["id"] for record in feeding.delivered_records(paths, f"crm/{name}")]


def test_an_outbox_says_what_to_read(begin_feed: BeginFeed) -> None:
    """What has an entry is compared, also when it is read again; another map compares everything."""
    feed, crm = begin_feed(OUTBOX)
    crm.run(
        "update deals set name = 'renamed' where name = 'Deal 1'", "update deals set name = 'x' where name = 'Deal 2'"
    )
    crm.run("delete from tasks where id = 5", "insert into tasks values (2000, 'org_a', null, 'new')")
    crm.put("outbox", [("deals", DEALS[1], moment()), *(("tasks", str(key), moment()) for key in (5, 6, 2000))])
    second = feed.next()
    assert feeding.changes(second)["modes"] == {"crm": "outbox"}
    assert delivered_of(second, "deals") == [DEALS[1]]
    assert delivered_of(second, "tasks") == [2000]
    assert [(stone["key"], stone["reason"]) for stone in feeding.tombstones(second)] == [({"id": 5}, "deleted")]
    third = feed.next()
    assert (feeding.changes(third)["mode"], feeding.tombstones(third)) == ("outbox", [])
    assert delivered_of(third, "deals") == delivered_of(third, "tasks") == []
    crm.run("update tasks set deal_id = null, org_id = 'org_b' where id = 6")
    crm.put("outbox", [("tasks", "6", moment())])
    assert [stone["reason"] for stone in feeding.tombstones(feed.next())] == ["out_of_scope"]
    later = with_another_map(feed)
    fifth = later.next()
    assert (feeding.changes(fifth)["mode"], delivered_of(fifth, "deals")) == ("hashes", [DEALS[2]])
    assert feeding.changes(later.next())["mode"] == "outbox"


def test_the_time_of_the_last_change_shows_no_deletion(begin_feed: BeginFeed) -> None:
    """A tombstone comes with the next comparison of everything; other datasets are compared each time."""
    feed, crm = begin_feed(BY_TIME)
    crm.run("update deals set updated_at = '2020-01-01 00:00:00.000000'")
    feed = with_another_map(feed)
    assert feeding.changes(feed.next())["mode"] == "hashes"
    crm.run(f"update deals set name = 'renamed', updated_at = '{moment()}' where name = 'Deal 1'")  # noqa: S608  # a time
    crm.run("delete from deals where name = 'Deal 2'", "delete from tasks where id = 5")
    third = feed.next()
    assert feeding.changes(third)["mode"] == "updated_at"
    assert delivered_of(third, "deals") == [DEALS[1]]
    assert [stone["key"]["id"] for stone in feeding.tombstones(third)] == [5]
    last = with_another_map(feed).next()
    assert [stone["key"]["id"] for stone in feeding.tombstones(last)] == [DEALS[2]]


def test_a_key_of_another_type_is_deleted_nowhere(begin_feed: BeginFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The map gives the records other keys: their rows are stored as before, so the reason is the map.

    The source is not asked: it may not answer, and it never had such keys.
    """
    feed, _crm = begin_feed("")
    monkeypatch.setattr(MappedExporter, "existing", MagicMock(side_effect=SourceUnavailable("busy")))
    path = feed.world.folder / "crm.toml"
    number = 'id = { type = "integer", text = "Number of the task." }'
    path.write_text(path.read_text().replace(number, number.replace("integer", "string")))
    archive = replace(feed, world=with_new_processes(feed.world)).next()
    stones = feeding.tombstones(archive)
    assert {stone["reason"] for stone in stones} == {"out_of_scope"}
    assert {str(stone["key"]["id"]) for stone in stones} == set(delivered_of(archive, "tasks"))

"""Archives of a feed: the first contains everything, each later archive only what has changed since the one before."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import feeding
import pytest
from archives import export_json, members
from factories import CutExporter, MadeUpExporter, file, large_things, things, world_of
from feeding import KeyedMadeUpExporter
from volumes import KEY

from portability.feeds.cursor import FeedCursor
from portability.locale import values
from portability.trust.signing import DatedKey
from worker.write import changes

pytestmark = pytest.mark.slow


def test_a_feed_delivers_changes_and_tombstones(tmp_path: Path) -> None:
    """The second archive has the changed and the new record, and a tombstone of each record that is gone."""
    exporter = KeyedMadeUpExporter(things(9))
    feed = feeding.begin(world_of(tmp_path, exporter))
    first = feed.next()
    new = {"id": "thing_9", "text": "new"}
    kept = [record for record in things(9) if record["id"] not in {"thing_2", "thing_5"}]
    exporter.records = [{**kept[0], "text": "changed"}, *kept[1:], new]
    exporter.others = ["thing_5"]
    second = feed.next()
    assert len(feeding.delivered_records(first)) == 9
    assert feeding.delivered_records(second) == [{"id": "thing_0", "text": "changed"}, new]
    gone = {stone["key"]["id"]: stone["reason"] for stone in feeding.tombstones(second)}
    assert gone == {"thing_2": "deleted", "thing_5": "out_of_scope"}
    assert feeding.changes(first)["after"] is None
    cursor = hashlib.sha256(feeding.changes(first)["cursor"].encode()).hexdigest()
    before = {"number": 1, "export": export_json(first)["export"], "cursor_sha256": cursor}
    assert feeding.changes(second)["after"] == before
    assert (feeding.changes(first)["number"], feeding.changes(second)["number"]) == (1, 2)


def test_an_archive_without_changes_is_no_answer_that_nothing_is_stored(tmp_path: Path) -> None:
    """Nothing has changed: the archive is complete, contains no record, and does not say that nothing is stored."""
    feed = feeding.begin(world_of(tmp_path, MadeUpExporter(things(9))))
    feed.next()
    second = feed.next()
    document = export_json(second)
    assert (document["complete"], document["no_data_held"]) == (True, False)
    assert document["feed"] == {"id": feed.id, "number": 2}
    assert feeding.delivered_records(second) == []
    assert feeding.tombstones(second) == []


def test_an_archive_says_what_it_is(tmp_path: Path) -> None:
    """README.html of each volume says it in each language; that of another archive does not mention feeds."""
    exporter = MadeUpExporter(things(3))
    made = world_of(tmp_path, exporter)
    feed = feeding.begin(made)
    first, second = first_page_of(feed.next()), first_page_of(feed.next())
    assert "This is the first archive of a feed" in first
    assert "Dies ist das erste Archiv einer Reihe" in first
    assert "Ini adalah arsip pertama" in first
    today = values.date("en", datetime.now(UTC))
    assert "This is archive 2 of a feed" in second
    assert f"since archive 1 of {today}" in second
    assert "Dies ist Archiv 2 einer Reihe" in second
    assert "Ini adalah arsip 2" in second
    alone = made.request("user:usr_1")
    made.advance_all()
    assert "of a feed" not in first_page_of(made.fetch(alone))


def first_page_of(paths: list[Path]) -> str:
    return next(body for name, body in members(paths) if name.endswith("README.html")).decode()


def test_changes_of_a_large_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several volumes, slices and parts of what was delivered, each change comes once."""
    monkeypatch.setattr(changes, "PART_ENTRIES", 7)
    exporter = CutExporter(large_things(600), batch_records=20)
    bounds = {"volume_bytes": 65_536, "piece_bytes": 30_000, "slice_bytes": 100_000, "slices_max": 3}
    feed = feeding.begin(world_of(tmp_path, exporter, **bounds))
    first = feed.next()
    assert len(first) > 3
    assert len(feeding.delivered_records(first)) == 600
    exporter.records = [
        {**record, "text": "changed"} if place % 100 == 0 else record
        for place, record in enumerate(large_things(600))
        if place % 150 != 1
    ]
    second = feed.next()
    assert sorted(str(record["id"]) for record in feeding.delivered_records(second)) == [
        f"thing_{place}" for place in range(0, 600, 100)
    ]
    gone = sorted(stone["key"]["id"] for stone in feeding.tombstones(second))
    assert gone == ["thing_1", "thing_151", "thing_301", "thing_451"]
    assert feeding.delivered_records(feed.next()) == []


def test_what_a_full_volume_does_not_contain_is_not_delivered(tmp_path: Path) -> None:
    """The piece that did not fit is read again for the next volume, and noted once it is there."""
    exporter = MadeUpExporter(large_things(300), batch_records=10)
    feed = feeding.begin(world_of(tmp_path, exporter, volume_bytes=65_536, piece_bytes=20_000))
    assert len(feed.next()) > 1
    exporter.records = [*large_things(299), {"id": "thing_299", "text": "changed"}]
    assert [record["id"] for record in feeding.delivered_records(feed.next())] == ["thing_299"]


def test_a_record_that_a_format_refuses_takes_nothing_with_it(tmp_path: Path) -> None:
    """The records before it are delivered, and come again; then only changes do."""
    exporter = MadeUpExporter([*things(5), {"id": "thing_5", "text": float("nan")}, *things(9)[6:]])
    feed = feeding.begin(world_of(tmp_path, exporter))
    assert [record["id"] for record in feeding.delivered_records(feed.next())] == ["thing_0", "thing_1", "thing_2"]
    exporter.records = things(9)
    assert len(feeding.delivered_records(feed.next())) == 9
    assert feeding.delivered_records(feed.next()) == []


def test_a_file_comes_when_it_has_changed(tmp_path: Path) -> None:
    """By what its source states; a file of which it states nothing comes each time."""
    stated = replace(file("a.wav", b"one"), etag="1")
    exporter = MadeUpExporter(things(3), files={0: [stated, file("b.wav", b"same")]})
    feed = feeding.begin(world_of(tmp_path, exporter))
    assert feeding.file_names(feed.next()) == ["a.wav", "b.wav"]
    assert feeding.file_names(feed.next()) == ["b.wav"]
    exporter.files = {0: [replace(file("a.wav", b"two"), etag="2")]}
    third = feed.next()
    assert (feeding.file_names(third), feeding.delivered_records(third)) == (["a.wav"], [])


def test_a_cursor_that_is_signed_again_is_another() -> None:
    """Also within a second, and by a key store whose signatures are the same each time."""
    cursor = FeedCursor("feed_1", 1, "e1", "0" * 64, {})
    key = DatedKey(KEY, datetime.now(UTC))
    first, second = (cursor.sign("https://sender.example", "sub_1", key).split(".")[1] for _ in range(2))
    assert first != second

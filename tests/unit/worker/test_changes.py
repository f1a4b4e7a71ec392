"""Archives of a feed: the first contains everything, each later archive only what has changed since the one before."""

from __future__ import annotations

from pathlib import Path

import feeding
from archives import export_json
from factories import MadeUpExporter, things, world_of
from feeding import KeyedMadeUpExporter


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
    assert feeding.changes(second)["after"] == {"number": 1, "export": export_json(first)["export"]}
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

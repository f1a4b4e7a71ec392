"""Archives of a feed by the changes that a source states: only these records are read, compared and remembered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import feeding
import pytest
from factories import dataset, file, large_things, things, world_of
from feeding import Feed, KeyedMadeUpExporter
from sqlalchemy import func, select, update
from wrong_clocks import set_wrong

from portability.api import (
    JSON,
    Batch,
    ChangeMode,
    Cursor,
    Dataset,
    DeclaredChanges,
    Gap,
    RecordKey,
    Selection,
    Subject,
)
from portability.api.errors import SourceRefused
from portability.database import models
from portability.database.engine import reading, writing
from portability.feeds import feeds
from worker.read import changed
from worker.write import changes

pytestmark = pytest.mark.slow

FEED, PART = models.feed, models.feed_part


@dataclass
class StatingExporter(KeyedMadeUpExporter):
    """It states which of its records may have changed, and reads records by their keys."""

    stated: Collection[str] | None = ()
    covered: frozenset[str] = frozenset({"things"})
    mode: ChangeMode = ChangeMode.OUTBOX
    position: int = 0
    asked: list[JSON] = field(default_factory=list)
    """The positions from which changes were asked for."""
    by_keys: list[Sequence[RecordKey]] = field(default_factory=list)
    """The keys of each reading by keys."""

    @property
    def changes(self) -> DeclaredChanges | None:
        return DeclaredChanges(self.mode, self.covered, 7)

    def horizon(self) -> JSON:
        self.position += 1
        return self.position

    def changed(self, _subject: Subject, _dataset: Dataset, since: JSON, limit: int) -> Collection[RecordKey] | None:
        self.asked.append(since)
        return None if self.stated is None or len(self.stated) > limit else [(name,) for name in self.stated]

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        whole = self.records
        if selection.keys is not None:
            self.by_keys.append(selection.keys)
            self.records = [record for record in whole if (record["id"],) in selection.keys]
        try:
            yield from super().export(subject, dataset, selection, after=after)
        finally:
            self.records = whole


@pytest.fixture
def stating() -> StatingExporter:
    return StatingExporter(things(9))


@pytest.fixture
def feed(tmp_path: Path, stating: StatingExporter) -> Feed:
    """A feed of that stating, with its first archive."""
    begun = feeding.begin(world_of(tmp_path, stating))
    begun.next()
    return begun


def came(paths: list[Path], name: str = "made/things") -> list[object]:
    return [record["id"] for record in feeding.delivered_records(paths, name)]


def gone_in(paths: list[Path]) -> dict[str, str]:
    return {stone["key"]["id"]: stone["reason"] for stone in feeding.tombstones(paths)}


def take_away(stating: StatingExporter, *names: str) -> None:
    stating.records = [record for record in stating.records if record["id"] not in names]


def set_texts(stating: StatingExporter, *names: str, text: str = "changed") -> None:
    stating.records = [{**record, "text": text} if record["id"] in names else record for record in stating.records]


def count_parts(feed: Feed) -> tuple[int, int]:
    """The number of parts, and of those that archives by changes keep."""
    with reading(feed.world.engine) as connection:
        counted = select(func.count(), func.count(PART.c.lookup)).where(PART.c.feed_id == feed.id)
        return tuple(connection.execute(counted).one())  # type: ignore[return-value]  # two numbers


def test_only_what_is_stated_is_read(feed: Feed, stating: StatingExporter) -> None:
    """Of it, what differs is written; a key that was never delivered is not named."""
    set_texts(stating, "thing_0", "thing_3")
    take_away(stating, "thing_2", "thing_5")
    stating.others = ["thing_5", "foreign"]
    stating.stated = ["thing_0", "thing_1", "thing_2", "thing_5", "foreign", "nowhere"]
    second = feed.next()
    assert came(second) == ["thing_0"]
    assert gone_in(second) == {"thing_2": "deleted", "thing_5": "out_of_scope"}
    assert feeding.changes(second)["mode"] == "outbox"
    assert feeding.changes(second)["modes"] == {"made": "outbox"}
    assert feeding.changes(second)["horizon"] == {"made": 2}
    assert stating.asked == [1]
    assert sorted(stating.by_keys[0]) == sorted((name,) for name in stating.stated)


def test_a_later_comparison_agrees_with_the_changes(feed: Feed, stating: StatingExporter) -> None:
    """What no change was stated for comes with it; what came by changes does not come again, and is not missed."""
    set_texts(stating, "thing_0", "thing_3")
    take_away(stating, "thing_2")
    stating.stated = ["thing_0", "thing_2"]
    feed.next()
    assert count_parts(feed) == (3, 3)
    stating.records = [*stating.records, {"id": "thing_2", "text": "again"}]
    stating.stated = ["thing_2"]
    assert came(feed.next()) == ["thing_2"]
    stating.stated = None
    fourth = feed.next()
    assert (came(fourth), gone_in(fourth), feeding.changes(fourth)["mode"]) == (
        ["thing_3"],
        {},
        "hashes",
    )
    assert count_parts(feed) == (1, 1)
    take_away(stating, "thing_2", "thing_3")
    stating.stated = ["thing_2", "thing_3"]
    assert gone_in(feed.next()) == {"thing_2": "deleted", "thing_3": "deleted"}
    assert gone_in(feed.next()) == {}


def interval_over(feed: Feed, _source: StatingExporter, _patch: pytest.MonkeyPatch) -> None:
    rewrite_progress(feed, compared_at=(datetime.now(UTC) - timedelta(days=8)).isoformat())


def other_number(feed: Feed, _source: StatingExporter, _patch: pytest.MonkeyPatch) -> None:
    rewrite_progress(feed, number=0)


def other_scope(_feed: Feed, stating: StatingExporter, _patch: pytest.MonkeyPatch) -> None:
    stating.covered = frozenset({"things", "others"})
    stating.datasets = (*stating.datasets, dataset("others"))


def no_position(feed: Feed, _source: StatingExporter, _patch: pytest.MonkeyPatch) -> None:
    rewrite_progress(feed, horizon={})


def too_many(_feed: Feed, _source: StatingExporter, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(changed, "TOUCHED_MAX", 0)


def source_refuses(_feed: Feed, stating: StatingExporter, patch: pytest.MonkeyPatch) -> None:
    def changed(*_arguments: object) -> None:
        raise SourceRefused("no")

    patch.setattr(stating, "changed", changed)


def rewrite_progress(feed: Feed, **values: JSON) -> None:
    with writing(feed.world.engine) as connection:
        progress = {**feeds.get(connection, feed.id)["progress"], **values}
        connection.execute(update(FEED).values(progress=progress))


@pytest.mark.parametrize("cause", [interval_over, other_number, other_scope, no_position, too_many, source_refuses])
def test_everything_is_compared(
    feed: Feed,
    stating: StatingExporter,
    monkeypatch: pytest.MonkeyPatch,
    cause: Callable[[Feed, StatingExporter, pytest.MonkeyPatch], None],
) -> None:
    """After some days, when the scope differs, and whenever the source cannot say what has changed."""
    set_texts(stating, "thing_3")
    stating.stated = ["thing_1"]
    cause(feed, stating, monkeypatch)
    second = feed.next()
    assert came(second) == ["thing_3"]
    assert feeding.changes(second)["mode"] == "hashes"


def test_the_days_count_by_the_clock_of_the_database(
    feed: Feed, stating: StatingExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose clock is days ahead neither compares early nor puts off the next comparison."""
    set_wrong(monkeypatch, changed, days=8)
    set_texts(stating, "thing_1")
    stating.stated = ["thing_1"]
    second = feed.next()
    assert (came(second), feeding.changes(second)["mode"]) != (["thing_1"], "hashes")
    with reading(feed.world.engine) as connection:
        compared_at = datetime.fromisoformat(feeds.get(connection, feed.id)["progress"]["compared_at"])
    assert abs(datetime.now(UTC) - compared_at) < timedelta(hours=1)


def test_after_a_fault_everything_is_compared(feed: Feed, stating: StatingExporter) -> None:
    """A source that fails before the end of what is stated makes no tombstone, and the change is not lost."""

    def fail(_number: int) -> None:
        raise RuntimeError

    set_texts(stating, "thing_0")
    take_away(stating, "thing_1")
    stating.stated, stating.on_batch = ["thing_0", "thing_1"], fail
    second = feed.next()
    assert (came(second), gone_in(second), feeding.changes(second)["horizon"]) == ([], {}, {})
    stating.stated, stating.on_batch = [], lambda _number: None
    third = feed.next()
    assert (came(third), gone_in(third)) == (["thing_0"], {"thing_1": "deleted"})
    assert feeding.changes(third)["mode"] == "hashes"
    assert feeding.changes(feed.next())["mode"] == "outbox"


def test_a_record_that_lacked_a_value_is_read_again(feed: Feed, stating: StatingExporter) -> None:
    """Though no change of it was stated; its key is stored encrypted."""
    stating.records = [{**record, "text": "changed"} for record in stating.records]
    stating.stated, stating.batch_records = ["thing_1", "thing_2"], 1
    stating.gaps = {1: [Gap("things/thing_2", "missing", key=("thing_2",), fields=("text",))]}
    assert came(feed.next()) == ["thing_1", "thing_2"]
    with reading(feed.world.engine) as connection:
        assert "thing_2" not in str(feeds.get(connection, feed.id)["progress"])
    stating.stated, stating.gaps = [], {}
    third = feed.next()
    assert (came(third), feeding.changes(third)["mode"]) == (["thing_2"], "outbox")
    assert came(feed.next()) == []


def test_other_datasets_are_compared_beside_them(tmp_path: Path, stating: StatingExporter) -> None:
    """What is remembered of them is replaced by each archive; of the stated datasets, it stays."""
    stating.datasets = (*stating.datasets, dataset("others"))
    feed = feeding.begin(world_of(tmp_path, stating))
    feed.next()
    assert count_parts(feed) == (2, 1)
    set_texts(stating, "thing_3")
    take_away(stating, "thing_4")
    second = feed.next()
    assert (came(second), came(second, "made/others")) == ([], ["thing_3"])
    assert [(one["dataset"], one["records"]) for one in feeding.changes(second)["tombstones"]] == [("others", 1)]
    assert feeding.changes(second)["mode"] == "outbox"
    stating.stated = ["thing_3", "thing_4"]
    third = feed.next()
    assert (came(third), came(third, "made/others"), gone_in(third)) == (
        ["thing_3"],
        [],
        {"thing_4": "deleted"},
    )
    assert count_parts(feed) == (4, 3)


def test_changes_over_several_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker that goes on reads the same keys, which were decided when the archive was planned."""
    monkeypatch.setattr(changes, "PART_ENTRIES", 7)
    stating = StatingExporter(large_things(900), batch_records=10)
    feed = feeding.begin(world_of(tmp_path, stating, volume_bytes=65_536, piece_bytes=20_000))
    feed.next()
    touched = [f"thing_{place}" for place in range(0, 900, 2)]
    stating.records = [{**record, "text": f"{record['text']}!"} for record in stating.records]
    take_away(stating, "thing_10", "thing_298")
    stating.stated = touched
    second = feed.next()
    assert len(second) > 1
    assert sorted(map(str, came(second))) == sorted(set(touched) - {"thing_10", "thing_298"})
    assert gone_in(second) == {"thing_10": "deleted", "thing_298": "deleted"}
    assert len({tuple(keys) for keys in stating.by_keys}) == 1


def test_a_file_comes_again_with_its_record(tmp_path: Path, stating: StatingExporter) -> None:
    """With the record, a recipient may have deleted its file; otherwise a file that is the same does not come."""
    sound = replace(file("a.wav", b"one"), etag="1")
    stating.records = [{"id": "thing_0", "text": "a.wav"}]
    stating.files, stating.stated = {0: [sound]}, ["thing_0"]
    feed = feeding.begin(world_of(tmp_path, stating))
    first = feed.next()
    records, stating.records = stating.records, []
    assert [feeding.file_names(paths) for paths in (first, feed.next())] == [["a.wav"], []]
    stating.records = records
    again = feed.next()
    assert (came(again), feeding.file_names(again)) == (["thing_0"], ["a.wav"])
    set_texts(stating, "thing_0", text="a.wav, renamed")
    changed_again = feed.next()
    assert (came(changed_again), feeding.file_names(changed_again)) == (["thing_0"], [])


def test_a_source_that_states_nothing_has_no_step(tmp_path: Path) -> None:
    """Its archives say that they compare hashes, and remember no position."""
    feed = feeding.begin(world_of(tmp_path, KeyedMadeUpExporter(things(3))))
    feed.next()
    with reading(feed.world.engine) as connection:
        assert feeds.get(connection, feed.id)["progress"] is None
        assert connection.scalar(select(func.count()).select_from(models.feed_step)) == 0
    assert feeding.changes(feed.next())["mode"] == "hashes"

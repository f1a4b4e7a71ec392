"""A sender whose database was restored to an earlier state: its next archive is another than the archive here."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from feed_imports import FeedImport
from going_back import Backups, journal_of, reconciled
from importing import KEY, undone
from sqlalchemy import Column, MetaData, Table, text, update

from receiver.faults import FeedForked, FeedGap
from receiver.importer.database import opened
from receiver.importer.undo import undo
from receiver.ledger import runs
from receiver.ledger.tables import RUN
from worker.write import closing_marker

pytestmark = pytest.mark.slow


class RestoredFeed(FeedImport):
    """A feed whose sender can go back."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.backups = Backups(self.feed.world, None)

    def undo(self, import_id: str | None) -> None:
        """Undo an import of an archive."""
        with opened(self.into, make=False) as engine:
            undo(engine, str(import_id), KEY)


@pytest.fixture
def restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RestoredFeed:
    """A feed whose first archive, of three deals, is imported; markers of a lost history are remnants at once."""
    monkeypatch.setattr(closing_marker, "DEAD_AFTER", timedelta())
    made = RestoredFeed(tmp_path)
    made.archive("a", "b", "c")
    made.take(1)
    return made


def test_an_export_that_was_written_again_is_another_archive(restored: RestoredFeed) -> None:
    """Its number and export are those of the archive that is here: it was taken for a repetition."""
    export = restored.feed.request()
    before = restored.backups.take()
    restored.archive("a", "c", "d", export=export)
    second = restored.take(2)
    restored.backups.restore(before)
    restored.archive("a", "c", "e", export=export)
    with pytest.raises(FeedForked, match=f"{second.import_id}"):
        restored.take(3)
    assert restored.take(2).is_repeated
    restored.undo(second.import_id)
    restored.take(3)
    assert restored.here() == ["dea_a", "dea_c", "dea_e"]


def test_a_feed_that_lost_an_archive_goes_on_after_an_undo(restored: RestoredFeed) -> None:
    """Reconcile restores the lost exports, and the feed does not know them: its archives 2 and 3 are others."""
    journal_of(restored.feed.world).ship()
    before = restored.backups.take()
    restored.archive("a", "c", "d")
    second = restored.take(2)
    restored.archive("a", "d")
    third = restored.take(3)
    journal_of(restored.feed.world).ship()
    restored.backups.restore(before)
    lost = [event for event in reconciled(restored.feed.world).events if event.action == "export.ready"]
    assert [(event.outcome, event.must_inform) for event in lost] == [("behind", True)] * 2
    restored.archive("a", "e")
    restored.archive("e")
    with pytest.raises(FeedGap, match="follows another archive 2") as gap:
        restored.take(5)
    assert "import the archive 2 that it follows first" in str(gap.value.hint)
    with pytest.raises(FeedForked) as forked:
        restored.take(4)
    assert re.findall(r"[0-9a-f]{16}", str(forked.value.hint)) == [third.import_id, second.import_id]
    restored.undo(third.import_id)
    restored.undo(second.import_id)
    restored.take(4)
    restored.take(5)
    assert restored.here() == ["dea_e"]


def test_a_lost_archive_does_not_replace_its_successor(restored: RestoredFeed) -> None:
    """The recipient has fetched it, and imports it after the other archive 2."""
    journal_of(restored.feed.world).ship()
    before = restored.backups.take()
    restored.archive("a", "c", "d")
    restored.backups.restore(before)
    restored.archive("a", "e")
    restored.take(3)
    with pytest.raises(FeedForked) as forked:
        restored.take(2)
    assert "leave it" in str(forked.value.hint)
    assert restored.here() == ["dea_a", "dea_e"]


def test_an_archive_that_is_here_in_part_is_not_mixed_with_another(restored: RestoredFeed) -> None:
    """Its import was killed, and then the sender went back: what is here of it is undone first."""
    export = restored.feed.request()
    before = restored.backups.take()
    restored.archive("a", "b", "c", "d", export=export)
    with pytest.raises(ZeroDivisionError):
        restored.take(2, started=lambda _: lambda _: 1 / 0)
    restored.backups.restore(before)
    restored.archive("a", "b", "e", export=export)
    with pytest.raises(FeedForked, match="in part") as forked:
        restored.take(3)
    (run,) = re.findall(r"[0-9a-f]{16}", str(forked.value.hint))
    restored.undo(run)
    restored.take(3)
    assert restored.here() == ["dea_a", "dea_b", "dea_e"]
    assert restored.take(3).is_repeated


def test_an_import_that_was_killed_and_is_continued_late_is_whole(restored: RestoredFeed) -> None:
    """Its journal was deleted meanwhile; the archive is still here in part only, and is not taken for imported."""
    restored.archive("a", "b", "d")
    with pytest.raises(ZeroDivisionError):
        restored.take(2, started=lambda _: lambda _: 1 / 0)
    restored.change(update(Table(RUN.name, MetaData(), Column("keep_until"))).values(keep_until="2020-01-01 00:00:00"))
    assert restored.take(2).is_repeated is False
    assert restored.here() == ["dea_a", "dea_b", "dea_d"]
    assert restored.take(2).is_repeated


def test_a_feed_that_an_earlier_release_has_imported_goes_on(restored: RestoredFeed) -> None:
    """Neither its tables nor its archives state cursors: number and export name an archive."""
    restored.archive("a", "d")
    restored.archive("a", "e")
    restored.change(text("ALTER TABLE portability_import_feed DROP COLUMN cursor_sha256"))
    assert restored.take(1).is_repeated
    restored.take(2)
    restored.change(text("UPDATE portability_import_feed SET cursor_sha256 = NULL"))
    assert restored.take(2).is_repeated
    restored.take(3)
    restored.change(text("UPDATE portability_import_feed SET export = 'another' WHERE number = 2"))
    with pytest.raises(FeedForked):
        restored.take(2)
    assert restored.here() == ["dea_a", "dea_e"]


def test_an_archive_whose_undo_was_killed_is_neither_here_nor_gone(restored: RestoredFeed) -> None:
    """A part of its rows is gone: no archive is imported onto the rest, and it is not taken for a repetition."""
    restored.archive("a", "d")
    second = restored.take(2)
    restored.archive("a", "e")
    with pytest.raises(ZeroDivisionError):
        undone(restored.into, second, progress=lambda _: 1 / 0)
    for number in (1, 2, 3):
        with pytest.raises(FeedGap, match=r"archive 2 .* is undone here in part") as gap:
            restored.take(number)
        assert f"undo` {second.import_id} first" in str(gap.value.hint)
    restored.undo(second.import_id)
    restored.take(2)
    restored.take(3)
    assert restored.here() == ["dea_a", "dea_e"]


def test_an_archive_of_a_feed_that_is_imported_already_is_kept_as_long_as_it_asks_for(restored: RestoredFeed) -> None:
    """The period of the repetition counts, although nothing is read again."""
    assert restored.take(1, journal_days=90).is_repeated
    with opened(restored.into, make=False) as engine, engine.begin() as connection:
        (run,) = runs.listed(connection)
    assert (run.keep_until - run.began_at).days == 90


def test_the_journal_of_a_killed_undo_expires(restored: RestoredFeed) -> None:
    """Then the archive is here in part, and importing it again brings the rest."""
    restored.archive("a", "d")
    second = restored.take(2)
    with pytest.raises(ZeroDivisionError):
        undone(restored.into, second, progress=lambda _: 1 / 0)
    restored.change(text("UPDATE portability_import_run SET keep_until = began_at"))
    with opened(restored.into, make=False) as engine, engine.begin() as connection:
        runs.sweep(connection)
    restored.archive("a", "e")
    with pytest.raises(FeedGap, match=r"archive 2 .* in part"):
        restored.take(3)
    assert not restored.take(2).is_repeated
    restored.take(3)

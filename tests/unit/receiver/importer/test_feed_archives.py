"""Archives of a feed are imported in order: each once, with its tombstones, and undone in reverse order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import unpacked
from feed_imports import TARGET, FeedImport, deals
from importing import import_as, undone
from sqlalchemy import Column, MetaData, Table, delete, text, update

from exporters.reference import schema
from receiver.faults import FeedGap
from receiver.ledger.merge import OnConflict
from receiver.ledger.tables import FEED

pytestmark = pytest.mark.slow


@pytest.fixture
def imported(tmp_path: Path) -> FeedImport:
    """A feed whose first archive, of the deals a, b and c, is imported; the second lacks b and has d."""
    made = FeedImport(tmp_path)
    made.archive("a", "b", "c")
    made.take(1)
    made.archive("a", "c", "d")
    return made


def test_a_tombstone_deletes_its_row(imported: FeedImport) -> None:
    """And nothing else changes; importing it again changes nothing."""
    report = imported.take(2)
    assert imported.here() == ["dea_a", "dea_c", "dea_d"]
    assert [(one.new, one.deleted, one.same) for one in report.datasets] == [(1, 1, 0)]
    again = imported.take(2)
    assert (again.is_repeated, again.datasets) == (True, [])
    assert imported.take(1).is_repeated
    assert imported.here() == ["dea_a", "dea_c", "dea_d"]


def test_a_record_that_returns_is_no_conflict(imported: FeedImport) -> None:
    """It was deleted by the feed, not by the owner."""
    imported.take(2)
    imported.archive("a", "b", "c", "d")
    report = imported.take(3)
    assert (report.conflicts, [one.new for one in report.datasets]) == (0, [1])
    assert imported.here() == ["dea_a", "dea_b", "dea_c", "dea_d"]


def test_an_older_copy_brings_nothing_back(imported: FeedImport, tmp_path: Path) -> None:
    """Another export of the company has a deal that is gone since then by an archive of the feed."""
    sender = imported.feed.world
    imported.source.records = deals("a", "c", "d", "e")
    copy = sender.request("tenant:ten_1", profile="switch")
    sender.advance_all()
    folders = unpacked.unpacked(sender.fetch(copy), tmp_path / "copy")
    imported.archive("a", "c")
    imported.take(2)
    imported.take(3)
    report = import_as(folders, imported.into, TARGET, on_conflict=OnConflict.TAKE)

    assert [(one.new, one.same, one.older) for one in report.datasets if one.dataset == "deals"] == [(1, 2, 1)]
    assert imported.here() == ["dea_a", "dea_c", "dea_e"]


def test_a_missing_archive_is_refused(imported: FeedImport) -> None:
    """Archive 3 does not follow archive 1, and another first archive is not the one that is here."""
    imported.archive("a")
    with pytest.raises(FeedGap, match="the last archive imported here is 1"):
        imported.take(3)
    assert imported.here() == ["dea_a", "dea_b", "dea_c"]


def test_an_archive_after_another_one_is_refused(imported: FeedImport) -> None:
    """The sender went back to an older state of its database: its second archive follows another first archive."""
    imported.change(update(feed_table()).values(export="another"))
    with pytest.raises(FeedGap, match="follows another archive 1"):
        imported.take(2)
    with pytest.raises(FeedGap, match="another archive 1"):
        imported.take(1)


@pytest.mark.parametrize(("chosen", "stays"), [(OnConflict.KEEP, True), (OnConflict.TAKE, False)])
def test_a_row_that_was_changed_here_is_a_conflict(imported: FeedImport, chosen: OnConflict, stays: bool) -> None:
    """It stays, unless conflicts are decided for the archive."""
    imported.change(update(schema.deals).where(schema.deals.c.id == "dea_b").values(name="ours"))
    report = imported.take(2, on_conflict=chosen)
    assert report.conflicts == 1
    assert ("dea_b" in imported.here()) is stays


def test_a_row_to_which_others_here_refer_stays(imported: FeedImport) -> None:
    """A conflict, whatever is chosen; before, neither this archive nor a later one could be imported."""
    imported.change(text("CREATE TABLE task (deal TEXT NOT NULL REFERENCES deals (id))"))
    imported.change(text("INSERT INTO task VALUES ('dea_b')"))
    report = imported.take(2, on_conflict=OnConflict.TAKE)
    (found,) = report.datasets
    assert (found.deleted, found.kept, report.conflicts, found.conflicting[0].id) == (0, 1, 1, "dea_b")
    assert imported.here() == ["dea_a", "dea_b", "dea_c", "dea_d"]
    imported.archive("a")
    assert [one.deleted for one in imported.take(3).datasets] == [2]


def test_a_row_that_is_gone_already_is_nothing(imported: FeedImport) -> None:
    """Its owner has deleted it before."""
    imported.change(delete(schema.deals).where(schema.deals.c.id == "dea_b"))
    assert imported.take(2).conflicts == 0
    assert imported.here() == ["dea_a", "dea_c", "dea_d"]


def test_undoing_inserts_deleted_rows_again(imported: FeedImport) -> None:
    """The last archive first; then the feed continues from where it was."""
    second = imported.take(2)
    imported.archive("a")
    third = imported.take(3)
    with pytest.raises(FeedGap, match="later archives follow"):
        undone(imported.into, second)
    assert undone(imported.into, third).restored == 2
    assert imported.here() == ["dea_a", "dea_c", "dea_d"]
    undone(imported.into, second)
    assert imported.here() == ["dea_a", "dea_b", "dea_c"]
    imported.take(2)
    imported.take(3)
    assert imported.here() == ["dea_a"]


def test_a_dry_run_says_what_would_be_deleted(imported: FeedImport) -> None:
    """And does nothing."""
    assert [one.deleted for one in imported.take(2, dry_run=True).datasets] == [1]
    assert imported.here() == ["dea_a", "dea_b", "dea_c"]


def feed_table() -> Any:
    """Return the table of imported archives as SQLite has it."""
    return Table(FEED.name, MetaData(), Column("export"))

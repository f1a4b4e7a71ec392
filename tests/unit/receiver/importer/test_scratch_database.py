"""The temporary database of an import."""

from __future__ import annotations

import sqlite3

import pytest

from receiver.faults import NoRoom
from receiver.importer.scratch_database import ScratchDatabase

SMALL = "pragma max_page_count = 10; create table word (text text primary key); create table empty (text text);"


def test_a_full_disk_is_no_room() -> None:
    """The error has the code of a full disk, is retried, and its hint names the folder and not the target database."""
    database = ScratchDatabase(SMALL)
    with pytest.raises(NoRoom) as raised:
        database.add("insert into word values (?)", [("x" * 1000 + str(number),) for number in range(100)])
    database.close()
    assert str(raised.value) == "cannot write the temporary database of the import: SQLITE_FULL"
    assert (raised.value.code, raised.value.retryable) == ("no_room", True)
    assert "SQLITE_TMPDIR" in raised.value.hint


def test_a_fault_of_this_program_is_not_taken_for_a_full_disk() -> None:
    """A wrong statement is raised as it is: no free space would mend it."""
    database = ScratchDatabase(SMALL)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        database.rows("select * from missing")
    database.close()


def test_what_is_added_is_counted_and_read() -> None:
    """A row that is there already is not counted, and a query without rows has an empty list."""
    database = ScratchDatabase(SMALL)
    words = [("a",), ("b",), ("a",)]
    assert database.add("insert or ignore into word values (?)", words) == 2
    assert database.rows("select text from word order by text") == [("a",), ("b",)]
    assert database.rows("select text from empty") == []
    database.close()

"""Targets that an import refuses: nothing is made, and the error says what to look at."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from handmade import CREATED, table, unpacked_archive
from importing import import_as

from receiver.binding.target import ImportTarget
from receiver.faults import WrongTarget
from receiver.importer.database import opened
from receiver.importer.faults import BadTarget, TargetUnavailable

DEALS = table("deals", {"id": "dea_1", "tenant_id": "ten_x", "name": "theirs", "created_at": CREATED}, exporter="crm")


def test_a_wrong_target_makes_no_database(tmp_path: Path) -> None:
    """The archive is about a company: the file of a person's import is not there after the refusal."""
    with pytest.raises(WrongTarget):
        import_as(
            unpacked_archive(tmp_path, [DEALS]),
            f"sqlite:///{tmp_path}/target.db",
            ImportTarget(tenant="ten_here", user="usr_here"),
        )
    assert not (tmp_path / "target.db").exists()


def test_a_target_whose_file_cannot_be_used_names_its_disk(tmp_path: Path) -> None:
    """A full disk, a missing folder or a file of another account: the hint is not about tables."""
    folders, into = unpacked_archive(tmp_path, [DEALS]), f"sqlite:///{tmp_path}/absent/target.db"
    with pytest.raises(TargetUnavailable, match="SQLITE_CANTOPEN") as refused:
        import_as(folders, into, ImportTarget(tenant="ten_here"))
    assert refused.value.hint.startswith("check the disk of the database")


@pytest.mark.parametrize("action", ["ROLLBACK", "ABORT", "FAIL"])
def test_a_trigger_may_refuse_a_record_but_not_end_the_transaction(tmp_path: Path, action: str) -> None:
    """ROLLBACK would take other records with it: the error names the trigger's action, and nothing is changed."""
    theirs = {"id": "dea_1", "tenant_id": "ten_x", "name": "theirs", "created_at": CREATED}
    refused_one = {"id": "dea_2", "tenant_id": "ten_x", "name": "refused", "created_at": CREATED}
    folders = unpacked_archive(tmp_path, [table("deals", theirs, refused_one, exporter="crm")])
    into = f"sqlite:///{tmp_path}/target.db"
    with opened(into, make=True):
        pass
    with closing(sqlite3.connect(tmp_path / "target.db")) as target:
        target.execute(
            "CREATE TRIGGER refuses BEFORE INSERT ON deals WHEN NEW.name = 'refused' BEGIN"
            f" SELECT RAISE({action}, 'not here'); END"
        )
        if action == "ROLLBACK":
            with pytest.raises(BadTarget, match="rolls back the whole transaction") as error:
                import_as(folders, into, ImportTarget(tenant="ten_here"))
            assert "RAISE(ABORT" in error.value.hint
        else:
            assert import_as(folders, into, ImportTarget(tenant="ten_here")).refused == 1
        assert target.execute("SELECT count(*) FROM deals").fetchone() == (0 if action == "ROLLBACK" else 1,)

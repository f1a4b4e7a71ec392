"""Datasets that the reference schema does not know, imported through a hook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from handmade import CREATED, table, unpacked_archive
from importing import import_as, undone
from sqlalchemy import select

from exporters.reference import schema
from portability.api.errors import BrokenPlugin
from portability.database.engine import open_engine
from receiver.binding.target import ImportTarget
from receiver.importer import hooks
from receiver.importer.report import ImportReport


def moods(record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """An activity for each mood, of the company that the record names."""
    row = {"id": record["id"], "tenant_id": record["company"], "kind": "mood", "created_at": CREATED}
    yield record.get("into", "crm/activities"), row | {"subject": record["mood"]}


def imported_moods(folder: Path, *records: object) -> ImportReport:
    members = [table("moods", *records, exporter="moods")]
    return import_as(
        unpacked_archive(folder, members),
        f"sqlite:///{folder}/target.db",
        ImportTarget(tenant="ten_here"),
        hooks={("moods", "moods"): moods},
    )


def activities(folder: Path) -> list[tuple[Any, ...]]:
    engine = open_engine(f"sqlite:///{folder}/target.db")
    of = schema.activities.c
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(select(of.id, of.tenant_id, of.subject).order_by(of.id))]
    engine.dispose()
    return found


def test_what_a_hook_makes_is_bound_and_undone_as_other_records(tmp_path: Path) -> None:
    """A second company is quarantined whatever the hook says; the import is undone with its rows."""
    report = imported_moods(
        tmp_path,
        {"id": "moo_1", "company": "ten_x", "mood": "good"},
        {"id": "moo_2", "company": "ten_y", "mood": "bad"},
    )

    assert activities(tmp_path) == [("moo_1", "ten_here", "good")]
    assert [(one.dataset, one.new, one.quarantined.total()) for one in report.datasets] == [
        ("moods", 0, 0),
        ("activities", 1, 1),
    ]
    assert report.left == []
    undone(f"sqlite:///{tmp_path}/target.db", report)
    assert activities(tmp_path) == []


def test_a_record_at_which_a_hook_fails_is_refused(tmp_path: Path) -> None:
    """An error, an unknown dataset, and a dataset of another kind of archive: the other records are imported."""
    good = {"id": "moo_1", "company": "ten_x", "mood": "good"}
    bad = [{"id": "moo_2"}, {**good, "into": "crm/moods"}, {**good, "into": "account/profile"}, b"{no json}\n"]
    report = imported_moods(tmp_path, *bad, good)

    assert activities(tmp_path) == [("moo_1", "ten_here", "good")]
    assert dict(report.datasets[0].refused) == {"hook_failed": 3, "not_json": 1}


def test_hooks_are_found_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point `exporter.dataset`; a hook that does not load ends the import before it begins."""
    entry = EntryPoint("moods.moods", "json:loads", hooks.GROUP)
    monkeypatch.setattr(hooks, "entry_points", lambda group: [entry] if group == hooks.GROUP else [])
    assert list(hooks.installed_hooks()) == [("moods", "moods")]

    entry = EntryPoint("moods.moods", "json:absent", hooks.GROUP)
    with pytest.raises(BrokenPlugin, match=r"moods\.moods"):
        hooks.installed_hooks()

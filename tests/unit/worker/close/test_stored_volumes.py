"""An export closes only if all its volumes are there as they were written, and together are its ledger."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factories import World
from left_out import beginning, counted_export, forget, volume_row, volumes_of
from sqlalchemy import update

from portability.database import models
from portability.database.engine import writing
from portability.requests import retries

pytestmark = pytest.mark.slow


def stored(made: World, number: int) -> Path:
    return made.folder / "archives" / str(volume_row(made, number)["object_key"])


def outcome(made: World, identifier: str) -> tuple[str, str | None]:
    made.advance_all()
    view = made.view(identifier)
    return view["state"], (view["error"] or {}).get("code")


def counted_by_hand(volume: Path) -> tuple[int, int]:
    """Records in a volume's JSON Lines, and those that its counts.json states: no code of the product reads here."""
    with zipfile.ZipFile(volume) as archive:
        names = {name.split("/", 1)[1]: name for name in archive.namelist()}
        lines = sum(len(archive.read(full).splitlines()) for path, full in names.items() if path.endswith(".jsonl"))
        stated = json.loads(archive.read(names["counts.json"]))
    return lines, sum(dataset["records"] for dataset in stated["datasets"])


def closing(volumes: list[Path]) -> dict[str, Any]:
    with zipfile.ZipFile(volumes[-1]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/export.json"))
        document: dict[str, Any] = json.loads(archive.read(name))
    return document


def test_every_volume_states_what_it_contains(tmp_path: Path) -> None:
    """6,000 records, each once in two formats: by hand, in counts.json, in the list and in the ledger."""
    made, identifier = counted_export(tmp_path)
    volumes = list(volumes_of(made, identifier))

    by_hand = [counted_by_hand(volume) for volume in volumes]
    document = closing(volumes)

    assert len(volumes) > 3
    assert all(lines == stated > 0 for lines, stated in by_hand)
    assert sum(lines for lines, _ in by_hand) == 6000
    assert [sum(one["records"] for one in line["counts"]) for line in document["volumes"]] == [n for n, _ in by_hand]
    assert document["datasets"][0]["records"] == 6000
    assert made.verify(volumes).ok


def test_a_volume_that_was_left_out_is_found_by_any_program(tmp_path: Path) -> None:
    """The archive is signed and consistent in its list; its ledger says 6,000, and its volumes do not."""
    made, identifier = counted_export(tmp_path, left_out=2)
    volumes = list(volumes_of(made, identifier))

    document = closing(volumes)
    result = made.verify(volumes)

    assert (document["complete"], document["datasets"][0]["records"]) == (True, 6000)
    assert [line["number"] for line in document["volumes"]][:2] == [1, 3]
    assert sum(counted_by_hand(volume)[0] for volume in volumes) < 6000
    assert {(fault.code, fault.file) for fault in result.errors} == {("wrong_counts", "export.json")}
    assert "6000 records" not in result.errors[0].detail.split(";")[0]
    assert "expected 6000" in result.errors[0].detail


def test_an_export_without_one_of_its_volumes_never_closes(tmp_path: Path) -> None:
    """Its row is lost: it fails with a code, and a retry makes the whole archive."""
    made, identifier = beginning(tmp_path, volumes=3)
    forget(made, 2)

    assert outcome(made, identifier) == ("failed", "counts_differ")
    with writing(made.engine) as connection:
        retries.retry(connection, identifier, actor="operator:test")
    assert outcome(made, identifier) == ("ready", None)
    volumes = list(volumes_of(made, identifier))
    assert sum(counted_by_hand(volume)[0] for volume in volumes) == 6000
    assert made.verify(volumes).ok


def lose(path: Path) -> None:
    path.unlink()


def exchange(path: Path) -> None:
    """Other bytes, as many as before."""
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("spoil", [lose, exchange, cut])
def test_a_lost_object_is_noticed_before_the_closing(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """An archive that cannot be downloaded never becomes ready."""
    made, identifier = beginning(tmp_path, volumes=2)
    spoil(stored(made, 1))

    assert outcome(made, identifier) == ("failed", "object_missing")
    incidents = {row["kind"]: row["count"] for row in counted_incidents(made)}
    assert incidents["object_lost"] == 1


def counted_incidents(made: World) -> list[dict[str, Any]]:
    with writing(made.engine) as connection:
        return [dict(row) for row in connection.execute(models.incident.select()).mappings()]


def test_the_same_content_under_another_etag_is_accepted(tmp_path: Path) -> None:
    """As after a copy to another tier: it is read once more, and its hash decides."""
    made, identifier = beginning(tmp_path, volumes=2)
    with writing(made.engine) as connection:
        connection.execute(update(models.volume).values(etag="another"))

    assert outcome(made, identifier) == ("ready", None)


def test_volumes_of_an_earlier_release_are_not_compared(tmp_path: Path) -> None:
    """Their rows have neither counts nor ETag; the export closes, and the list says nothing about them."""
    made, identifier = beginning(tmp_path, volumes=2)
    with writing(made.engine) as connection:
        connection.execute(update(models.volume).values(etag=None, counts=None))

    assert outcome(made, identifier) == ("ready", None)
    volumes = list(volumes_of(made, identifier))
    assert ["counts" in line for line in closing(volumes)["volumes"]][:3] == [False, False, True]
    assert made.verify(volumes).ok

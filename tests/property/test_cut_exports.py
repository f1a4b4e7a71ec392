"""An export that is cut into slices: read by several workers in any order, killed anywhere, it is whole."""

from __future__ import annotations

import secrets
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, members, records
from examples import examples
from factories import CutExporter, MadeUpExporter, World, file, things, world
from faults import FaultyStorage, Operation
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from portability.api import Exporter
from portability.api.errors import SourceRefused, StorageUnavailable
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.requests import exports, slices
from portability.storage.local import LocalStorage
from worker import export
from worker.claim.claims import Claim

SMALL: Mapping[str, Any] = {"slice_bytes": 65_536, "slices_max": 4, "volume_bytes": 65_536, "piece_bytes": 2_000}
MANY_FAILURES = 8
MANY = 600
"""Records: 300,000 bytes as they are expected, so four slices."""


def cut_world(folder: Path, exporters: Mapping[str, Exporter], **overrides: Any) -> World:
    return world(folder, exporters, **{**SMALL, **overrides})


def numbers(made: World, identifier: str) -> list[tuple[int, str]]:
    with reading(made.engine) as connection:
        return [(row["number"], row["state"]) for row in slices.of(connection, identifier)]


def as_set(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(record["id"] for record in found)


@settings(max_examples=examples(3))
@given(order=st.randoms(use_true_random=False), count=st.integers(0, MANY), held_at_once=st.integers(1, 5))
def test_the_archive_is_complete_for_any_order_of_slices(order: Any, count: int, held_at_once: int) -> None:
    """Several workers hold slices at the same time and end them in any order: each record and file is there once."""
    contents = {f"{n}.wav": secrets.token_bytes(9_000) for n in range(0, count, 40)}
    files = {n // 3: [file(f"{n}.wav", contents[f"{n}.wav"])] for n in range(0, count, 40)}
    exporters = {"cut": CutExporter(things(count), files=files), "whole": MadeUpExporter(things(7))}
    with tempfile.TemporaryDirectory() as folder:
        made = cut_world(Path(folder), exporters)
        identifier = made.request()
        held: list[Claim] = []
        while made.is_open(identifier):
            while len(held) < held_at_once and (one := made.claim()) is not None:
                held.append(one)
            order.shuffle(held)
            export.advance(made.place, held.pop())
        paths = made.fetch(identifier)

        assert made.verify(paths).ok
        assert as_set(records(paths, "cut", "things")) == as_set(things(count))
        assert records(paths, "whole", "things") == things(7)
        found = {name.rpartition("/")[2]: body for name, body in members(paths) if name.endswith(".wav")}
        assert found == contents
        view = made.view(identifier)
        assert (view["state"], view["complete"]) == ("ready", True)
        assert {d["exporter"]: d["records"] for d in export_json(paths)["datasets"]} == {"cut": count, "whole": 7}
        assert {state for _number, state in numbers(made, identifier)} == {"done"}
        assert len(made.archive_keys()) == len(paths)


def test_the_last_of_the_others_may_store_while_slice_0_writes(tmp_path: Path) -> None:
    """If a volume of slice 0 becomes the closing one only while it is written, it lists what was stored meanwhile."""
    made: list[World] = []
    overtaken: list[int] = []

    def others(_batch: int) -> None:
        overtaken.append(made[0].advance_all())

    made.append(cut_world(tmp_path, {"cut": CutExporter(things(MANY)), "whole": MadeUpExporter(things(3))}))
    made[0].place.exporters["whole"].on_batch = others  # type: ignore[attr-defined]  # the one made above
    identifier = made[0].request()
    made[0].advance_all()
    paths = made[0].fetch(identifier)

    assert overtaken[0] > 0
    assert made[0].verify(paths).errors == ()
    assert as_set(records(paths, "cut", "things")) == as_set(things(MANY))


def test_a_large_dataset_is_cut_and_a_small_one_is_not(tmp_path: Path) -> None:
    """One slice each for its parts, numbered from 1; number 0 reads the rest and closes."""
    made = cut_world(tmp_path, {"cut": CutExporter(things(MANY)), "whole": MadeUpExporter(things(7))})
    identifier = made.request()
    planning = made.claim()
    assert planning is not None
    assert export.advance(made.place, planning) == 5
    assert numbers(made, identifier) == [(number, "open") for number in range(5)]
    assert made.view(identifier)["volumes"] == []
    made.advance_all()
    names = [name for name, _body in members(made.fetch(identifier)) if name.startswith("data/cut/")]
    assert Counter(name.split("-")[1] for name in names if name.endswith(".jsonl")).keys() == {
        "s01",
        "s02",
        "s03",
        "s04",
    }
    assert len(names) == len(set(names))


def test_the_viewer_shows_all_slices_in_their_order(tmp_path: Path) -> None:
    """What each slice kept for the viewer is put together in the closing volume."""
    made = cut_world(tmp_path, {"cut": CutExporter(things(MANY))})
    identifier = made.request()
    made.advance_all()
    shown = b"".join(body for name, body in members(made.fetch(identifier)) if name.startswith("viewer/"))
    assert all(f'thing_{n}\\"'.encode() in shown or f'"thing_{n}"'.encode() in shown for n in (0, 299, MANY - 1))


@settings(max_examples=examples(3))
@given(operation=st.sampled_from(["begin", "write", "complete"]), every=st.integers(2, 6))
def test_faults_of_storage_cost_volumes_of_one_slice(operation: Operation, every: int) -> None:
    """Each slice repeats its own volume; nothing is lost, doubled or left over."""
    failures: list[int] = []

    def fail(step: Operation, count: int) -> None:
        if step == operation and count % every == 0 and len(failures) < MANY_FAILURES:
            failures.append(count)
            raise StorageUnavailable("fails on purpose")

    with tempfile.TemporaryDirectory() as folder:
        storage = FaultyStorage(LocalStorage(Path(folder) / "archives"), before=fail)
        made = cut_world(Path(folder), {"cut": CutExporter(things(MANY))}, storage=storage)
        identifier = made.request()
        made.advance_all()
        paths = made.fetch(identifier)
        assert made.verify(paths).ok
        assert as_set(records(paths, "cut", "things")) == as_set(things(MANY))
        assert len(made.archive_keys()) == len(paths)


def test_cancelling_stops_all_slices(tmp_path: Path) -> None:
    """The first that learns of it ends the export; the others find their slices gone, and nothing is left."""
    made = cut_world(tmp_path, {"cut": CutExporter(things(MANY))})
    identifier = made.request()
    planning = made.claim()
    assert planning is not None
    export.advance(made.place, planning)
    stored, first, second = made.claim(), made.claim(), made.claim()
    assert stored is not None
    assert first is not None
    assert second is not None
    export.advance(made.place, stored)
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")
    claimed_before = made.claim()
    assert claimed_before is not None
    for held in (claimed_before, first, second):
        assert export.advance(made.place, held) == 0
    assert made.view(identifier)["state"] == "cancelled"
    assert made.claim() is None
    assert made.archive_keys() == []


def test_a_slice_that_fails_for_good_fails_the_export(tmp_path: Path) -> None:
    """No archive without it: the others are stopped, what they stored is deleted."""
    made = cut_world(tmp_path, {"cut": CutExporter(things(MANY))}, attempts_max=1)
    identifier = made.request()
    planning = made.claim()
    assert planning is not None
    export.advance(made.place, planning)
    with writing(made.engine) as connection:
        third = (models.slice.c.export_id == identifier, models.slice.c.number == 3)
        connection.execute(update(models.slice).where(*third).values(readings=[{"ordinal": 99}]))
    made.advance_all()
    view = made.view(identifier)
    assert (view["state"], view["error"]["code"]) == ("failed", "volume_fault")
    assert made.archive_keys() == []


def test_a_slice_whose_source_refuses_ends_there_alone(tmp_path: Path) -> None:
    """The other ranges are read to their ends; the ledger says partial, once, and why."""

    def refuse(number: int) -> None:
        if number == 60:
            raise SourceRefused("no")

    made = cut_world(tmp_path, {"cut": CutExporter(things(MANY), on_batch=refuse)})
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)
    (line,) = export_json(paths)["datasets"]
    assert (line["state"], line["gaps"], line["reason"]) == ("partial", 1, "source_refused")
    missing = set(as_set(things(MANY))) - set(as_set(records(paths, "cut", "things")))
    assert missing == {f"thing_{n}" for n in range(180, 300)}


def test_what_is_open_can_always_be_claimed(tmp_path: Path) -> None:
    """While an export is open there is a slice that is claimed or can be claimed: nothing waits in vain."""
    made = cut_world(tmp_path, {"cut": CutExporter(things(MANY))})
    identifier = made.request()
    while made.is_open(identifier):
        held = made.claim()
        assert held is not None
        export.advance(made.place, held)
    with reading(made.engine) as connection:
        assert connection.scalars(select(models.slice.c.lease_until)).all() == [None] * 5


def test_a_worker_killed_in_each_slice_costs_nothing(tmp_path: Path) -> None:
    """Every claim is taken over once, before it has done anything: the heirs continue."""
    made = cut_world(tmp_path, {"cut": CutExporter(things(MANY))})
    identifier = made.request()
    while made.is_open(identifier):
        assert made.claim() is not None
        with writing(made.engine) as connection:
            connection.execute(update(models.slice).values(lease_until=now(-1)))
        heir = made.claim()
        assert heir is not None
        export.advance(made.place, heir)
    assert as_set(records(made.fetch(identifier), "cut", "things")) == as_set(things(MANY))


@pytest.mark.parametrize("offer", ["overlap", "raise", "nonsense"])
def test_an_exporter_that_cuts_badly_is_read_in_one(tmp_path: Path, offer: str) -> None:
    """What does not chain is refused by its bounds, counted, and costs the archive nothing."""

    class Bad(CutExporter):
        def slices(self, *_arguments: Any) -> Any:
            if offer == "raise":
                raise ValueError("jane@example.org")
            good = super().slices(*_arguments)
            return ["x"] if offer == "nonsense" else [good[0], good[0], *good[1:]]

    made = cut_world(tmp_path, {"cut": Bad(things(MANY))})
    identifier = made.request()
    made.advance_all()
    assert numbers(made, identifier) == [(0, "done")]
    assert records(made.fetch(identifier), "cut", "things") == things(MANY)
    with reading(made.engine) as connection:
        assert connection.execute(select(models.incident.c.kind, models.incident.c.count)).all() == [
            ("overlapping_slices", 1)
        ]

"""For all events of workers, one person has one pseudonym in an archive, and no id of staff is in it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, members, records
from examples import examples
from factories import CutExporter, World, dataset, things, world
from faults import FaultyStorage, Killed, Operation
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from portability.api import Field, FieldType, Person, Provenance, Record, Role
from portability.api.errors import SourceUnavailable
from portability.database import models
from portability.database.engine import now, writing
from portability.requests import retries
from portability.storage.local import LocalStorage
from worker import export
from worker.claim.claims import Claim

TAGGED = dataset(
    "things", Role.CONTROLLER, Field("staff", FieldType.STRING, "Who.", Provenance.OBSERVED, person=Person.STAFF)
)
COUNT = 400
STAFF = 7
SMALL: Mapping[str, Any] = {"slice_bytes": 65_536, "slices_max": 3, "volume_bytes": 65_536, "piece_bytes": 1_000}


def met(count: int) -> list[Record]:
    """Records of calls that members of staff took."""
    return [{**thing, "staff": f"staff-{n * n % STAFF}-secret"} for n, thing in enumerate(things(count))]


def source(count: int, name: str = "things") -> CutExporter:
    return CutExporter(met(count), datasets=(replace(TAGGED, name=name),))


def check(paths: Sequence[Path], expected: Sequence[Record]) -> dict[str, str]:
    """Check that each member of staff has one pseudonym, and each pseudonym one member; return the mapping."""
    found = {record["id"]: record["staff"] for record in records(paths, "cut", "things")}
    pairs = {(str(record["staff"]), found[record["id"]]) for record in expected if record["id"] in found}
    assert len({staff for staff, _ in pairs}) == len(pairs) == len({agent for _, agent in pairs})
    assert all(agent.startswith("Agent ") for _, agent in pairs)
    for name, body in members(paths):
        assert b"-secret" not in body, name
    return dict(pairs)


@settings(max_examples=examples(4))
@given(
    order=st.randoms(use_true_random=False),
    held_at_once=st.integers(1, 4),
    step=st.sampled_from(["begin", "write", "complete"]),
    every=st.integers(2, 7),
)
def test_pseudonyms_survive_kills_and_slices(order: Any, held_at_once: int, step: Operation, every: int) -> None:
    """Workers die at any step of any volume of any slice, several at once: the next workers use the same pseudonyms."""
    kills: list[int] = []

    def kill(operation: Operation, count: int) -> None:
        if operation == step and count % every == 0 and len(kills) < 5:
            kills.append(count)
            raise Killed

    with tempfile.TemporaryDirectory() as folder:
        storage = FaultyStorage(LocalStorage(Path(folder) / "archives"), before=kill)
        made = world(Path(folder), {"cut": source(COUNT)}, storage=storage, **SMALL)
        identifier = made.request()
        held: list[Claim] = []
        while made.is_open(identifier):
            while len(held) < held_at_once and (one := made.claim()) is not None:
                held.append(one)
            order.shuffle(held)
            _advance(made, held.pop())
        paths = made.fetch(identifier)
        assert made.verify(paths).ok
        assert len(check(paths, met(COUNT))) == len({record["staff"] for record in met(COUNT)})
        (line,) = export_json(paths)["datasets"]
        assert (line["state"], line["records"]) == ("with_remarks", COUNT)
        assert line["redactions"] == {"staff-pseudonym": COUNT}


def _advance(made: World, held: Claim) -> None:
    try:
        export.advance(made.place, held)
    except Killed:
        with writing(made.engine) as connection:
            this_slice = (models.slice.c.export_id == held.id, models.slice.c.number == held.number)
            connection.execute(update(models.slice).where(*this_slice).values(lease_until=now(-1)))


def test_pseudonyms_are_the_same_in_the_next_revision(tmp_path: Path) -> None:
    """What is fetched later uses the pseudonyms of the volumes that were there before."""
    exporter, away = source(60), [True]

    def leave(number: int) -> None:
        if number == 10 and away[0]:
            raise SourceUnavailable("away")

    exporter.on_batch = leave
    made = world(tmp_path, {"cut": exporter})
    identifier = made.request()
    made.advance_all()
    before = check(made.fetch(identifier), met(60))
    away.clear()
    away.append(False)
    with writing(made.engine) as connection:
        assert retries.retry_gaps(connection, identifier, actor="operator:test") == 1
    made.advance_all()
    paths = made.fetch(identifier)
    assert export_json(paths)["revision"] == 2
    assert len(records(paths, "cut", "things")) == 60
    after = check(paths, met(60))
    assert before.items() <= after.items()
    assert export_json(paths)["datasets"][0]["redactions"] == {"staff-pseudonym": 60}


@pytest.mark.requirement("R27")
def test_two_exports_of_one_subject_cannot_be_joined(tmp_path: Path) -> None:
    """No digest is in both: neither archive nor database reveals that "Agent 1" of one is a person of the other."""
    made = world(tmp_path, {"cut": source(60)})
    first = made.request()
    made.advance_all()
    second = made.request()
    made.advance_all()
    assert first != second
    with writing(made.engine) as connection:
        table = models.pseudonym
        digests = connection.scalars(select(table.c.digest)).all()
    assert len(digests) == 2 * len({record["staff"] for record in met(60)})
    assert len(set(digests)) == len(digests)

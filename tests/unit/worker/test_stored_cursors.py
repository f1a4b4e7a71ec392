"""What is stored of a source's places: they may name a person or contain a token, so rows have them encrypted."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archives import records
from factories import CutExporter, World, file, things, world_of
from sqlalchemy import select, update

from portability.api import Batch, Cursor, Dataset, Gap, Selection, Slice, Subject
from portability.api.errors import SourceUnavailable
from portability.database import models
from portability.database.engine import reading, writing
from portability.requests import cursor_seals, retries, slices
from worker.export import advance

ADDRESS = "ann@example.test"
COUNT = 240
LARGE = {"volume_bytes": 65_536, "slice_bytes": 65_536}


class NamingExporter(CutExporter):
    """Its cursors and bounds name the person, as the URL of a page may."""

    def slices(self, subject: Subject, dataset: Dataset, selection: Selection, n: int) -> Sequence[Slice]:
        found = super().slices(subject, dataset, selection, n)
        return [Slice(part.begin and naming_place(part.begin), part.end and naming_place(part.end)) for part in found]

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        cut = selection.slice or Slice()
        plain = replace(selection, slice=Slice(cut.begin and place(cut.begin), cut.end and place(cut.end)))
        for batch in super().export(subject, dataset, plain, after=after and place(after)):
            yield replace(batch, cursor=naming_place(batch.cursor))


def naming(**more: Any) -> NamingExporter:
    """Batches of 30 records; of two the files fill a volume."""
    files = {number: [file(f"{number}.wav", secrets.token_bytes(90_000))] for number in (1, 4)}
    return NamingExporter(things(COUNT), batch_records=30, files=files, **more)


def naming_place(number: str) -> Cursor:
    return f"private:https://desk.example/mails?of={ADDRESS}&after={number}"


def place(cursor: Cursor) -> str:
    return cursor.removeprefix(naming_place(""))


def kept_places(made: World) -> str:
    """What rows keep of readings, positions and gaps."""
    kept = [
        select(models.slice.c.readings, models.slice.c.position),
        select(models.gap),
        select(models.earlier_revision),
    ]
    with reading(made.engine) as connection:
        return "".join(str(connection.execute(query).all()) for query in kept)


def claims_until_done(made: World) -> int:
    """How many claims it takes until nothing is left to do; after each, no row names the person."""
    count = 0
    while held := made.claim():
        advance(made.place, held)
        count += 1
        assert ADDRESS not in kept_places(made)
    return count


def failing_at(number: int) -> Callable[[int], None]:
    def fail(batch: int) -> None:
        if batch == number:
            raise SourceUnavailable("no")

    return fail


@pytest.mark.slow
@pytest.mark.parametrize("slices_max", [1, 2])
def test_no_row_names_the_person_of_a_cursor(tmp_path: Path, slices_max: int) -> None:
    """Over volumes, slices, files, gaps and a retry; each record comes once."""
    exporter = naming(gaps={2: [Gap("things/lost", "missing")]})
    exporter.on_batch = failing_at(6)
    made = world_of(tmp_path, exporter, **LARGE, slices_max=slices_max)
    identifier = made.request()
    assert claims_until_done(made) > 2
    assert kept_places(made).count("sealed:") > 1
    assert not made.view(identifier)["complete"]

    exporter.on_batch, exporter.gaps = (lambda _batch: None), {}
    with writing(made.engine) as connection:
        retries.retry_gaps(connection, identifier, actor="operator:test")
    claims_until_done(made)
    paths = made.fetch(identifier)
    assert made.verify(paths).ok
    assert made.view(identifier)["complete"]
    assert {row["id"] for row in records(paths, "made", "things")} == {row["id"] for row in things(COUNT)}


@pytest.mark.slow
def test_a_cursor_of_an_earlier_release_still_counts(tmp_path: Path) -> None:
    """It was stored as it is: reading continues there, and the next cursor is sealed."""
    made = world_of(tmp_path, naming(), **LARGE)
    identifier = made.request()
    advance(made.place, made.claim() or pytest.fail("nothing to claim"))
    with writing(made.engine) as connection:
        (row,) = connection.execute(select(models.slice)).mappings()
        assert row["version"] == slices.VERSION, "an earlier worker could not open it"
        files = row["position"]["files"]
        resume = cursor_seals.opened(made.place.settings.keys, files["resume"])
        assert resume == naming_place("60")
        earlier = {**row["position"], "files": {**files, "resume": resume}}
        connection.execute(update(models.slice).values(position=earlier))
    made.advance_all()
    ids = [row["id"] for row in records(made.fetch(identifier), "made", "things")]
    assert ids == [f"thing_{n}" for n in range(COUNT)]
    assert made.view(identifier)["complete"]


@pytest.mark.slow
def test_exports_need_no_link_key(tmp_path: Path) -> None:
    """A deployment that makes no links may have none: its cursors are stored as they are, and reading continues."""
    made = world_of(tmp_path, naming(), **LARGE)
    for link_key in made.place.settings.keys.glob("link-*"):
        link_key.unlink()
    identifier = made.request()
    advance(made.place, made.claim() or pytest.fail("nothing to claim"))
    assert ADDRESS in kept_places(made)
    made.advance_all()
    assert len(records(made.fetch(identifier), "made", "things")) == COUNT


def test_equal_places_are_stored_alike_and_come_back(made: World) -> None:
    """A retry compares stored places; what is sealed stays as it is, and other values, too."""
    folder = made.place.settings.keys
    frozen = {
        "ordinal": 1,
        "after": "private:a",
        "files": {"resume": "private:b", "last": "x.wav"},
        "slice": {"begin": "private:a", "end": None},
    }
    with writing(made.engine) as connection:
        sealer = cursor_seals.CursorSealer(connection, folder)
        sealed = sealer.sealed(frozen)
        again = cursor_seals.CursorSealer(connection, folder).sealed(sealed)
    assert (again, sealed["after"]) == (sealed, sealed["slice"]["begin"])
    assert (sealed["files"]["last"], sealed["slice"]["end"], sealed["ordinal"]) == ("x.wav", None, 1)
    opened = [cursor_seals.opened(folder, one) for one in (sealed["after"], sealed["files"]["resume"])]
    assert opened == ["private:a", "private:b"]
    assert cursor_seals.has_seal(sealed)
    assert not cursor_seals.has_seal(frozen)


def test_a_seal_of_another_key_is_left_to_the_exporter(made: World) -> None:
    """The exporter refuses it as an invalid cursor, and its dataset has a gap."""
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        sealed = cursor_seals.CursorSealer(connection, folder).sealed({"after": "private:a"})["after"]
    forged = sealed[:-6] + "AAAA=="
    assert cursor_seals.opened(folder, forged) == forged


@pytest.mark.parametrize("cursor", [None, '["ord_7"]'])
def test_a_cursor_that_is_not_private_is_stored_as_it_is(made: World, cursor: str | None) -> None:
    """It costs no statement, and a worker of an earlier release continues there."""
    frozen = {"after": cursor, "files": None, "reading": 2}
    with writing(made.engine) as connection:
        sealer = cursor_seals.CursorSealer(connection, made.place.settings.keys)
    assert sealer.sealed(frozen) == frozen, "the connection is closed: any statement fails"
    assert not cursor_seals.has_seal(frozen)

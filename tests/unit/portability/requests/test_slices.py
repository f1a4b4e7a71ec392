"""Slices of exports as rows: what a new slice has, and who may claim it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from factories import World
from sqlalchemy import update

from portability.database import models
from portability.database.engine import reading, writing
from portability.requests import slices


def rows(made: World, export_id: str, *columns: str) -> list[tuple[Any, ...]]:
    with reading(made.engine) as connection:
        return [tuple(row[name] for name in columns) for row in slices.of(connection, export_id)]


def test_a_new_slice_has_no_attempt_and_no_fence(made: World) -> None:
    """Number 0 plans the export; further slices follow it without a gap, each with one reading, and are large.

    Positions in rows of this release have format version 2.
    """
    person, contact = made.request(), made.request("contact:con_1", tenant="ten_a")
    with writing(made.engine) as connection:
        slices.open_more(connection, contact, [{"ordinal": 0}, {"ordinal": 1}])
        slices.open_more(connection, contact, [{"ordinal": 2}])
    assert rows(made, contact, "version") == [(2,)] * 4
    columns = ("number", "tenant", "state", "attempts", "fence", "large", "readings")
    assert rows(made, person, *columns) == [(0, "", "open", 0, 0, False, None)]
    assert rows(made, contact, *columns) == [
        (0, "ten_a", "open", 0, 0, False, None),
        *((number, "ten_a", "open", 0, 0, True, [{"ordinal": number - 1}]) for number in (1, 2, 3)),
    ]


def test_an_export_that_waits_cannot_be_claimed(made: World) -> None:
    """Its slice cannot be claimed until it is released; what has ended stays ended, and others are not stopped."""
    stopped, other = made.request(), made.request("user:usr_2")
    with writing(made.engine) as connection:
        slices.open_more(connection, stopped, [{"ordinal": 0}])
        connection.execute(update(models.slice).where(models.slice.c.number == 1).values(state="done"))
        slices.hold(connection, stopped)
    assert (rows(made, stopped, "state"), rows(made, other, "state")) == ([("waiting",), ("done",)], [("open",)])
    with writing(made.engine) as connection:
        slices.hold(connection, other)
        slices.let_go(connection, stopped)
    assert (rows(made, stopped, "state"), rows(made, other, "state")) == ([("open",), ("done",)], [("waiting",)])


def test_the_first_slice_closes_once_the_others_are_read(made: World) -> None:
    """Only if it was waiting for them; the answer says whether it was."""
    export_id = made.request()
    with writing(made.engine) as connection:
        slices.open_more(connection, export_id, [{"ordinal": 0}])
        connection.execute(update(models.slice).values(state="waiting"))
        assert slices.let_close(connection, export_id)
        assert not slices.let_close(connection, export_id)
    assert rows(made, export_id, "number", "state") == [(0, "open"), (1, "waiting")]


@pytest.mark.parametrize(
    ("progress", "found"),
    [
        ([None, {"records": 3}], None),
        ([None, {"waits_for": "crm"}], ("crm", None)),
        ([{"waits_for": "crm", "code": "source_stalled"}, {"waits_for": "calls"}], ("crm", "source_stalled")),
    ],
)
def test_the_view_names_the_source_for_which_a_volume_waits(
    progress: list[Mapping[str, Any] | None], found: tuple[str, str | None] | None
) -> None:
    """The first of several, with the code of its last fault if it had any."""
    parts: Any = [{"progress": each} for each in progress]
    assert slices.waits_for(parts) == found


def test_a_restarted_slice_keeps_counting_its_claims(made: World) -> None:
    """A worker of before the restart has a smaller fence, and its token is no longer that of the row."""
    identifier = made.request()
    held = made.claim()
    assert held is not None
    assert rows(made, identifier, "fence", "token") == [(1, held.token)]
    with writing(made.engine) as connection:
        slices.reopen_first(connection, identifier, None)
    assert rows(made, identifier, "fence", "token") == [(2, None)]

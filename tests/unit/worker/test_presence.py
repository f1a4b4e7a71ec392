"""A subject that no source knows: nothing is answered before a person has decided, and an outage is not an answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from archives import export_json
from factories import CutExporter, MadeUpExporter, World, things, world, world_of
from sqlalchemy import select

from portability.api import Subject
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.database import models
from portability.database.engine import reading, writing
from portability.requests import approvals
from portability.requests.policy import Actor

OFFICER = Actor("officer", "olga")


@dataclass
class KnowingSource(MadeUpExporter):
    """A source that says whom it knows."""

    says: bool | Exception | None = False

    def knows(self, _subject: Subject) -> bool | None:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def messages(made: World, identifier: str) -> list[str]:
    table = models.notification
    with reading(made.engine) as connection:
        query = select(table.c.kind).where(table.c.export_id == identifier).order_by(table.c.created_at, table.c.id)
        return [*connection.scalars(query)]


def test_an_unknown_subject_waits_for_a_person(tmp_path: Path) -> None:
    """No archive, no volume: the question names its cause, and the deadline counts on."""
    made = world_of(tmp_path, KnowingSource([]))
    identifier = made.request("user:usr_mistyped")
    made.advance_all()
    view = made.view(identifier)
    assert (view["state"], view["review"], view["volumes"]) == ("review", ["not_found"], [])
    assert (view["outcome"], made.stored_keys()) == (None, [])


@pytest.mark.slow
def test_a_person_may_answer_that_nothing_was_found(tmp_path: Path) -> None:
    """Approved, the archive says that no source knows the subject: it is not complete, and not "nothing stored"."""
    made = world_of(tmp_path, KnowingSource([]))
    identifier = made.request("user:usr_mistyped")
    made.advance_all()
    with writing(made.engine) as connection:
        approvals.approve(connection, identifier, actor=OFFICER)
    made.advance_all()
    document, view = export_json(made.fetch(identifier)), made.view(identifier)
    assert document["outcome"] == view["outcome"] == {"own": "not_found", "processor": "none"}
    assert (document["complete"], document["no_data_held"], view["complete"]) == (False, False, False)


def test_a_person_may_refuse_with_a_letter_of_its_own(tmp_path: Path) -> None:
    """The letter says that no data was found, which a refusal does not say."""
    made = world_of(tmp_path, KnowingSource([]))
    identifier = made.request("user:usr_mistyped")
    made.advance_all()
    with writing(made.engine) as connection:
        approvals.deny(connection, identifier, reason="No such account.", actor=OFFICER, basis="not_found")
    assert made.view(identifier)["state"] == "denied"
    assert messages(made, identifier)[-1] == "not_found"


def test_a_source_with_records_is_not_asked(tmp_path: Path) -> None:
    """The counts show a record: no source has to say whether it knows the subject, and its fault costs nothing."""
    refused = KnowingSource([], says=AssertionError("it was asked"))
    made = world(tmp_path, {"register": refused, "made": MadeUpExporter(things(2))})
    identifier = made.request()
    made.advance_all()
    assert (made.view(identifier)["state"], made.view(identifier)["complete"]) == ("ready", True)


def test_records_are_an_answer_without_an_account(tmp_path: Path) -> None:
    """An account that is gone, with rows that are still stored: they are delivered."""
    made = world(tmp_path, {"register": KnowingSource([]), "made": MadeUpExporter(things(2))})
    identifier = made.request()
    made.advance_all()
    assert made.view(identifier)["outcome"] == {"own": "complete", "processor": "none"}


def test_counted_records_need_no_probe(tmp_path: Path) -> None:
    """An exporter that counts is not read to find out."""
    made = world(tmp_path, {"register": KnowingSource([]), "made": CutExporter(things(2))})
    identifier = made.request()
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"


@pytest.mark.parametrize("says", [True, None])
def test_a_known_subject_without_records_is_answered(tmp_path: Path, says: bool | None) -> None:
    """Nothing is stored about a subject that is known, or where no source can tell."""
    made = world_of(tmp_path, KnowingSource([], says=says))
    identifier = made.request()
    made.advance_all()
    assert made.view(identifier)["outcome"] == {"own": "nothing_held", "processor": "none"}


@pytest.mark.parametrize("error", [SourceUnavailable("away"), SourceRefused("401"), ValueError("x")])
def test_an_outage_is_not_an_answer(tmp_path: Path, error: Exception) -> None:
    """Without an answer nothing is decided: the export never becomes ready, and never asks about an unknown subject."""
    made = world(tmp_path, {"a": KnowingSource([], says=error), "b": KnowingSource([])}, attempts_max=1)
    identifier = made.request()
    made.advance_all(most=20)
    view = made.view(identifier)
    assert (view["state"], view["review"], view["volumes"]) == ("failed", [], [])
    assert view["error"]["code"] in {"source_unavailable", "source_refused", "exporter_fault"}


def test_a_source_that_knows_the_subject_outweighs_an_outage(tmp_path: Path) -> None:
    """A failing plug-in costs its own datasets, not the answer."""
    made = world(tmp_path, {"a": KnowingSource([], says=SourceUnavailable("away")), "b": KnowingSource([], says=True)})
    identifier = made.request()
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"

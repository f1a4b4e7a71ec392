"""Recipients of the reference platform: the notice and the table of the processing trail agree, on both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platform_data as platform
import pytest
from archives import members
from factories import World, world
from sqlalchemy import Engine, insert

from exporters.reference import schema
from portability.database.engine import writing
from portability.requests import instructions

TRAIL: tuple[tuple[str, str | None, int], ...] = (
    ("usr_1", "Court of Bremen", 3),
    ("usr_1", None, 4),
    ("usr_1", "Parcel Service Ltd.", 9),
    ("usr_1", "Court of Bremen", 1),
    ("usr_2", "Bank of another person", 2),
)
"""User, recipient, and day of May 2024."""


@pytest.fixture
def trailed(either: Engine, tmp_path: Path) -> World:
    """A deployment on a platform whose trails name recipients."""
    with either.begin() as connection:
        for number, (user, recipient, day) in enumerate(TRAIL):
            at = datetime(2024, 5, day, 12, tzinfo=UTC)
            row = {"operation": "disclose", "recipient": recipient, "occurred_at": at, "created_at": at}
            connection.execute(insert(schema.processing_trail).values(id=f"named_{number}", user_id=user, **row))
            of = {"tenant_id": "ten_a", "contact_id": "con_1" if user == "usr_1" else "con_9"}
            connection.execute(insert(schema.contact_trail).values(id=f"named_{number}", **of, **row))
    return world(tmp_path / "made", platform.exporters(either))


def disclosures(made: World, subject: str, **asked: Any) -> dict[str, list[tuple[str, int, str, str]]]:
    """What the notice of a new export lists, by dataset, without rows that the platform had before."""
    identifier = made.request(subject, include=["trail"], **asked)
    made.advance_all()
    (notice,) = [json.loads(body) for name, body in members(made.fetch(identifier)) if name == "notice.json"]
    return {
        line["dataset"]: [
            (one["name"], one["records"], one["first"], one["last"])
            for one in line["recipients"]
            if one["first"].startswith("2024-05")
        ]
        for line in notice["disclosures"]
    }


COURT, PARCELS = (
    ("Court of Bremen", 2, "2024-05-01", "2024-05-03"),
    ("Parcel Service Ltd.", 1, "2024-05-09", "2024-05-09"),
)
BANK = ("Bank of another person", 1, "2024-05-02", "2024-05-02")


@pytest.mark.requirement("R25")
def test_a_user_reads_who_received_their_data(trailed: World) -> None:
    """Those that the own rows name, and none of another user."""
    assert disclosures(trailed, "user:usr_1")["processing_trail"] == [COURT, PARCELS]


@pytest.mark.requirement("R25", "R26")
def test_a_contact_reads_it_under_an_instruction(trailed: World) -> None:
    """The company decides over its contacts' trail: without its instruction the notice has no names."""
    assert disclosures(trailed, "contact:con_1", tenant="ten_a")["contact_trail"] == []
    with writing(trailed.engine) as connection:
        instructions.add(connection, "ten_a", contact_id=None, exporters=None, actor="operator:test")
    assert disclosures(trailed, "contact:con_1", tenant="ten_a")["contact_trail"] == [COURT, PARCELS]


def test_a_company_reads_it_of_all_its_contacts(trailed: World) -> None:
    """A switch has the trail of every contact."""
    assert disclosures(trailed, "tenant:ten_a", profile="switch")["contact_trail"] == [BANK, COURT, PARCELS]

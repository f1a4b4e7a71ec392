"""Ids that a deployment makes: they cannot be guessed, and they say nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from factories import World
from sqlalchemy import select

from portability.api import Identity
from portability.database import models
from portability.database.engine import writing
from portability.people import pseudonyms, subjects
from portability.requests import approvals, exports, instructions, mandates, referrals, reviews
from portability.requests.approvals import Cause
from portability.requests.policy import Actor
from worker.claim import fenced_writes

BY_TEST: dict[str, Any] = {"actor": "operator:test"}


def test_ids_of_records_have_eighty_random_bits(made: World) -> None:
    """The letters before them say what the record is; an export has 120 bits in base 32, because its id is in links."""
    export_id = made.request()
    until = datetime(2099, 1, 1, tzinfo=UTC)
    granted: dict[str, Any] = {"agent": "subject:usr_2", "subject": "user:usr_1", "tenant": None, "issuer": "notary 7"}
    with writing(made.engine) as connection:
        export = exports.get(connection, export_id)
        found: list[Any] = [
            instructions.add(connection, "ten_a", contact_id=None, exporters=None, **BY_TEST),
            mandates.add(connection, **granted, profiles=["access"], expires_at=until, **BY_TEST),
        ]
        reviews.note(connection, export, [(Identity("calls", "call", "c", verified=False), "calls/calls")])
        referrals.note(connection, made.place.settings, export, {"ten_a": ["con_1"]})
        approvals.ask(connection, export_id, [Cause.SWITCH], actor=Actor("operator", "test"))
        found += [connection.scalar(select(table.c.id)) for table in (models.review, models.referral, models.approval)]
    assert [re.sub("[0-9a-f]{20}$", "", text) for text in found] == ["ins_", "man_", "rev_", "ref_", "apr_"]
    assert re.fullmatch("[a-z2-7]{24}", export_id)


def test_a_pseudonym_has_130_random_bits_and_its_key_256(made: World) -> None:
    """26 characters of base 32 for the subject of a request; 32 bytes for the people in an archive."""
    export_id = made.request()
    assert made.claim()
    with writing(made.engine) as connection:
        ref = subjects.pairwise_ref(connection, "user", "usr_1", None)
        pseudonyms.numbers(connection, export_id, "person", ["x"])
        key = exports.get(connection, export_id)["pseudonym_key"]
    assert re.fullmatch("sub_[a-z2-7]{26}", ref)
    assert re.fullmatch("[0-9a-f]{64}", key)


def test_ids_of_volumes_are_random(made: World) -> None:
    """62 bits: two databases that have parted never give the same id, as a sequence would that both continue."""
    made.request()
    held = made.claim()
    assert held is not None
    with writing(made.engine) as connection:
        begun = [
            fenced_writes.reserve_volume(connection, held, None, lambda number: (f"a/{number}.zip", f"a-{number:03}"))
            for _ in range(8)
        ]
    ids = [row["id"] for row in begun]
    assert len(set(ids)) == 8
    assert all(0 < identifier <= 2**62 for identifier in ids)
    assert max(ids) > 2**50
    assert [row["number"] for row in begun] == [1, 2, 3, 4, 5, 6, 7, 8]

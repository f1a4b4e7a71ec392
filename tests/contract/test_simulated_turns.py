"""The simulation's order of claims is the product's: after the same events both claim the same slice, each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import pytest
from claiming import claim_next
from factories import World
from sqlalchemy import Connection, Table, select, update

from bench.simulation.turns import SimulatedSlice, SimulatedTurns, WaitingExport, YieldKind
from portability.api.errors import StorageUnavailable
from portability.database import models
from portability.database.engine import writing
from portability.requests import slices
from portability.requests.states import ExportState
from worker.claim import fenced_writes
from worker.claim.claims import Claim
from worker.plan.position import Reading

SLICE, TURN = models.slice, models.turn
EVENTS, VOLUMES_MAX, LEASE_SECONDS = 60, 2, 60
STEP_SECONDS = 97
"""How far time moves at once: no sum of such steps is close to a limit of the rules, 60 or 600 seconds."""
REST_SECONDS = 170
EVENT_SECONDS = 0.001
"""Between two events: the times of a database differ, too."""
SEEDS = [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.system) for seed in range(3, 12))]


@dataclass
class BothOrders:
    """A control database and the simulation's order, to which the same happens."""

    made: World
    turns: SimulatedTurns
    at: float = 0.0
    parts: dict[tuple[str, int], SimulatedSlice] = field(default_factory=dict)
    held: list[tuple[Claim, float]] = field(default_factory=list)
    """Claims, and when their leases end."""
    resting: list[tuple[float, SimulatedSlice]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def request(self, chance: Random) -> None:
        """A person with an account, sometimes with a request that is still open, or a contact of a tenant."""
        tenant = chance.choice((None, "ten_a", "ten_b", "ten_c"))
        subject = f"user:usr_{chance.randrange(4)}" if tenant is None else f"contact:con_{chance.randrange(90)}"
        day = f"2026-01-{chance.randrange(1, 28):02}"
        identifier = self.made.request(subject, tenant=tenant, since=day)
        if (identifier, 0) in self.parts:
            return  # the same request twice is one export
        with writing(self.made.engine) as connection:
            is_further = slices.of(connection, identifier)[0]["further"]
        self.seen["further"] += is_further
        export = WaitingExport(identifier, slices.group(tenant))
        self._open(export, 0, YieldKind.FURTHER if is_further else YieldKind.NO)

    def _open(self, export: WaitingExport, number: int, yielding: YieldKind) -> None:
        part = SimulatedSlice(export, number, self.at, yielding)
        export.parts.append(part)
        self.parts[export.id, number] = part
        self.turns.offer(part)

    def claim(self, chance: Random) -> None:
        small_only = chance.random() < 0.3
        claim = claim_next(
            self.made.engine, "test", LEASE_SECONDS, tenant_volumes_max=VOLUMES_MAX, small_only=small_only
        )
        part = self.turns.claim(self.at, small_only=small_only)
        expected = None if part is None else (part.export.id, part.number)
        assert (claim and (claim.id, claim.number)) == expected
        self.seen["nothing" if claim is None else "claimed"] += 1
        if claim is not None:
            self.held.append((claim, self.at + LEASE_SECONDS))

    def give_back(self, chance: Random) -> None:
        """The worker of a claim plans slices, ends a volume, fails, or has ended the slice."""
        if not self.held:
            return
        claim, _ends_at = self.held.pop(chance.randrange(len(self.held)))
        part = self.parts[claim.id, claim.number]
        what = chance.choice(("cut", "volume", "failed", "slice"))
        if claim.export["state"] == ExportState.CLOSING:
            what = "closing"
        elif what == "cut" and len(part.export.parts) > 1:
            what = "volume"
        self.seen[what] += 1
        with writing(self.made.engine) as connection:
            getattr(self, f"_{what}")(connection, claim, part)
        self.turns.release(part)

    def _cut(self, connection: Connection, claim: Claim, part: SimulatedSlice) -> None:
        fenced_writes.lock(connection, claim, large=True)
        slices.open_more(connection, claim.id, [Reading(0).to_json(), Reading(1).to_json()])
        fenced_writes.write_export(connection, claim, open_slices=2)
        fenced_writes.release(connection, claim, attempts=0)
        for number in (1, 2):
            self._open(part.export, number, YieldKind.LARGE)
        part.yielding = YieldKind.LARGE
        self.turns.offer(part)

    def _volume(self, connection: Connection, claim: Claim, part: SimulatedSlice) -> None:
        fenced_writes.lock(connection, claim)
        fenced_writes.settle(connection, claim, large=True)
        part.yielding = YieldKind.LARGE
        self.turns.offer(part)

    def _failed(self, connection: Connection, claim: Claim, part: SimulatedSlice) -> None:
        fenced_writes.back_off(connection, claim, REST_SECONDS, StorageUnavailable("away"))
        self.resting.append((self.at + REST_SECONDS, part))

    def _slice(self, connection: Connection, claim: Claim, part: SimulatedSlice) -> None:
        fenced_writes.lock(connection, claim)
        if fenced_writes.end_slice(connection, claim):
            self.turns.offer(part.export.parts[0])

    def _closing(self, connection: Connection, claim: Claim, _part: SimulatedSlice) -> None:
        fenced_writes.end(connection, claim, ExportState.READY)

    def wait(self, _chance: Random) -> None:
        """Time passes: each moment in the database lies further back. Leases end, and what rested does not any more."""
        self.at += STEP_SECONDS
        self._move(SLICE, ("created_at", "claimed_at", "lease_until", "not_before"))
        self._move(TURN, ("served_at",))
        for claim, ends_at in self.held:
            if ends_at < self.at:
                self.turns.release(part := self.parts[claim.id, claim.number])
                self.turns.offer(part)
                self.seen["died"] += 1
        self.held = [held for held in self.held if held[1] >= self.at]
        for ends_at, part in self.resting:
            if ends_at <= self.at:
                self.turns.offer(part)
        self.resting = [rest for rest in self.resting if rest[0] > self.at]

    def _move(self, table: Table, names: Sequence[str]) -> None:
        with writing(self.made.engine) as connection:
            keys = [*table.primary_key.columns]
            for row in connection.execute(select(table)).mappings().all():
                same = [key == row[key.name] for key in keys]
                moved = {name: row[name] - timedelta(seconds=STEP_SECONDS) for name in names if row[name] is not None}
                if moved:
                    connection.execute(update(table).where(*same).values(**moved))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_simulation_claims_what_the_product_claims(made: World, seed: int) -> None:
    """Requests, cuts, volumes, failures, dead workers, waiting: after any of them both claim the same slice next."""
    chance, both = Random(seed), BothOrders(made, SimulatedTurns(VOLUMES_MAX))
    events = (both.request, both.request, both.claim, both.claim, both.claim, both.give_back, both.give_back, both.wait)
    for _ in range(EVENTS):
        chance.choice(events)(chance)
        both.at += EVENT_SECONDS
    for _ in range(EVENTS):
        both.claim(chance)
        both.at += EVENT_SECONDS
    assert both.seen["claimed"] >= 10
    assert both.seen["nothing"] >= 1

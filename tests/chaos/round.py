"""A round: one seed's faults, each at its moment, until all its exports have ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from chaos import faults, oracle, rows
from chaos.recovery import Recoveries
from chaos.report import Outcome
from chaos.schedule import Plan, Planned
from chaos.stack import ChaosStack
from portability.api.errors import ForeignStore, ObjectMissing, StorageError
from portability.database.engine import writing
from portability.errors import DatabaseUnavailable
from portability.requests import retries
from worker.clock import sweep

STUCK_SECONDS = 60.0
TICK_SECONDS = 0.03
MORE_REQUESTS_MAX = 6
ACTOR = "operator:chaos"


class Deployed(Protocol):
    """What a round needs of the whole (chaos.run.Chaos)."""

    stack: ChaosStack
    tenant: str
    objects: oracle.Objects
    promised: set[str]

    @property
    def kinds(self) -> Mapping[str, faults.Harm]: ...

    @property
    def moves(self) -> Mapping[str, faults.Harm]: ...

    @property
    def subjects(self) -> tuple[str, ...]: ...

    def ask(self, subject: str) -> str: ...


@dataclass
class Round:
    """A seed under way."""

    chaos: Deployed
    plan: Plan
    outcome: Outcome
    accepted: dict[str, str]
    pending: list[Planned] = field(default_factory=list)
    recoveries: Recoveries = field(default_factory=Recoveries)
    chance: Random = field(default_factory=Random)
    last_event: float = 0
    accepted_at: dict[str, float] = field(default_factory=dict)
    swept: bool = False
    """Whether a sweep has looked for the objects that were taken away."""

    def run(self) -> None:
        """Do every fault at its moment, and wait until all exports have ended."""
        stack = self.chaos.stack
        self.pending, self.last_event = list(self.plan.faults), time.monotonic()
        self.accepted_at = dict.fromkeys(self.accepted, time.monotonic())
        self.chance.seed(f"harm {self.plan.seed}")
        while not self._step():
            time.sleep(TICK_SECONDS)
        never = [planned.kind for planned in self.pending] + ["of HTTP"] * faults.unmet(stack) + stack.happened.missed
        if never:
            self.outcome.problems.append(f"missed: {', '.join(never)}")
        self.outcome.recoveries = self.recoveries.done
        self.outcome.counts += stack.happened.counts
        self.outcome.problems += stack.happened.wrong
        self.outcome.problems += [
            f"late: a slice lay still for {one.seconds:.1f} s after {one.kind}, {one.allowed_seconds:.1f} s are allowed"
            for one in self.recoveries.done
            if one.seconds > one.allowed_seconds
        ]

    def _step(self) -> bool:
        """Check the state once; returns whether the round is over."""
        stack = self.chaos.stack
        stack.mend()
        if stack.undo:
            self.last_event = time.monotonic()
        with suppress(StorageError):
            self.chaos.objects.watch(stack)
        self._notice_moves()
        look = rows.look(stack.engine, list(self.accepted))
        if look is not None:
            self.forget_lost(look.known)
            self.recoveries.see(look)
            self._ask_wanted(look)
            if self.pending and look.open and look.stored >= self.pending[0].after_volumes:
                self._harm(look)
            if not look.open and not stack.undo and self._is_over(look):
                return True
        if time.monotonic() > self.last_event + STUCK_SECONDS:
            self.outcome.problems.append(f"stuck: {sorted(look.open) if look else 'the database is away'}")
            return True
        return False

    def _is_over(self, look: rows.Look) -> bool:
        """Nothing is open; returns whether nothing more is to be done either."""
        if self.pending or faults.unmet(self.chaos.stack):
            # The exports ended before all faults were done: request one more.
            if len(self.accepted) > MORE_REQUESTS_MAX:
                return True
            self._accept(self.chaos.tenant)
            return False
        return not self._retry_missing(look)

    def _harm(self, look: rows.Look) -> None:
        """Cause the next fault; if it is not possible now, such as without a child to kill, it waits."""
        kind = self.pending[0].kind
        harm = self.chaos.moves.get(kind) or self.chaos.kinds[kind]
        hit = harm(self.chaos.stack, look, self.chance)
        if hit is not None:
            self.recoveries.hit(kind, hit, look)
            self.outcome.injected.append(kind)
            self.pending.pop(0)
            self.last_event = time.monotonic()

    def _accept(self, subject: str) -> None:
        with suppress(DatabaseUnavailable):
            identifier = self.chaos.ask(subject)
            self.accepted[identifier], self.accepted_at[identifier] = subject, time.monotonic()

    def _ask_wanted(self, look: rows.Look) -> None:
        """Accept a request just before a server is replaced."""
        happened = self.chaos.stack.happened
        if happened.requests_wanted:
            happened.requests_wanted -= 1
            taken = {self.accepted[identifier] for identifier in look.open}
            free = [subject for subject in self.chaos.subjects if subject not in taken]
            if free:
                self._accept(self.chance.choice(free))

    def _notice_moves(self) -> None:
        moves = self.chaos.stack.happened.moves
        while moves:
            self.recoveries.moved(*moves.pop(0))
            self.last_event = time.monotonic()

    def forget_lost(self, known: frozenset[str]) -> None:
        """Requests that were accepted in a history that was lost are counted, and not expected any more.

        `known` are the exports that have a row.
        """
        for identifier in self.accepted.keys() - known:
            at = self.accepted_at[identifier]
            if any(since < at < until for since, until in self.chaos.stack.happened.cuts):
                del self.accepted[identifier]
                self.outcome.lost_with_commits += 1
                if identifier in self.chaos.promised:
                    self.outcome.problems.append(f"lost: {identifier} was accepted, and lost with commits")

    def _retry_missing(self, look: rows.Look) -> bool:
        """Retry what failed because an object was taken away; returns whether there was anything to do."""
        stack = self.chaos.stack
        taken = stack.happened.taken
        if taken and not self.swept:
            self.swept = True
            with suppress(ForeignStore):  # what was taken is most of what there is: then the closing has noticed it
                sweep.sweep(stack.engine, stack.storage, actor=ACTOR)
            return True
        failed = [identifier for identifier in taken if look.failed.get(identifier) == ObjectMissing.code]
        for identifier in failed:
            with writing(stack.engine) as connection:
                retries.retry(connection, identifier, actor=ACTOR)
            taken.discard(identifier)
            stack.happened.counts["exports retried after an object was lost"] += 1
        if failed:
            self.last_event, self.swept = time.monotonic(), False
        return bool(failed)

"""`python -m chaos.run`: seeds of faults on one stack, each judged at its end (docs/chaos.md)."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import get_args

from chaos import faults, oracle, report, rows, schedule
from chaos.contents import Contents, of
from chaos.recovery import Recoveries
from chaos.report import Outcome
from chaos.schedule import Plan, Planned
from chaos.stack import FORMS, ChaosStack, Form, running
from demo.plan import SeedPlan
from demo.seed import seed as make_up
from portability.api.errors import StorageError
from portability.database.engine import writing
from portability.errors import QueueUnavailable
from portability.queue import connect, open_queue, wake
from portability.requests import acceptance, instructions
from portability.storage import open_storage

PLATFORM = SeedPlan(
    tenants=1, users=3, contacts=8, calls=80, chats=80, events=300, recordings=20, recording_seconds=(1, 3)
)
ACTOR = "operator:chaos"
STUCK_SECONDS = 60.0
LEARN_SECONDS = 300.0
TICK_SECONDS = 0.03
MORE_REQUESTS_MAX = 6


@dataclass
class Chaos:
    """A running stack, its platform, and what undisturbed archives of it hold."""

    stack: ChaosStack
    tenant: str
    requests: Mapping[str, acceptance.Request]
    """By subject."""
    reference: dict[str, Contents] = field(default_factory=dict)
    volumes: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    """Of the archives."""
    objects: oracle.Objects = field(default_factory=oracle.Objects)

    @property
    def kinds(self) -> Mapping[str, faults.Harm]:
        return faults.kinds(self.stack.form, has_disk=self.stack.disk is not None)

    def ask(self, subject: str) -> str:
        """Accept a request as the command line does; a Redis that is down is the clock's business."""
        with writing(self.stack.engine) as connection:
            identifier, is_new = acceptance.accept(connection, self.requests[subject], actor=ACTOR)
        assert is_new, "two exports of one subject at the same time"
        if not self.stack.undo:
            with suppress(QueueUnavailable):
                wake(open_queue(connect(self.stack.valkey.url)), identifier)
        return identifier

    def play(self, seed: int) -> Outcome:
        """One seed: its requests, its faults, and the judgement."""
        began_at = time.monotonic()
        plan = schedule.plan(seed, sorted(self.kinds), self.volumes, self.tenant)
        outcome = Outcome(self.stack.form, seed)
        accepted = {self.ask(subject): subject for subject in plan.subjects}
        _Round(self, plan, outcome, accepted).run()
        faults.end(self.stack)
        problems, outcome.young = oracle.judge(self.stack, accepted, self.reference)
        self.objects.watch(self.stack, now=True)
        outcome.problems += problems
        outcome.problems += [f"doubled: the object {key} was overwritten" for key in self.objects.changed]
        self.forget(accepted)
        outcome.exports, outcome.seconds = len(accepted), time.monotonic() - began_at
        return outcome

    def learn(self) -> None:
        """Export every subject undisturbed: what its archive holds, and in how many volumes."""
        accepted = {self.ask(subject): subject for subject in self.requests}
        deadline = time.monotonic() + LEARN_SECONDS
        while (look := rows.look(self.stack.engine, list(accepted))) is None or look.open:
            assert time.monotonic() < deadline, "undisturbed exports do not end"
            self.stack.mend()
            time.sleep(TICK_SECONDS)
        problems, _ = oracle.judge(self.stack, accepted, {})
        assert not problems, problems
        for identifier, subject in accepted.items():
            paths = oracle.archive(self.stack, identifier)
            self.reference[subject], self.volumes[subject] = of(paths), len(paths)
            self.bytes[subject] = sum(path.stat().st_size for path in paths)
        self.forget(accepted)

    def forget(self, accepted: Mapping[str, str]) -> None:
        """Delete what was judged: rows, objects, copies."""
        rows.forget(self.stack.engine, list(accepted))
        for identifier in accepted:
            for found in list(self.stack.storage.list(f"{identifier}/")):
                self.stack.storage.delete(found.key)
        shutil.rmtree(self.stack.deployment.folder / "judged", ignore_errors=True)
        self.objects.changed.clear()


@dataclass
class _Round:
    """A seed under way."""

    chaos: Chaos
    plan: Plan
    outcome: Outcome
    accepted: dict[str, str]
    pending: list[Planned] = field(default_factory=list)
    recoveries: Recoveries = field(default_factory=Recoveries)
    chance: Random = field(default_factory=Random)
    last_event: float = 0

    def run(self) -> None:
        """Do every fault at its moment, and wait until all exports have ended."""
        self.pending, self.last_event = list(self.plan.faults), time.monotonic()
        self.chance.seed(f"harm {self.plan.seed}")
        while not self._step():
            time.sleep(TICK_SECONDS)
        if never := [planned.kind for planned in self.pending] + ["of HTTP"] * faults.unmet(self.chaos.stack):
            self.outcome.problems.append(f"missed: {', '.join(never)}")
        self.outcome.recoveries = self.recoveries.done
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
        look = rows.look(stack.engine, list(self.accepted))
        if look is not None:
            self.recoveries.see(look)
            if self.pending and look.open and look.stored >= self.pending[0].after_volumes:
                self._harm(look)
            if not look.open and not stack.undo:
                if not self.pending and not faults.unmet(stack):
                    return True
                # The exports ended before all faults were done: request one more.
                if len(self.accepted) <= MORE_REQUESTS_MAX:
                    self.accepted[self.chaos.ask(self.chaos.tenant)] = self.chaos.tenant
                else:
                    return True
        if time.monotonic() > self.last_event + STUCK_SECONDS:
            self.outcome.problems.append(f"stuck: {sorted(look.open) if look else 'the database is away'}")
            return True
        return False

    def _harm(self, look: rows.Look) -> None:
        """Cause the next fault; if it is not possible now, such as without a child to kill, it waits."""
        kind = self.pending[0].kind
        hit = self.chaos.kinds[kind](self.chaos.stack, look, self.chance)
        if hit is not None:
            self.recoveries.hit(kind, hit, look)
            self.outcome.injected.append(kind)
            self.pending.pop(0)
            self.last_event = time.monotonic()


@contextmanager
def chaos(form: Form, folder: Path, platform: SeedPlan = PLATFORM, **settings: str) -> Iterator[Chaos]:
    """The stack with a platform whose subjects have been exported once, undisturbed."""
    with running(form, folder, **settings) as stack:
        source, recordings = (stack.deployment.settings[name] for name in ("SOURCE_URL", "RECORDINGS_URL"))
        examples = make_up(source, open_storage(recordings), platform).examples
        with writing(stack.engine) as connection:
            instructions.add(connection, examples.contact_tenant, contact_id=None, exporters=None, actor=ACTOR)
        asked = {
            "tenant": acceptance.check(profile="switch", subject=f"tenant:{examples.tenant}"),
            "user": acceptance.check(profile="access", subject=f"user:{examples.user}"),
            "contact": acceptance.check(
                profile="access", subject=f"contact:{examples.contact}", tenant=examples.contact_tenant
            ),
            "portable": acceptance.check(profile="portability", subject=f"user:{examples.user}"),
        }
        made = Chaos(stack, "tenant", asked)
        made.learn()
        yield made


def main() -> int:
    """Run seeds as the options say; 1 where anything was wrong."""
    parser = argparse.ArgumentParser(prog="chaos.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--stack", choices=get_args(Form), default=FORMS[0])
    parser.add_argument("--json", action="store_true", help="print a document instead of lines")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    outcomes: list[Outcome] = []
    with chaos(options.stack, folder / "stack") as made:
        if options.stack == "embedded" and made.stack.disk is None:
            print("disk_full is left out: its small tmpfs takes root to mount", file=sys.stderr)  # noqa: T201  # a command
        for seed in range(options.seed, options.seed + options.seeds):
            outcomes.append(made.play(seed))
            print(outcomes[-1].line(), file=sys.stderr if options.json else sys.stdout, flush=True)
    output = json.dumps(report.document(outcomes), indent=2) if options.json else f"\n{report.table(outcomes)}"
    print(output)  # noqa: T201  # as above
    if all(outcome.ok for outcome in outcomes):
        shutil.rmtree(folder)
        return 0
    wrong = next(outcome for outcome in outcomes if not outcome.ok)
    again = f"make chaos SEEDS=1 SEED={wrong.seed} STACK={wrong.form}"
    print(f"logs: {folder}/stack/processes.log; again: {again}", file=sys.stderr)  # noqa: T201  # as above
    return 1


if __name__ == "__main__":
    sys.exit(main())

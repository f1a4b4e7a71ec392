"""`python -m chaos.run`: seeds of faults on one stack, each judged at its end (docs/chaos.md)."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import get_args

from chaos import faults, kinds, oracle, platform_changes, report, rows, schedule, source
from chaos.clusters import Happened
from chaos.contents import Contents, of
from chaos.report import Outcome
from chaos.round import TICK_SECONDS, Round
from chaos.stack import FORMS, SETTINGS, ChaosStack, Form, running
from demo.plan import SeedPlan
from demo.seed import seed as make_up
from portability.database.engine import writing
from portability.database.history import DatabaseBehind
from portability.database.noted import noting
from portability.errors import QueueUnavailable
from portability.journal.shipping import Journal
from portability.queue import connect, open_queue, wake
from portability.requests import acceptance, instructions
from portability.requests.policy import Actor
from portability.storage import open_storage

PLATFORM = SeedPlan(
    tenants=1, users=3, contacts=8, calls=80, chats=80, events=300, recordings=20, recording_seconds=(1, 3)
)
SMALL_PLATFORM = SeedPlan(
    tenants=1,
    users=1,
    contacts=3,
    calls=20,
    chats=20,
    events=40,
    recordings=2,
    recording_seconds=(1, 1),
    hostile_share=0,
)
"""Of the cluster, with smaller volumes."""
ACTOR = "operator:chaos"
LEARN_SECONDS = 300.0


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
    promised: set[str] = field(default_factory=set)
    """Exports whose request is in the journal."""
    objects: oracle.Objects = field(default_factory=oracle.Objects)

    @property
    def kinds(self) -> Mapping[str, faults.Harm]:
        return kinds.kinds(self.stack.form, has_disk=self.stack.disk is not None)

    @property
    def moves(self) -> Mapping[str, faults.Harm]:
        return kinds.moves(self.stack.form)

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(sorted(self.requests))

    @property
    def there(self) -> Mapping[str, source.Rows]:
        """The rows of the company, as the platform has them now."""
        subject_id = self.requests[self.tenant].subject_id
        return {self.tenant: source.rows_of(self.stack.source_url, subject_id)}

    @cached_property
    def journal(self) -> Journal:
        """The journal of the process that accepts requests."""
        folder = self.stack.deployment.folder / "keys"
        return Journal(self.stack.engine, lambda: self.stack.storage, folder, SETTINGS["ISSUER"])

    def ask(self, subject: str) -> str:
        """Accept a request as the command line does, and wait for the journal; the clock wakes if Redis is down."""
        with noting() as events, writing(self.stack.engine) as connection:
            identifier, is_new = acceptance.accept(connection, self.requests[subject], actor=Actor("operator", "chaos"))
        assert is_new, "two exports of one subject at the same time"
        with suppress(DatabaseBehind):
            if self.journal.flush(events):
                self.promised.add(identifier)
        if not self.stack.undo:
            with suppress(QueueUnavailable):
                wake(open_queue(connect(self.stack.valkey.url)), identifier)
        return identifier

    def play(self, seed: int) -> Outcome:
        """One seed: its requests, its faults, and the judgement."""
        began_at = time.monotonic()
        plan = schedule.plan(seed, sorted(self.kinds), self.volumes, self.tenant, moves=sorted(self.moves))
        outcome = Outcome(self.stack.form, seed)
        if self.stack.databases and self.stack.connect_by(pooled=has_pooler(seed)):
            # Faults begin when the new processes work: how long they take to start is not judged.
            self.forget(self.undisturbed([self.tenant]))
        accepted = {self.ask(subject): subject for subject in plan.subjects}
        Round(self, plan, outcome, accepted).run()
        faults.end(self.stack)
        problems, outcome.young = oracle.judge(self.stack, accepted, self.reference, self.there)
        self.objects.watch(self.stack, now=True)
        outcome.problems += problems
        outcome.problems += [f"doubled: the object {key} was overwritten" for key in self.objects.changed]
        self.forget(accepted)
        if self.stack.databases:
            platform_changes.undo(self.stack)
        self.stack.happened = Happened()
        outcome.exports, outcome.seconds = len(accepted), time.monotonic() - began_at
        return outcome

    def learn(self) -> None:
        """Export every subject undisturbed: what its archive holds, and in how many volumes."""
        accepted = self.undisturbed(self.requests)
        problems, _ = oracle.judge(self.stack, accepted, {}, self.there)
        assert not problems, problems
        for identifier, subject in accepted.items():
            paths = oracle.archive(self.stack, identifier)
            self.reference[subject], self.volumes[subject] = of(paths), len(paths)
            self.bytes[subject] = sum(path.stat().st_size for path in paths)
        self.forget(accepted)

    def undisturbed(self, subjects: Iterable[str]) -> Mapping[str, str]:
        """Export subjects without faults; returns them by export."""
        accepted = {self.ask(subject): subject for subject in subjects}
        deadline = time.monotonic() + LEARN_SECONDS
        while (look := rows.look(self.stack.engine, list(accepted))) is None or look.open:
            assert time.monotonic() < deadline, "undisturbed exports do not end"
            self.stack.mend()
            time.sleep(TICK_SECONDS)
        return accepted

    def forget(self, accepted: Mapping[str, str]) -> None:
        """Delete what was judged: rows, objects, copies."""
        rows.forget(self.stack.engine, list(accepted))
        for identifier in accepted:
            for found in list(self.stack.storage.list(f"{identifier}/")):
                self.stack.storage.delete(found.key)
        shutil.rmtree(self.stack.deployment.folder / "judged", ignore_errors=True)
        self.objects.changed.clear()


def has_pooler(seed: int) -> bool:
    """Half of the seeds have PgBouncer before both databases: five in turn, because all processes restart between."""
    return seed // 5 % 2 == 0


@contextmanager
def chaos(
    form: Form,
    folder: Path,
    platform: SeedPlan | None = None,
    *,
    first_seed: int = 0,
    more: Mapping[str, str] | None = None,
) -> Iterator[Chaos]:
    """The stack with a platform whose subjects have been exported once, undisturbed; as the first seed needs it.

    `more` settings.
    """
    platform = platform or (SMALL_PLATFORM if form == "cluster" else PLATFORM)
    with running(form, folder, more or {}, pooled=has_pooler(first_seed)) as stack:
        recordings = open_storage(stack.deployment.settings["RECORDINGS_URL"])
        examples = make_up(stack.source_url, recordings, platform).examples
        if stack.databases:
            stack.databases.platform.catch_up()
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
        if form == "cluster":
            del asked["portable"]
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
    with chaos(options.stack, folder / "stack", first_seed=options.seed) as made:
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

"""What a run tells: a line for each seed, a table at the end, and all of it as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from chaos.recovery import CLAIMED_AGAIN_SECONDS, Recovery

WRONG = ("lost", "doubled", "silent", "stuck", "left", "late", "missed")


@dataclass
class Outcome:
    """Of one seed."""

    form: str
    seed: int
    injected: list[str] = field(default_factory=list)
    """Kinds, in their order."""
    exports: int = 0
    seconds: float = 0
    recoveries: list[Recovery] = field(default_factory=list)
    lost_with_commits: int = 0
    """Requests that were accepted only in a history that was lost."""
    counts: Counter[str] = field(default_factory=Counter)
    """What else happened."""
    young: int = 0
    """Left for the sweep of a day later, as documented: what no row knows is left alone for 24 hours."""
    problems: list[str] = field(default_factory=list)
    """Each begins with its kind."""

    @property
    def ok(self) -> bool:
        return not self.problems

    def line(self) -> str:
        word = "ok" if self.ok else "WRONG"
        faults = ", ".join(self.injected)
        summary = f"{self.form} seed {self.seed}: {word}, {self.exports} exports, {self.seconds:.1f} s: {faults}"
        return "\n".join([summary, *(f"    {problem}" for problem in self.problems)])


def counts(outcomes: Sequence[Outcome]) -> Mapping[str, int]:
    """How often something was wrong, by kind."""
    found = Counter(problem.split(":", 1)[0] for outcome in outcomes for problem in outcome.problems)
    return {kind: found[kind] for kind in WRONG}


def table(outcomes: Sequence[Outcome]) -> str:
    """How often each kind was injected, and in how many of these cases all was well afterwards."""
    injected = Counter(kind for outcome in outcomes for kind in outcome.injected)
    recovered = Counter(kind for outcome in outcomes if outcome.ok for kind in outcome.injected)
    rows = [f"{'fault':20} {'injected':>8} {'recovered':>9}"]
    rows += [f"{kind:20} {injected[kind]:8} {recovered[kind]:9}" for kind in sorted(injected)]
    rows.append(f"{'all':20} {injected.total():8} {recovered.total():9}")
    rows += ["", ", ".join(f"{number} {kind}" for kind, number in counts(outcomes).items())]
    rows.append(f"left for the sweep of a day later: {sum(outcome.young for outcome in outcomes)}")
    if any(outcome.form == "cluster" for outcome in outcomes):
        rows.append(f"requests lost with commits: {sum(outcome.lost_with_commits for outcome in outcomes)}")
        happened = sum((outcome.counts for outcome in outcomes), Counter[str]())
        rows += [f"{what}: {number}" for what, number in sorted(happened.items())]
    if (longest := _longest(outcomes)) is not None:
        allowed = f"promised without outages: {CLAIMED_AGAIN_SECONDS:g} s"
        rows.append(
            f"longest from a kill or failover to the next claim: {longest.seconds:.1f} s ({longest.kind}; {allowed})"
        )
    return "\n".join(rows)


def document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The same for programs."""
    longest = _longest(outcomes)
    return {
        "ok": all(outcome.ok for outcome in outcomes),
        "wrong": counts(outcomes),
        "longest_recovery_seconds": None if longest is None else longest.seconds,
        "seeds": [asdict(outcome) for outcome in outcomes],
    }


def _longest(outcomes: Sequence[Outcome]) -> Recovery | None:
    found = [recovery for outcome in outcomes for recovery in outcome.recoveries]
    return max(found, key=lambda recovery: recovery.seconds, default=None)

"""How long requests waited in a simulated year, by size and by who asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from bench.simulation.year import SimulatedExport, YearOutcome
from portability.law.profiles import Profile
from portability.signals.time_to_ready import SIZES, size_of

FEW, MANY = 100, 1000
"""Tenants are called small and large by their number of requests in the year."""
SMALLEST = next(iter(SIZES))


def report(outcome: YearOutcome) -> Iterator[dict[str, object]]:
    """Yield for each kind of request how many there are, and seconds until the first claim and until ready."""
    of_tenant = Counter(export.group for export in outcome.exports)
    found: defaultdict[str, list[SimulatedExport]] = defaultdict(list)
    for export in outcome.exports:
        for kind in _kinds(export, of_tenant[export.group]):
            found[kind].append(export)
    for kind, exports in found.items():
        waits = sorted(export.claimed_at - export.accepted_at for export in exports if export.claimed_at is not None)
        ready = _seconds_to_ready(exports)
        yield {
            "of": kind,
            "requests": len(exports),
            **{f"wait_p{share}_s": round(percentile(waits, share), 1) for share in (50, 95, 99, 100)},
            **{f"ready_p{share}_s": round(percentile(ready, share), 1) for share in (50, 95, 99, 100)},
            "missed": sum(export.id in outcome.missed for export in exports),
        }


def small_seconds(outcome: YearOutcome) -> float:
    """Return how soon 99 % of the smallest archives are ready on which no officer decides, in seconds."""
    those = [e for e in outcome.exports if size_of(e.request.bytes) == SMALLEST and not e.request.needs_officer]
    return percentile(_seconds_to_ready(those), 99)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that this share of ordered values (percent) does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]


def _seconds_to_ready(exports: Sequence[SimulatedExport]) -> Sequence[float]:
    return sorted(export.ended_at - export.request.at for export in exports if export.ended_at is not None)


def _kinds(export: SimulatedExport, of_tenant: int) -> Iterator[str]:
    request = export.request
    yield "all"
    if request.needs_officer:
        yield "an officer decides"
        return  # the others are about waiting for workers
    yield f"size {size_of(request.bytes)}"
    if request.tenant is None:
        yield "the news" if request.in_burst else "people with an account"
    elif request.profile is Profile.SWITCH:
        yield "companies that switch"
    elif request.in_burst:
        yield "customers in their tenant's burst"
    elif of_tenant < FEW:
        yield "customers of small tenants"
    elif of_tenant >= MANY:
        yield "customers of large tenants"

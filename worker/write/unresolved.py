"""Reading for a subject whose identities are not all known: what is read anyway, and what is a gap (ADR 29)."""

from __future__ import annotations

from dataclasses import replace

from portability.api import Gap
from portability.people.resolution import Unresolved
from worker.write.ledger import Missing
from worker.write.open_volume import DatasetRun


def with_known_identities(run: DatasetRun, *, is_first: bool) -> DatasetRun | None:
    """Return the run for the subject as known, with a gap for each plug-in whose identities are unknown.

    None: it cannot be read now, and the rest of it is a gap.
    """
    job, reading, position = run.volume.job, run.reading, run.volume.position
    unknown = job.unresolved.get(run.line.exporter, {})
    begun = job.begun_without if position.reading == job.begins_at else ()
    fresh = [name for name in unknown if name not in {*reading.without, *begun}]
    broken_off = not is_first or reading.missed is not None or position.files is not None
    if fresh and (run.line.exporter in unknown or reading.is_further or broken_off):
        name = run.line.exporter if run.line.exporter in unknown else fresh[0]
        _leave(run, name, unknown[name])
        return None
    for name in fresh:
        why = unknown[name]
        job.report_gap(run.line, why.reason, f"the identities of {name} are not known")
        gap = Gap(f"{run.line.name}: what only identities of {name} lead to", why.reason, why.retryable)
        run.tally.gaps.append(Missing(gap, replace(reading, label="", beyond=(name,), gaps=())))
    return replace(run, without=(*reading.without, *begun, *fresh))


def _leave(run: DatasetRun, name: str, why: Unresolved) -> None:
    run.volume.job.report_gap(run.line, why.reason, f"the identities of {name} are not known")
    if name == run.line.exporter:
        run.tally.reason = why.reason
    beyond = ", ".join(run.reading.beyond)
    left = f"what only identities of {beyond} lead to" if beyond else "the rest of its records"
    if run.reading.missed is not None:
        return  # its gaps stay open
    what = f"{run.line.name}: {left}, while the identities of {name} are not known"
    position = run.volume.position
    run.add_gap(Gap(what, why.reason, why.retryable), position.after, position.files)

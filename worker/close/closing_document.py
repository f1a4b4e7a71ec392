"""The closing document, `export.json`: the ledger, the gaps, what is left out, and all volumes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import RowMapping

from archive.parts import FORMAT
from archive.recipients import RecipientTally
from archive.write.notice import NoticeLine
from portability.api import JSON, Exporter, Role, TitledExporter
from portability.api.times import rfc3339
from portability.law.omissions import LIMITING, explanation
from portability.law.tenants import Tenants
from portability.locale import translations
from portability.requests.outcome import ExportOutcome, outcome
from portability.requests.planned_maps import PlannedMaps
from portability.requests.states import REFERRED, DatasetState
from worker.plan.coverage import PlannedCoverage
from worker.plan.plan import ExportPlan, Omission, PlanLine, title_only

GAP = ("exporter", "dataset", "what", "reason", "retryable", "volume", "record", "fields")


def outcome_of(
    export: RowMapping | Mapping[str, Any], plan: ExportPlan, lines: Sequence[Mapping[str, Any]], *, unknown: bool
) -> ExportOutcome:
    """Return the outcome of an export whose ledger has these lines; `unknown`: no source knew its subject."""
    of_tenants = [ordinal for ordinal, line in enumerate(plan.lines) if line.dataset.role is not Role.CONTROLLER]
    # An archive of a feed may contain nothing because nothing has changed.
    limits = (
        export["since"],
        export["until"],
        export["feed_id"],
        *(left for left in plan.omissions if left.reason in LIMITING),
    )
    of_requests = [ordinal for ordinal, line in enumerate(plan.lines) if line.dataset.of_requests]
    return outcome(lines, of_tenants=of_tenants, of_requests=of_requests, limited=any(limits), unknown=unknown)


def document(
    export: RowMapping | Mapping[str, Any],
    plan: ExportPlan,
    lines: Sequence[Mapping[str, Any]],
    gaps: Sequence[Mapping[str, Any]],
    volumes: Sequence[Mapping[str, JSON]],
    ended_at: datetime,
    *,
    unknown: bool = False,
    reviewed: Sequence[Mapping[str, JSON]] = (),
    tenants: Tenants | None = None,
    maps: PlannedMaps | None = None,
    covered: Sequence[PlannedCoverage] = (),
    feed: RowMapping | None = None,
    exporters: Mapping[str, Exporter] = MappingProxyType({}),
) -> dict[str, JSON]:
    """Return the content of export.json (docs/archive-format.md).

    `feed` is the one that the archive continues; `exporters` may have titles.
    """
    answer = outcome_of(export, plan, lines, unknown=unknown)
    of_sources: dict[str, JSON] = {"coverage": [_coverage(one) for one in covered]} if covered else {}
    return {
        "format": FORMAT,
        "export": export["id"],
        "profile": export["profile"],
        "subject": export["subject_ref"],
        "subject_kind": export["subject_kind"],
        "requested_at": rfc3339(export["received_at"]),
        "began_at": rfc3339(export["began_at"]),
        "ended_at": rfc3339(ended_at),
        "complete": answer.complete,
        "outcome": {"own": answer.own, "processor": answer.processor},
        "no_data_held": answer.nothing_held,
        "revision": export["revision"],
        "formats": export["formats"],
        "since": rfc3339(export["since"]),
        "until": rfc3339(export["until"]),
        "datasets": [_dataset(line, plan) for line in lines],
        "gaps": [{name: gap[name] for name in GAP} for gap in gaps],
        "reviews": [{**one, "explanation": explanation(str(one["decision"]))} for one in reviewed],
        "referrals": _referrals(export, lines, tenants or Tenants()),
        "not_included": [_left_out(left) for left in plan.omissions],
        "withheld": _withheld(plan, lines),
        "sources": _sources(plan, exporters),
        **of_sources,
        "volumes": list(volumes),
        **_maps(maps),
        **({} if feed is None else {"feed": {"id": feed["id"], "number": feed["number"] + 1}}),
    }


def _sources(plan: ExportPlan, exporters: Mapping[str, Exporter]) -> list[JSON]:
    """Return the title of each source that the document names, where it has one."""
    named = dict.fromkeys([*(one.exporter for one in plan.lines), *(one.exporter for one in plan.omissions)])
    titled = [(name, one.title) for name in named if isinstance(one := exporters.get(name), TitledExporter)]
    return [
        {"exporter": name, "title": title, "translations": {**translations.of_exporter(name, title)}}
        for name, title in titled
    ]


def _maps(planned: PlannedMaps | None) -> dict[str, JSON]:
    """Return the maps of the sources by which the export was read; nothing if no map declares a source."""
    return {"maps": [{"exporter": name, **one} for name, one in sorted(planned.items())]} if planned else {}


def _coverage(covered: PlannedCoverage) -> dict[str, JSON]:
    return {
        "source": covered.source,
        "state": covered.state,
        "undecided": covered.undecided,
        "checked_at": covered.checked_at,
        **({"tenantless": sum(covered.tenantless.values())} if covered.tenantless else {}),
    }


def notice_lines(planned: Sequence[PlanLine], lines: Sequence[Mapping[str, Any]]) -> list[NoticeLine]:
    """Make the notice's lines from the plan and the ledger; for data of companies they name those companies."""
    return [
        NoticeLine(
            line.dataset,
            () if line.dataset.role is Role.CONTROLLER else _companies(line),
            RecipientTally.from_json(counted["recipients"]),
        )
        for line, counted in zip(planned, lines, strict=True)
    ]


def _companies(line: PlanLine) -> tuple[str, ...]:
    own = [identity.tenant for identity in line.subject.identities if identity.tenant is not None]
    return line.tenants or tuple(dict.fromkeys(own))


def _withheld(plan: ExportPlan, lines: Sequence[Mapping[str, Any]]) -> list[JSON]:
    """Return what sources store beside the exported records, as a description only (11 CCR 7024(d)).

    `records` counts the records with such a value. It is null where the source does not say whether there is a value,
    and a value that no record has is not described.
    """
    not_empty = {(line["exporter"], line["dataset"]) for line in lines if line["records"] or line["files"]}
    datasets = {(line.exporter, line.dataset.name): line.dataset for line in plan.lines}
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for line in lines:
        counts[line["exporter"], line["dataset"]].update(line["withheld"] or {})
    return [
        {
            "exporter": name[0],
            "dataset": name[1],
            "name": withheld.name,
            "what": withheld.what,
            "reason": withheld.reason,
            "translations": {**translations.of_withheld(name[0], dataset, withheld)},
            "kind": withheld.kind,
            "records": counts[name].get(withheld.name),
        }
        for name, dataset in datasets.items()
        if name in not_empty
        for withheld in dataset.withheld
        if counts[name].get(withheld.name) != 0
    ]


def _dataset(line: Mapping[str, Any], plan: ExportPlan) -> dict[str, JSON]:
    dataset = plan.lines[line["ordinal"]].dataset
    described: dict[str, JSON] = {"exporter": line["exporter"], "dataset": line["dataset"], "title": dataset.title}
    described |= {name: line[name] for name in ("state", "records", "files", "bytes", "gaps", "corrections")}
    described["translations"] = {**title_only(translations.of_dataset(line["exporter"], dataset))}
    if line["reason"] is not None:
        described |= {"reason": line["reason"], "explanation": explanation(line["reason"])}
    if line["tenants"] is not None and line["state"] in REFERRED:
        described["tenants"] = line["tenants"]
    for name in ("redactions", "findings", "remarks"):
        if line[name] is not None:
            described[name] = line[name]
    for name in ("reading_began_at", "reading_ended_at"):
        described[name] = rfc3339(line[name])
    return described


def _referrals(
    export: RowMapping | Mapping[str, Any], lines: Sequence[Mapping[str, Any]], tenants: Tenants
) -> list[JSON]:
    """Return the tenants that decide over data that is not delivered: how to reach them, and what they answered."""
    answers: dict[str, str] = {}
    for line in lines:
        for tenant in line["tenants"] or () if line["state"] in REFERRED else ():
            is_informed = tenants.ground(tenant, agreed=export["tell_tenants"]) is not None
            is_refused = line["state"] == DatasetState.REFUSED
            answers[tenant] = "refused" if is_refused else "informed" if is_informed else "open"
    named = {tenant: tenants.of(tenant) for tenant in sorted(answers)}
    return [
        {"tenant": tenant, "name": terms.name, "contact": terms.contact, "answer": answers[tenant]}
        for tenant, terms in named.items()
    ]


def _left_out(left: Omission) -> dict[str, JSON]:
    return {
        "exporter": left.exporter,
        "dataset": left.dataset,
        "title": left.title,
        "translations": {**left.translations},
        "reason": left.reason,
        "explanation": explanation(left.reason),
    }

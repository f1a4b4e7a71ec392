"""Close: the document of the closing volume, `export.json`: the ledger, the gaps, what is left out, all volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from archive.notice import Held
from archive.parts import FORMAT
from portability.api import JSON, Role
from portability.exports import rfc3339
from portability.states import GAPLESS, DatasetState
from worker.plan import Line, Omission, Plan

WITHHELD = ("what", "what_id", "reason", "reason_id", "kind")
GAP = ("exporter", "dataset", "what", "reason", "retryable", "volume")


def complete(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every dataset that was to be read was read without a gap."""
    return all(line["state"] in GAPLESS for line in lines)


def document(
    export: RowMapping | Mapping[str, Any],
    plan: Plan,
    lines: Sequence[Mapping[str, Any]],
    gaps: Sequence[Mapping[str, Any]],
    volumes: Sequence[Mapping[str, JSON]],
    ended_at: datetime,
) -> dict[str, JSON]:
    """The content of export.json (docs/archive-format.md)."""
    return {
        "format": FORMAT,
        "export": export["id"],
        "profile": export["profile"],
        "subject": export["subject_ref"],
        "subject_kind": export["subject_kind"],
        "requested_at": rfc3339(export["received_at"]),
        "began_at": rfc3339(export["began_at"]),
        "ended_at": rfc3339(ended_at),
        "complete": complete(lines),
        "no_data_held": not any(line["records"] or line["files"] or line["gaps"] for line in lines)
        and not any(line["state"] == DatasetState.NEEDS_INSTRUCTION for line in lines),
        "revision": export["revision"],
        "formats": export["formats"],
        "since": rfc3339(export["since"]),
        "until": rfc3339(export["until"]),
        "datasets": [_dataset(line, plan) for line in lines],
        "gaps": [{name: gap[name] for name in GAP} for gap in gaps],
        "not_included": [_left_out(left) for left in plan.omissions],
        "withheld": _withheld(plan, lines),
        "volumes": list(volumes),
    }


def held(lines: Sequence[Line]) -> list[Held]:
    """The plan's lines for the notice: of what the platform holds for others, the companies that decide over it."""
    return [Held(line.dataset, () if line.dataset.role is Role.CONTROLLER else _companies(line)) for line in lines]


def _companies(line: Line) -> tuple[str, ...]:
    own = [identity.tenant for identity in line.subject.identities if identity.tenant is not None]
    return line.tenants or tuple(dict.fromkeys(own))


def _withheld(plan: Plan, lines: Sequence[Mapping[str, Any]]) -> list[JSON]:
    """What sources hold beside the records that were read, described instead of delivered (11 CCR 7024(d))."""
    held = {(line["exporter"], line["dataset"]) for line in lines if line["records"] or line["files"]}
    datasets = {(line.exporter, line.dataset.name): line.dataset for line in plan.lines}
    return [
        {"exporter": name[0], "dataset": name[1], **{told: getattr(one, told) for told in WITHHELD}}
        for name, dataset in datasets.items()
        if name in held
        for one in dataset.withheld
    ]


def _dataset(line: Mapping[str, Any], plan: Plan) -> dict[str, JSON]:
    names = ("exporter", "dataset", "title", "state", "records", "files", "bytes", "gaps")
    described: dict[str, JSON] = {name: line[name] for name in names}
    if (title_id := plan.lines[line["ordinal"]].dataset.title_id) is not None:
        described["title_id"] = title_id
    for name in ("reason", "tenants", "redactions", "findings"):
        if line[name] is not None:
            described[name] = line[name]
    for name in ("reading_began_at", "reading_ended_at"):
        described[name] = rfc3339(line[name])
    return described


def _left_out(left: Omission) -> dict[str, JSON]:
    told: dict[str, JSON] = {name: getattr(left, name) for name in ("exporter", "dataset", "title", "reason")}
    return told if left.title_id is None else told | {"title_id": left.title_id}

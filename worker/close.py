"""Close: the document of the closing volume, `export.json`: the ledger, the gaps, what is left out, all volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from archive.parts import FORMAT
from portability.api import JSON
from portability.exports import rfc3339
from portability.states import GAPLESS, DatasetState
from worker.plan import Plan

GAP = ("exporter", "dataset", "what", "reason", "retryable", "volume")


def complete(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every dataset that was to be read was read without a gap."""
    return all(line["state"] in GAPLESS for line in lines)


def document(
    export: RowMapping,
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
        "datasets": [_dataset(line) for line in lines],
        "gaps": [{name: gap[name] for name in GAP} for gap in gaps],
        "not_included": [
            {"exporter": left.exporter, "dataset": left.dataset, "reason": left.reason} for left in plan.omissions
        ],
        "volumes": list(volumes),
    }


def _dataset(line: Mapping[str, Any]) -> dict[str, JSON]:
    names = ("exporter", "dataset", "title", "state", "records", "files", "bytes", "gaps")
    described: dict[str, JSON] = {name: line[name] for name in names}
    for name in ("reason", "tenants", "redactions", "findings"):
        if line[name] is not None:
            described[name] = line[name]
    for name in ("reading_began_at", "reading_ended_at"):
        described[name] = rfc3339(line[name])
    return described

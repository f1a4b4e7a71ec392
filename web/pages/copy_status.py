"""What the pages of a person show of a copy: its progress, what is missing and why, its contents, its downloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, RowMapping

from portability.database import deployment
from portability.law.citations import cite
from portability.law.omissions import explanation
from portability.law.regime import SubjectFacts
from portability.law.regimes import giving_rights
from portability.locale import translated
from portability.requests import approvals, estimates, exports, slices
from portability.requests.states import OPEN, ExportState
from portability.retention import erasures
from portability.trust import audit
from web.context import AppContext

SHOWN_FIRST = ("pending", "partial", "refused", "needs_instruction", "with_remarks", "complete", "empty")
"""A part with datasets in several states shows the first of these."""
DOWNLOADS = ("link.downloaded", "link.url_issued")
"""Events of a download: one that this service served, and one that object storage served."""


def standing(connection: Connection, row: RowMapping) -> dict[str, Any]:
    """Return what the card at the top shows: progress, estimate, whether it is late, and the files to download."""
    progress = exports.progress(exports.ledger(connection, row["id"]), slices.of(connection, row["id"]))
    done, of_all = progress["records"] or 0, progress["records_expected"]
    if not of_all:
        done, of_all = progress["datasets"] or 0, progress["datasets_expected"]
    share, at = min(1.0, done / of_all) if of_all else 0.0, deployment.clock_of(connection)
    is_open, is_recalled = row["state"] in OPEN, row["state"] == ExportState.RECALLED
    known = (row["profile"], row["subject_kind"], row["subject_ref"])
    expected = estimates.typical(connection, *known) if is_open else estimates.CopyEstimate()
    remaining = estimates.remaining_seconds(row, share, expected, at) if is_open else None
    return {
        "row": row,
        "view": {"progress": progress},
        "percent": min(99, int(100 * share)),
        "volumes": exports.archive_volumes(connection, row),
        "deletion_waits": is_recalled and erasures.is_stored(connection, row["id"]),
        "expected": expected,
        "remaining": remaining,
        "expected_at": estimates.expected_at(remaining, at),
        "late": exports.is_unanswered(row) and row["due_at"] < at,
    }


def groups(lines: Sequence[RowMapping]) -> list[dict[str, Any]]:
    """Return the ledger by part: people look for their calls, not for the tables that store them."""
    by_exporter: dict[str, list[RowMapping]] = {}
    for line in lines:
        by_exporter.setdefault(line["exporter"], []).append(line)
    return [
        {
            "exporter": exporter,
            "state": min((line["state"] for line in members), key=SHOWN_FIRST.index),
            **{name: sum(line[name] for line in members) for name in ("records", "files", "bytes")},
        }
        for exporter, members in by_exporter.items()
    ]


def missing(connection: Connection, export_id: str, language: str) -> list[dict[str, Any]]:
    """Return what a copy lacks, by dataset and reason: part, title, how many things, why, and whether reading helps."""
    titles = {(line["exporter"], line["dataset"]): line["title"] for line in exports.ledger(connection, export_id)}

    def kind(gap: RowMapping) -> tuple[str, str, str]:
        return gap["exporter"], gap["dataset"], gap["reason"]

    found = []
    for (exporter, dataset, reason), of_kind in groupby(sorted(exports.gaps(connection, export_id), key=kind), kind):
        gaps = list(of_kind)
        title = titles.get((exporter, dataset)) or dataset
        found.append(
            {
                "exporter": exporter,
                "title": translated(language, f"data.{exporter}/{dataset}.title", title),
                "count": len(gaps),
                "why": explanation(reason, language) or reason,
                "retryable": any(gap["retryable"] and gap["resume"] is not None for gap in gaps),
            }
        )
    return found


def downloads(connection: Connection, export_id: str) -> list[Mapping[str, Any]]:
    """Return the downloads of a copy, the newest first: when, with which device, which file, how much of it.

    Of a download whose event is damaged, only the id of the event; None if it is not in the chain.
    """
    found = [event for event in audit.events(connection, export_id=export_id) if event["action"] in DOWNLOADS]
    return [
        {"is_damaged": True, "id": event["id"]}
        if event.get("is_damaged")
        else {"at": event["at"], **_download(event["detail"])}
        for event in reversed(found)
    ]


def _download(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    known = {"device": detail.get("device"), "volume": detail.get("volume"), "bytes": detail.get("bytes")}
    return {**known, "is_complete": detail.get("complete")}


def refusal(connection: Connection, place: AppContext, row: RowMapping, language: str) -> dict[str, Any] | None:
    """Return why a request, or its newest transfer, was refused and where to complain, in the person's language.

    None if neither was refused.
    """
    denial = approvals.denial(connection, row["id"])
    if denial is None:
        return None
    facts = SubjectFacts(row["subject_kind"], row["residence"], row["tenant"])
    regimes = giving_rights(place.settings.laws, row["profile"], facts)
    authorities = [
        {"name": authority.name.read(language), "contact": authority.contact, "law": cite(authority.law, language)}
        for authority in place.notice.authorities_under(regimes)
    ]
    return {**denial, "authorities": authorities}

"""Reversions: a revision that fails or is cancelled ends alone, and the archive before it is ready as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping

from portability.api import JSON
from portability.api.times import rfc3339
from portability.messages import outbox
from portability.requests import earlier_revisions
from portability.requests.policy import ActorRole
from portability.requests.states import ExportState
from portability.requests.transition import rewrite_volumes, transition
from portability.trust import audit

CANCELLED = "cancelled"
"""Code in the details of the event of a revision that was stopped."""
REVERTED = "export.reverted"
"""Event of a revision that ended alone."""


@dataclass(frozen=True, slots=True)
class FailedRevision:
    """A revision that was given up."""

    revision: int
    code: str
    """Of the fault, or CANCELLED."""
    at: datetime


def last_failed(connection: Connection, export: Mapping[Any, Any]) -> FailedRevision | None:
    """Return the newest revision of a ready export if it was given up; None where none failed, or a later one is ready.

    A revision that the person has stopped has not failed.
    """
    is_ready = export["state"] == ExportState.READY
    ended = audit.events(connection, export_id=export["id"], action=REVERTED) if is_ready else ()
    last = ended[-1] if ended else None
    # A damaged event does not say which.
    if not last or last["detail"].get("revision", 0) <= export["revision"]:
        return None
    failed = FailedRevision(last["detail"]["revision"], last["detail"]["code"], last["at"])
    is_stopped = failed.code == CANCELLED and last["actor"].startswith(f"{ActorRole.SUBJECT}:")
    return None if is_stopped else failed


def view(connection: Connection, export: Mapping[Any, Any]) -> Mapping[str, JSON] | None:
    """Return the same as JSON."""
    failed = last_failed(connection, export)
    return {"revision": failed.revision, "code": failed.code, "at": rfc3339(failed.at)} if failed else None


def revert(connection: Connection, export: RowMapping, *, code: str, actor: str) -> bool:
    """Give up the revision of a locked export, and make its earlier one ready again; returns whether it has one.

    Volumes of the revision are left for the next claim, or for a clock, which deletes them from storage. `code` says
    why: that of the fault, or CANCELLED.
    """
    earlier = earlier_revisions.of(connection, export)
    if not earlier:
        return False
    rewrite_volumes(connection, export["id"], after_revision=earlier.revision)
    earlier_revisions.restore(connection, earlier)
    outbox.renew_outdated(connection, export["id"], earlier.revision)
    detail: audit.Detail = {"code": code, "revision": export["revision"]}
    columns = earlier.columns
    transition(connection, export, ExportState.READY, actor=actor, detail=detail, columns=columns, reverts=True)
    return True

"""Reversions: a revision that fails or is cancelled ends alone, and the archive before it is ready as it was."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping

from portability.messages import outbox
from portability.requests import earlier_revisions
from portability.requests.states import ExportState
from portability.requests.transition import rewrite_volumes, transition
from portability.trust import audit

CANCELLED = "cancelled"
"""Code in the details of the event of a revision that a person stopped."""


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

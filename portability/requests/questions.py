"""Questions that a page shows: a decision is about these, and not about what was asked later."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from portability.errors import WrongState
from portability.requests import approvals, exports

NO_QUESTION = "none"


def ids(connection: Connection, export_id: str) -> str:
    """Return the ids of the open questions of an export, for a form; `none` without a question."""
    return " ".join(row["id"] for row in approvals.waiting(connection, export_id)) or NO_QUESTION


def check_seen(connection: Connection, export_id: str, seen: str) -> None:
    """Check that the open questions of an export are those of a form; the export is then locked.

    Raises: UnknownExport; WrongState if one was asked or answered since the page was made.
    """
    exports.lock(connection, export_id)
    if ids(connection, export_id) != seen:
        raise _changed(export_id)


def check_among(connection: Connection, export_id: str, seen: Collection[str]) -> None:
    """Check that a form about several exports showed each open question of an export; the export is then locked.

    Raises: UnknownExport; WrongState if one was asked since the page was made.
    """
    exports.lock(connection, export_id)
    if not {row["id"] for row in approvals.waiting(connection, export_id)} <= {*seen}:
        raise _changed(export_id)


def _changed(export_id: str) -> WrongState:
    hint = "open the page of the request again, and look at what is asked now"
    return WrongState(f"what is asked about export {export_id} has changed", hint=hint)

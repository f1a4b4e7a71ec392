"""Decisions of officers about received transfers: whose data it is, import, refuse, undo.

A decision that was already made is not made again: a second click changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from enum import StrEnum

from sqlalchemy import Connection, RowMapping

from portability.api import SubjectKind
from portability.api.errors import BadInput
from portability.database.engine import now
from portability.errors import WrongState
from portability.inbox import received
from portability.inbox.states import DeclineReason, ReceivedState
from portability.inbox.transition import transition
from portability.people import subject_locks, subjects
from portability.requests.policy import Facts

COMPANY_OF = frozenset({SubjectKind.USER})
"""Kinds of subjects whose archive may have rows of a company."""


class ConflictRule(StrEnum):
    """What an import does with values that were changed on both sides."""

    KEEP = "keep"
    TAKE = "take"


def assign(
    connection: Connection,
    identifier: str,
    *,
    subject: str,
    tenant: str | None,
    company: str | None,
    on_conflict: str,
    actor: str,
) -> None:
    """Say whose data a received transfer is here; the difference that its import would make is then computed.

    Args:
        connection: the caller's transaction.
        identifier: of the received transfer.
        subject: `user:ID`, `contact:ID`, `tenant:ID` or `email:ADDRESS`, with local ids.
        tenant: of a contact.
        company: that rows of a person's archive belong to, such as invoices; None: they are quarantined.
        on_conflict: what becomes of values that were changed on both sides.
        actor: the officer.

    Raises: UnknownReceived, WrongState, BadSubject, BadInput, OnLegalHold, ErasureRunning.
    """
    kind, subject_id, of_tenant = subjects.parse(subject, tenant)
    if on_conflict not in {*ConflictRule}:
        raise BadInput(f"unknown rule {on_conflict!r} for conflicts: use keep or take")
    if company and (kind not in COMPANY_OF or not subjects.ID.fullmatch(company)):
        raise BadInput("a company is named only for the archive of an account, by its id")
    subject_locks.lock(connection, (kind, subject_id, of_tenant))
    row = received.get(connection, identifier, lock=True)
    if row["archive_kind"] and row["archive_kind"] != kind:
        raise BadInput(f"the archive is about a {row['archive_kind']}, and the target is a {kind}")
    subject_locks.check_not_erasing(connection, kind, subject_id, of_tenant)
    named = {"subject_kind": kind, "subject_id": subject_id, "tenant": of_tenant, "company": company or None}
    ref = subjects.pairwise_ref(connection, kind, subject_id, of_tenant)
    columns = {**named, "subject_ref": ref, "on_conflict": on_conflict, "assigned_by": actor, "error_code": None}
    fresh = {"comparison": secrets.token_hex(16), "report": None}
    transition(connection, row, ReceivedState.COMPARING, actor=actor, columns={**columns, **fresh})


def facts_of(subject: str, tenant: str | None) -> Facts:
    """Return the facts that the policy needs about a target that an officer names. Raises BadSubject."""
    return Facts(*subjects.parse(subject, tenant))


def accept(connection: Connection, identifier: str, *, comparison: str, actor: str) -> None:
    """Have a received transfer imported, as its difference was shown.

    `comparison` is the id of that difference. Raises UnknownReceived, WrongState, ErasureRunning.
    """
    # Before the row is locked. Another target since then means another comparison, which is refused below.
    if (target := received.get(connection, identifier))["subject_kind"]:
        subject_locks.lock(connection, subject_locks.name_of_row(target))
    row = received.get(connection, identifier, lock=True)
    if _is_done(row, {ReceivedState.IMPORTING, ReceivedState.IMPORTED}):
        return
    if row["state"] == ReceivedState.COMPARED and not secrets.compare_digest(
        comparison.encode(), str(row["comparison"]).encode()
    ):
        raise WrongState(f"received transfer {row['id']} was compared again since then", hint="look at it again")
    if row["subject_kind"]:
        subject_locks.check_not_erasing(connection, row["subject_kind"], row["subject_id"], row["tenant"])
    transition(connection, row, ReceivedState.IMPORTING, actor=actor, columns=_decided(actor))


def decline(connection: Connection, identifier: str, *, reason: str, actor: str) -> None:
    """Refuse a received transfer; its files are deleted, and the sender gets a receipt with the reason.

    Raises: UnknownReceived, WrongState, BadInput for an unknown reason.
    """
    if reason not in {*DeclineReason}:
        raise BadInput(f"unknown reason {reason!r}: use one of {', '.join(DeclineReason)}")
    row = received.get(connection, identifier, lock=True)
    if _is_done(row, {ReceivedState.DECLINED}):
        return
    columns = {**_decided(actor), "reason": reason}
    transition(connection, row, ReceivedState.DECLINED, actor=actor, detail={"reason": reason}, columns=columns)


def undo(connection: Connection, identifier: str, *, actor: str) -> None:
    """Have an import undone: its rows are removed, and what it replaced is restored.

    Raises: UnknownReceived, WrongState.
    """
    row = received.get(connection, identifier, lock=True)
    if _is_done(row, {ReceivedState.UNDOING, ReceivedState.UNDONE}):
        return
    transition(connection, row, ReceivedState.UNDOING, actor=actor, columns={"error_code": None})


def _is_done(row: RowMapping, states: Collection[ReceivedState]) -> bool:
    return row["state"] in states


def _decided(actor: str) -> dict[str, object]:
    return {"decided_by": actor, "decided_at": now(), "error_code": None}

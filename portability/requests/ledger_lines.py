"""Ledger lines of tenants that have answered: what an instruction adds, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from portability.database import models
from portability.law.omissions import OmissionReason
from portability.requests.referrals import ReferralState, RefusalReason
from portability.requests.states import DatasetState

LEDGER = models.ledger
STATES = {
    ReferralState.INSTRUCTED: DatasetState.PENDING,
    ReferralState.REFUSED: DatasetState.REFUSED,
    ReferralState.OPEN: DatasetState.NEEDS_INSTRUCTION,
}
"""The state of a line by the answer of its tenants."""
REASON = "tenant_"
"""The beginning of the reason of a refused line; the tenant's code follows."""
NOT_ORDERED = OmissionReason.NOT_ORDERED
"""The reason of a line that waits for its tenants."""
TENANT_REASONS = tuple(f"{REASON}{reason}" for reason in RefusalReason)
"""The reasons of refused lines."""


def answer(connection: Connection, export_id: str, answers: Sequence[RowMapping]) -> Sequence[dict[str, Any]]:
    """Give the lines of an export the states that the answers of tenants mean; returns the readings to add.

    A line of several tenants is divided: each line has one state and, if it is refused, one reason.
    """
    by_tenant = {row["tenant"]: row for row in answers}
    waiting = (LEDGER.c.export_id == export_id, LEDGER.c.state == DatasetState.NEEDS_INSTRUCTION)
    lines = connection.execute(select(LEDGER).where(*waiting).order_by(LEDGER.c.ordinal)).mappings().all()
    readings: list[dict[str, Any]] = []
    for line in lines:
        if by_tenant.keys().isdisjoint(line["tenants"] or ()):
            continue
        for number, ((state, reason), tenants) in enumerate(_parts(line["tenants"], by_tenant).items()):
            values = {"state": STATES[state], "reason": reason, "tenants": tenants}
            ordinal = _write(connection, line, values, is_new=number > 0)
            if state is ReferralState.INSTRUCTED:
                people = [[name, person] for name in tenants for person in by_tenant[name]["people"]]
                readings.append({"ordinal": ordinal, "instructed": people, "gaps": []})
    return readings


def _parts(
    tenants: Iterable[str], answers: Mapping[str, RowMapping]
) -> Mapping[tuple[ReferralState, str | None], list[str]]:
    """Return the tenants of a line by their answer and its reason."""
    parts: dict[tuple[ReferralState, str | None], list[str]] = {}
    for tenant in tenants:
        row = answers.get(tenant)
        state = ReferralState.OPEN if row is None else ReferralState(row["state"])
        reason: str | None = {ReferralState.OPEN: NOT_ORDERED}.get(state)
        if row is not None and state is ReferralState.REFUSED:
            reason = f"{REASON}{row['reason']}"
        parts.setdefault((state, reason), []).append(tenant)
    return parts


def _write(connection: Connection, line: RowMapping, values: Mapping[str, object], *, is_new: bool) -> int:
    """Change a line, or insert a further line of the same dataset behind all others; returns its ordinal."""
    ordinal: int = line["ordinal"]
    if is_new:
        last = connection.scalar(select(func.max(LEDGER.c.ordinal)).where(LEDGER.c.export_id == line["export_id"]))
        ordinal = (last or 0) + 1
        connection.execute(insert(LEDGER).values(**{**line, **values, "ordinal": ordinal}))
    else:
        same = (LEDGER.c.export_id == line["export_id"], LEDGER.c.ordinal == ordinal)
        connection.execute(update(LEDGER).where(*same).values(**values))
    return ordinal

"""Tables of the control database. Rows are the truth; RQ only wakes workers (docs/flow.md)."""

from __future__ import annotations

from portability.models.columns import metadata
from portability.models.people import (
    approval,
    audit_event,
    audit_head,
    code,
    deadline_event,
    idempotency_key,
    link,
    link_claim,
    mandate,
    notification,
    recall,
)
from portability.models.work import (
    deployment,
    export,
    gap,
    incident,
    instruction,
    ledger,
    pseudonym,
    signing_key,
    slice,  # noqa: A004  # the noun; whoever needs Python's own is elsewhere
    turn,
    volume,
)

__all__ = [
    "approval",
    "audit_event",
    "audit_head",
    "code",
    "deadline_event",
    "deployment",
    "export",
    "gap",
    "idempotency_key",
    "incident",
    "instruction",
    "ledger",
    "link",
    "link_claim",
    "mandate",
    "metadata",
    "notification",
    "pseudonym",
    "recall",
    "signing_key",
    "slice",
    "turn",
    "volume",
]

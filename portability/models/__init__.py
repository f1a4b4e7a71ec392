"""Tables of the control database. Rows are the truth; RQ only wakes workers (docs/flow.md)."""

from __future__ import annotations

from portability.models.columns import metadata
from portability.models.keeping import attestation, deleted_volume, erasure, legal_hold, subject_ref
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
from portability.models.transfers import authorisation, recipient, transfer, transfer_copy, transfer_receipt, webhook
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
    "attestation",
    "audit_event",
    "audit_head",
    "authorisation",
    "code",
    "deadline_event",
    "deleted_volume",
    "deployment",
    "erasure",
    "export",
    "gap",
    "idempotency_key",
    "incident",
    "instruction",
    "ledger",
    "legal_hold",
    "link",
    "link_claim",
    "mandate",
    "metadata",
    "notification",
    "pseudonym",
    "recall",
    "recipient",
    "signing_key",
    "slice",
    "subject_ref",
    "transfer",
    "transfer_copy",
    "transfer_receipt",
    "turn",
    "volume",
    "webhook",
]

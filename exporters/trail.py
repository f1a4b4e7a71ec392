"""The processing trail: who, by role, looked at an account holder's data, when and why (UU PDP Art. 32(1))."""

from __future__ import annotations

from exporters import schema
from exporters.fields import CREATED_AT, ID, USER_ID
from exporters.observed import observed
from exporters.source import Named
from exporters.sql import SqlExporter
from portability.api import Exporter, Sources

TRAIL = observed(
    schema.processing_trail,
    "processing_trail",
    "Processing trail",
    "Each time your data was looked at, changed or given away. Members of staff are not named (CJEU C-579/21).",
    columns=(
        ID,
        USER_ID,
        Named("operation", "What was done: view, change, export, disclose, restrict or delete."),
        Named("purpose", "What it was done for, such as support, security or a legal obligation."),
        Named("data_category", "Kind of the data concerned, such as profile, billing or usage."),
        Named("actor_role", "Role of the one who did it: support, security, sales, engineer, system or yourself."),
        Named("recipient", "To whom the data was given, by name; null if it stayed with us.", None, True),
        Named("occurred_at", "When it was done, in UTC."),
        CREATED_AT,
    ),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the trail that belongs to a copy of the data."""
    return SqlExporter(sources, TRAIL)

"""Fields that many datasets share, described once."""

from __future__ import annotations

from exporters.sql.source import Named
from portability.api import NestedKey, Person, Provenance

ID = Named("id", "Identifier of this record; it does not change. Use it to request a correction or an erasure.")
TENANT_ID = Named("tenant_id", "Identifier of the company that uses the platform and to which this record belongs.")
USER_ID = Named("user_id", "Identifier of the account holder; the same as `id` in account/profile.")
CONTACT_ID = Named(
    "contact_id",
    "Identifier of the company's contact, as in crm/contacts; null if the contact was not recognised.",
)
CALL_ID = Named("call_id", "Identifier of the call, as in calls/calls; null if not set.")
CONVERSATION_ID = Named(
    "conversation_id", "Identifier of the conversation, as in chats/conversations; null if not set."
)
AGENT_ID = Named(
    "agent_id", "Identifier of the company's AI agent that took part, as in configuration/agents; null if not set."
)
STAFF_ID = Named(
    "staff_id",
    "The member of the company's staff who took part, as `user_id` in account/memberships; null if not set.",
    Provenance.OBSERVED,
    person=Person.STAFF,
)
PRIVATE_NOTE = Named(
    "private_note",
    "Private notes of the company's staff; null if empty.",
    Provenance.DERIVED,
    person=Person.NOTE,
)
EMAIL = Named("email", "The e-mail address concerned, as entered.")
CREATED_AT = Named("created_at", "When the platform stored this record, in UTC.")
UPDATED_AT = Named("updated_at", "When the record was last changed, in UTC; null if never.")
CURRENCY = Named("currency", "Currency of the amounts, as a code of ISO 4217, such as IDR or EUR.")
LANGUAGE = Named("language", "Language, as a tag of BCP 47, such as id or en-GB.")
RETAINED_UNTIL = Named(
    "retained_until",
    "End of the company's retention period for this record, in UTC; it is deleted after that; null if no end is set.",
)
LEGAL_HOLD = Named(
    "legal_hold", "True if the record is kept beyond its retention period for a legal reason, such as a court case."
)


def custom(*paths: str) -> Named:
    """Describe the custom values of a table, with the paths of their declared keys (docs/source-schema.md)."""
    text = "Custom values that the company stores with this record, under its own names."
    return Named("custom", text, keys=tuple(map(NestedKey, paths)))

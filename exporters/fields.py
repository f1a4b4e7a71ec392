"""Fields that many datasets share, described once."""

from __future__ import annotations

from exporters.source import Named
from portability.api import Person, Provenance

ID = Named("id", "Identifier of this record for ever; name it when you ask for a correction or an erasure.")
TENANT_ID = Named("tenant_id", "Identifier of the company that uses the platform and to which this record belongs.")
USER_ID = Named("user_id", "Identifier of the account holder; the same as `id` in account/profile.")
CONTACT_ID = Named(
    "contact_id",
    "Identifier of the company's contact, as in crm/contacts; null where the contact was not recognised.",
)
CALL_ID = Named("call_id", "Identifier of the call, as in calls/calls; null where there was none.")
CONVERSATION_ID = Named(
    "conversation_id", "Identifier of the conversation, as in chats/conversations; null where there was none."
)
AGENT_ID = Named(
    "agent_id", "Identifier of the company's AI agent that took part, as in configuration/agents; null for none."
)
STAFF_ID = Named(
    "staff_id",
    "The member of the company's staff who took part, as `user_id` in account/memberships; null for none.",
    Provenance.OBSERVED,
    person=Person.STAFF,
)
PRIVATE_NOTE = Named(
    "private_note",
    "What the company's staff noted for themselves; null for nothing.",
    Provenance.PROVIDED,
    person=Person.NOTE,
)
SESSION_ID = Named(
    "session_id", "Identifier of the browser session, as in cookies/sessions; it opens nothing; null where unknown."
)
EMAIL = Named("email", "The e-mail address concerned, as it was given.")
CREATED_AT = Named("created_at", "When the platform stored this record, in UTC.")
UPDATED_AT = Named("updated_at", "When the record was last changed, in UTC; null if never.")
FIRST_SEEN_AT = Named("first_seen_at", "When it was first seen, in UTC.")
LAST_SEEN_AT = Named("last_seen_at", "When it was last seen, in UTC.")
CURRENCY = Named("currency", "Currency of the amounts, as a code of ISO 4217, such as IDR or EUR.")
LANGUAGE = Named("language", "Language, as a tag of BCP 47, such as id or en-GB.")
RETAINED_UNTIL = Named(
    "retained_until",
    "When the company's retention period for this record ends, in UTC; later it is deleted; null for no set end.",
)
LEGAL_HOLD = Named(
    "legal_hold", "True if the record is kept beyond its retention period for a legal reason, such as a court case."
)
CUSTOM = Named("custom", "Further values that the company keeps with this record, under names of its own choice.")

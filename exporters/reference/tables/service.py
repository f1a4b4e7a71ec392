"""Interactions between a tenant and its contacts: calls, chats, tickets, and the results of software."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer

from exporters.sql.columns import (
    TRADE_SECRET,
    ExactNumeric,
    created,
    internal,
    link,
    moment,
    moments,
    never,
    table,
    text,
    texts,
)
from portability.database.engine import JsonType

VOICEPRINT = "recognises a voice, and cannot be changed as a password can"
STAFF = "is a member of the tenant's staff"
PROMPT = "is the platform's own prompt, a trade secret (Data Act Art. 2(38))"

calls = table(
    "calls",
    link("tenant_id"),
    link("contact_id", required=False),
    text("direction", required=True),
    *texts("caller_number", "called_number"),
    link("agent_id", required=False),
    link("staff_id", required=False),
    *texts("handled_by", "status", "language", "outcome"),
    *moments("started_at", "answered_at", "ended_at"),
    Column("duration_seconds", Double),
    Column("consented_to_recording", Boolean),
    Column("cost", ExactNumeric),
    text("currency"),
    Column("custom", JsonType),
    text("private_note"),
    created(),
    moment("retained_until"),
    Column("legal_hold", Boolean, nullable=False, default=False),
    never(
        "voiceprint",
        VOICEPRINT,
        "a voiceprint: a biometric template made from the sound of the call; the recording itself is exported",
    ),
    never("staff_name", STAFF),
    internal("media_host", "the machine that carried the sound"),
    Index("calls_by_tenant", "tenant_id", "created_at", "id"),
    Index("calls_by_contact", "tenant_id", "contact_id", "created_at", "id"),
    Index("calls_by_staff", "staff_id", "tenant_id"),
)

transcripts = table(
    "transcripts",
    link("tenant_id"),
    link("call_id"),
    Column("position", Integer, nullable=False),
    text("speaker"),
    link("staff_id", required=False),
    Column("starts_seconds", Double),
    Column("ends_seconds", Double),
    *texts("text", "language"),
    Column("confidence", Double),
    created(),
    never(
        "speaker_voiceprint",
        VOICEPRINT,
        "a voiceprint of the speaker: a biometric template made from the sound of the call",
    ),
    never("staff_name", STAFF),
    Index("transcripts_by_call", "tenant_id", "call_id", "position", "id"),
    Index("transcripts_by_staff", "staff_id", "tenant_id"),
)

recordings = table(
    "recordings",
    link("tenant_id"),
    link("call_id"),
    text("media_type"),
    Column("bytes", BigInteger),
    Column("seconds", Double),
    Column("channels", Integer),
    text("sha256"),
    created(),
    internal("storage_key", "where the platform keeps the sound; the file itself is exported"),
    never("storage_host", "is an address inside the platform"),
    never(
        "signed_url",
        "gives access to the file without a login",
        "an address that gives access to the recording without a login",
    ),
    never("encryption_key", "decrypts the stored file", "the key by which the stored recording is encrypted"),
    Index("recordings_by_tenant", "tenant_id", "created_at", "id"),
    Index("recordings_by_call", "tenant_id", "call_id", "created_at", "id"),
)

call_analyses = table(
    "call_analyses",
    link("tenant_id"),
    link("call_id"),
    text("sentiment"),
    Column("sentiment_score", Double),
    *texts("summary", "intent"),
    Column("topics", JsonType),
    text("model"),
    created(),
    never("prompt", PROMPT, "the prompt by which the platform's software analysed the call", TRADE_SECRET),
    Index("call_analyses_by_tenant", "tenant_id", "created_at", "id"),
    Index("call_analyses_by_call", "tenant_id", "call_id", "created_at", "id"),
)

conversations = table(
    "conversations",
    link("tenant_id"),
    link("contact_id", required=False),
    text("channel", required=True),
    *texts("visitor_name", "visitor_email", "subject", "status", "language"),
    link("agent_id", required=False),
    text("page_url"),
    Column("custom", JsonType),
    text("private_note"),
    *moments("opened_at", "closed_at"),
    created(),
    moment("retained_until"),
    Column("legal_hold", Boolean, nullable=False, default=False),
    never("visitor_token", "continues the chat in the visitor's name", "a token that continues the chat in its window"),
    Index("conversations_by_tenant", "tenant_id", "created_at", "id"),
    Index("conversations_by_contact", "tenant_id", "contact_id", "created_at", "id"),
)

messages = table(
    "messages",
    link("tenant_id"),
    link("conversation_id"),
    Column("position", Integer, nullable=False),
    text("sender", required=True),
    link("staff_id", required=False),
    *texts("text", "reply_to"),
    Column("custom", JsonType),
    *moments("sent_at", "read_at", "edited_at", "deleted_at"),
    created(),
    never("staff_name", STAFF),
    internal("provider_message", "the channel provider's own key"),
    Index("messages_by_conversation", "tenant_id", "conversation_id", "position", "id"),
    Index("messages_by_staff", "staff_id", "tenant_id"),
)

attachments = table(
    "attachments",
    link("tenant_id"),
    link("conversation_id"),
    link("message_id", required=False),
    *texts("file_name", "media_type"),
    Column("bytes", BigInteger),
    text("sha256"),
    created(),
    internal("storage_key", "where the platform keeps the file; the file itself is exported"),
    never("storage_host", "is an address inside the platform"),
    never(
        "signed_url",
        "gives access to the file without a login",
        "an address that gives access to the file without a login",
    ),
    Index("attachments_by_tenant", "tenant_id", "created_at", "id"),
    Index("attachments_by_conversation", "tenant_id", "conversation_id", "created_at", "id"),
)

tickets = table(
    "tickets",
    link("tenant_id"),
    link("contact_id", required=False),
    link("call_id", required=False),
    link("conversation_id", required=False),
    *texts("number", "subject", "description", "status", "priority", "channel"),
    Column("tags", JsonType),
    link("assignee_id", required=False),
    text("private_note"),
    *moments("opened_at", "first_replied_at", "resolved_at"),
    created(),
    never("assignee_name", STAFF),
    Index("tickets_by_tenant", "tenant_id", "created_at", "id"),
    Index("tickets_by_contact", "tenant_id", "contact_id", "created_at", "id"),
    Index("tickets_by_call", "tenant_id", "call_id"),
    Index("tickets_by_conversation", "tenant_id", "conversation_id"),
    Index("tickets_by_assignee", "assignee_id", "tenant_id"),
)

ai_agent_actions = table(
    "ai_agent_actions",
    link("tenant_id"),
    link("contact_id", required=False),
    link("call_id", required=False),
    link("conversation_id", required=False),
    link("agent_id", required=False),
    text("action", required=True),
    Column("input", JsonType),
    Column("output", JsonType),
    text("outcome"),
    moment("occurred_at"),
    created(),
    never("prompt", PROMPT, "the prompt by which the platform led the AI agent in this step", TRADE_SECRET),
    never("tool_token", "gives access to the tool that was used", "a token for the tool that the AI agent used"),
    Index("ai_agent_actions_by_tenant", "tenant_id", "created_at", "id"),
    Index("ai_agent_actions_by_contact", "tenant_id", "contact_id", "created_at", "id"),
    Index("ai_agent_actions_by_call", "tenant_id", "call_id"),
    Index("ai_agent_actions_by_conversation", "tenant_id", "conversation_id"),
)

satisfaction = table(
    "satisfaction",
    link("tenant_id"),
    link("contact_id", required=False),
    link("call_id", required=False),
    link("conversation_id", required=False),
    Column("score", Integer),
    Column("best_score", Integer),
    text("comment"),
    *moments("asked_at", "answered_at"),
    created(),
    never("survey_token", "answers in the contact's name", "a token of the link to the survey"),
    Index("satisfaction_by_tenant", "tenant_id", "created_at", "id"),
    Index("satisfaction_by_contact", "tenant_id", "contact_id", "created_at", "id"),
    Index("satisfaction_by_call", "tenant_id", "call_id"),
    Index("satisfaction_by_conversation", "tenant_id", "conversation_id"),
)

routing_scores = table(
    "routing_scores",
    link("tenant_id"),
    link("contact_id", required=False),
    link("call_id", required=False),
    link("conversation_id", required=False),
    Column("score", Double),
    text("queue"),
    Column("factors", JsonType),
    text("model"),
    created(),
    never(
        "weights",
        "are the ranking model's own, a trade secret (Data Act Art. 2(38))",
        "the weights of the model that ranked the contact; the factors and the score are exported",
        TRADE_SECRET,
    ),
    Index("routing_scores_by_tenant", "tenant_id", "created_at", "id"),
    Index("routing_scores_by_contact", "tenant_id", "contact_id", "created_at", "id"),
    Index("routing_scores_by_call", "tenant_id", "call_id"),
    Index("routing_scores_by_conversation", "tenant_id", "conversation_id"),
)

"""What a tenant has set up: the digital assets that it takes along when it switches (Data Act Art. 2(32), 25(2)(e))."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer

from exporters.columns import TRADE_SECRET, created, identifier, link, moment, never, table, text
from portability.db import JsonType

agents = table(
    "agents",
    identifier(),
    link("tenant_id"),
    text("name"),
    text("kind"),
    text("language"),
    text("voice"),
    text("greeting"),
    text("instructions"),
    Column("settings", JsonType),
    Column("enabled", Boolean, nullable=False, default=True),
    created(),
    moment("updated_at"),
    never(
        "system_prompt",
        "is the platform's own prompt, a trade secret (Data Act Art. 2(38))",
        "the platform's own part of the AI agent's prompt; the company's instructions are exported",
        TRADE_SECRET,
    ),
    never("api_key", "acts as the agent", "the key by which the AI agent uses the platform's API"),
    Index("agents_by_tenant", "tenant_id", "created_at", "id"),
)

flows = table(
    "flows",
    identifier(),
    link("tenant_id"),
    link("agent_id", required=False),
    text("name"),
    Column("version", Integer),
    Column("definition", JsonType),
    moment("published_at"),
    created(),
    moment("updated_at"),
    Index("flows_by_tenant", "tenant_id", "created_at", "id"),
)

roles = table(
    "roles",
    identifier(),
    link("tenant_id"),
    text("name"),
    text("description"),
    Column("permissions", JsonType),
    created(),
    moment("updated_at"),
    Index("roles_by_tenant", "tenant_id", "created_at", "id"),
)

integrations = table(
    "integrations",
    identifier(),
    link("tenant_id"),
    text("kind"),
    text("name"),
    Column("settings", JsonType),
    Column("enabled", Boolean, nullable=False, default=True),
    moment("last_synced_at"),
    created(),
    moment("updated_at"),
    never("api_key", "opens the tenant's other systems", "the key for the connected system"),
    never("oauth_token", "opens the tenant's other systems", "the access token for the connected system"),
    never(
        "refresh_token",
        "opens the tenant's other systems",
        "the token that prolongs access to the connected system",
    ),
    never("password", "opens the tenant's other systems", "the password for the connected system"),
    never("webhook_secret", "signs webhooks", "the secret that signs the webhooks of the integration"),
    Index("integrations_by_tenant", "tenant_id", "created_at", "id"),
)

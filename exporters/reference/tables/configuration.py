"""A tenant's configuration: the digital assets that it can take along (Data Act Art. 2(32), 25(2)(e))."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer

from exporters.sql.columns import TRADE_SECRET, created, link, moment, never, table, text, texts
from portability.database.engine import JsonType

agents = table(
    "agents",
    link("tenant_id"),
    *texts("name", "kind", "language", "voice", "greeting", "instructions"),
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
    link("tenant_id"),
    *texts("name", "description"),
    Column("permissions", JsonType),
    created(),
    moment("updated_at"),
    Index("roles_by_tenant", "tenant_id", "created_at", "id"),
)

integrations = table(
    "integrations",
    link("tenant_id"),
    *texts("kind", "name"),
    Column("settings", JsonType),
    Column("enabled", Boolean, nullable=False, default=True),
    moment("last_synced_at"),
    created(),
    moment("updated_at"),
    never("api_key", "gives access to the tenant's other systems", "the key for the connected system"),
    never("oauth_token", "gives access to the tenant's other systems", "the access token for the connected system"),
    never(
        "refresh_token",
        "gives access to the tenant's other systems",
        "the token that prolongs access to the connected system",
    ),
    never("password", "gives access to the tenant's other systems", "the password for the connected system"),
    never("webhook_secret", "signs webhooks", "the secret that signs the webhooks of the integration"),
    Index("integrations_by_tenant", "tenant_id", "created_at", "id"),
)

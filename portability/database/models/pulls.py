"""Tables of pulls: what providers ask people for, the tokens that they get, and the copies that they fetch.

None of them contains a readable code or token: only SHA-256.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from portability.database.engine import JsonType, UtcTime
from portability.database.models.columns import metadata


def _consent(*, nullable: bool = False) -> Column[str]:
    """Return a column with the consent, with which its rows are deleted."""
    return Column("authorisation_id", ForeignKey("authorisation.id", ondelete="CASCADE"), nullable=nullable)


pull_request = Table(
    "pull_request",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("handle_sha256", String(64), nullable=False, unique=True, comment="of the random part of its request_uri"),
    Column("recipient_id", ForeignKey("recipient.id"), nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("state", Text, comment="of the provider; it is returned as it came"),
    Column("code_challenge", String(43), nullable=False),
    Column("dpop_jkt", String(43), nullable=False, comment="thumbprint of the key that the provider will fetch with"),
    Column("datasets", JsonType, nullable=False, comment="exporters that it asks for"),
    Column("until", UtcTime, comment="null: it asks for one copy"),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("decided_at", UtcTime, comment="when a person allowed or declined it: then it is used up"),
    _consent(nullable=True),
    Column("code_sha256", String(64), unique=True),
    Column("code_expires_at", UtcTime),
    Column("code_used_at", UtcTime),
    Index(None, "authorisation_id"),
    Index(None, "expires_at"),
)

pull_token = Table(
    "pull_token",
    metadata,
    Column("token_sha256", String(64), primary_key=True),
    _consent(),
    Column("kind", String(16), nullable=False, comment="access | refresh"),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime, comment="of a refresh token: when the next replaced it"),
    Index(None, "authorisation_id"),
    Index(None, "expires_at"),
)

pull = Table(
    "pull",
    metadata,
    Column("id", String(32), primary_key=True),
    _consent(),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("transfer_id", ForeignKey("transfer.id"), comment="null: the copy is not ready yet"),
    Column("error_code", String(64), comment="why it ended before its transfer began"),
    Column("created_at", UtcTime, nullable=False),
    Index(None, "authorisation_id"),
    Index(None, "export_id"),
    Index(None, "transfer_id"),
)

"""The rights of the application's role on PostgreSQL: it changes neither the schema nor what the audit log has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg.sql import Identifier

ROLE = "portability_app"
SCHEMA = "public"
HINT = (
    "run `portability db upgrade` as the owner of the tables, and then `portability db rights | psql portability`"
    " (with --schema if they are not in `public`); see docs/operate.md#postgresql"
)
"""What to do if a role lacks a right."""
RIGHTS: Mapping[str, Sequence[str]] = {
    "SELECT": ["alembic_version"],
    "SELECT, UPDATE": ["deployment", "journal", "audit_head"],
    "SELECT, INSERT": ["lost_event", "source_map", "audit_event"],
    "SELECT, INSERT, DELETE": ["audit_unchained"],
    "SELECT, INSERT, UPDATE": ["incident", "signing_key", "erasure", "recipient", "sender", "source_secret"],
    "SELECT, INSERT, UPDATE, DELETE": [
        *("export", "slice", "turn", "volume", "ledger", "gap", "pseudonym", "earlier_revision"),
        *("feed", "feed_archive", "feed_part", "feed_pseudonym", "feed_step", "schedule"),
        *("instruction", "mandate", "approval", "recall", "legal_hold", "review", "referral"),
        *("link", "link_claim", "download", "code", "session", "notification", "idempotency_key", "source_check"),
        *("deadline_event", "attestation", "deleted_volume", "subject_ref"),
        *("authorisation", "transfer", "transfer_copy", "transfer_receipt", "webhook", "recipient_notice"),
        *("pull", "pull_request", "pull_token"),
        *("received_transfer", "received_difference"),
        *("desk_note", "desk_view", "colleague"),
    ],
}
"""Tables by what the role may do with their rows."""


def grants(role: str = ROLE, schema: str = SCHEMA) -> Sequence[str]:
    """Return the statements that give a role its rights on the tables in a schema; they can be repeated."""
    name, place = Identifier(role).as_string(), Identifier(schema).as_string()
    given = [f"{right} ON {', '.join(f'{place}.{table}' for table in tables)}" for right, tables in RIGHTS.items()]
    where = [f"USAGE ON SCHEMA {place}", *given, f"USAGE ON ALL SEQUENCES IN SCHEMA {place}"]
    return [f"GRANT {right} TO {name};" for right in where]

"""One-time codes that prove an address to log in, and the messages that deliver them.

New columns without a value, and two columns that may be empty now. Rows of the previous release stay as they are, and
it reads only codes of links and messages about exports. In PostgreSQL this changes only the catalogue, under locks of
milliseconds (ACCESS EXCLUSIVE on `code` and `notification`), and builds an index on `code`; SQLite copies both tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_address_codes"
down_revision = "0006_decisions"


def upgrade() -> None:
    op.add_column("export", sa.Column("language", sa.String(16)))
    with op.batch_alter_table("code") as code:
        code.alter_column("link_id", existing_type=sa.String(32), nullable=True)
        code.add_column(sa.Column("subject_kind", sa.String(16)))
        code.add_column(sa.Column("subject_id", sa.String(200)))
    op.create_index("code_subject_id_created_at_idx", "code", ["subject_id", "created_at"])
    with op.batch_alter_table("notification") as notification:
        notification.alter_column("export_id", existing_type=sa.String(32), nullable=True)
        notification.add_column(sa.Column("channel", sa.String(8), nullable=False, server_default="mail"))

"""The ledger names the recipients of disclosures for the notice.

The column is nullable: code of the previous release neither reads nor writes it. Adding it changes only the catalogue,
in PostgreSQL under a lock of milliseconds (ACCESS EXCLUSIVE on `ledger`).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType

revision = "0008_recipients"
down_revision = "0007_address_codes"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("recipients", JsonType))

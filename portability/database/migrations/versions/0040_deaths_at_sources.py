"""What a worker asks while its volume is tried once more, and at which sources workers have died."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType

revision = "0040_deaths_at_sources"
down_revision = "0039_ends_of_consents"


def upgrade() -> None:
    op.add_column("slice", sa.Column("asked", sa.Text))
    op.add_column("slice", sa.Column("deaths", JsonType))

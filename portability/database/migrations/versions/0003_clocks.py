"""Which law set a due date, the subject's residence, the ends of extensions, and the retrieval period of a switch.

ALTER TABLE ADD COLUMN without a default takes an exclusive lock for a moment only: no row is rewritten. The period of
retrieval of existing switches is filled row by row; a deployment has few of them.
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from portability.database.engine import UtcTime

revision = "0003_clocks"
down_revision = "0002_outcome"

RETRIEVAL = timedelta(days=31)
"""30 days (Data Act Art. 25(2)(g)), and a day for the zones in which a day of the period has 25 hours."""


def upgrade() -> None:
    """Add the columns, and fill the period of retrieval of existing switches."""
    op.add_column("export", sa.Column("residence", sa.String(2)))
    op.add_column("export", sa.Column("due_regime", sa.String(64)))
    op.add_column("export", sa.Column("due_figure", sa.String(8)))
    op.add_column("export", sa.Column("retrieval_ends_at", UtcTime))
    op.add_column("deadline_event", sa.Column("ground", sa.String(16)))
    op.add_column("deadline_event", sa.Column("ends_at", UtcTime))
    export = sa.table(
        "export",
        sa.column("id", sa.String),
        sa.column("profile", sa.String),
        sa.column("due_at", UtcTime),
        sa.column("retrieval_ends_at", UtcTime),
    )
    connection = op.get_bind()
    switches = connection.execute(sa.select(export.c.id, export.c.due_at).where(export.c.profile == "switch")).all()
    for identifier, due_at in switches:
        change = sa.update(export).where(export.c.id == identifier)
        connection.execute(change.values(retrieval_ends_at=due_at + RETRIEVAL))

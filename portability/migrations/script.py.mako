"""${message}.

Rules: code of the previous release runs against this schema while workers are being replaced, so add columns as
nullable or with a server default, and drop only what no release in use reads. Name the lock that a statement takes on
a large table, and why that is bearable.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}

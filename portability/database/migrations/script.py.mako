"""${message}.

Rules: the revision is the name of the file, such as 0002_what_it_adds. A released migration never changes. Code of the
previous release runs against this schema while workers are being replaced, so add columns as nullable or with a server
default (expand), and drop only what no release in use reads (contract). Name the lock that a statement takes on a large
table, and why that is bearable.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}

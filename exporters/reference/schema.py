"""The platform's reference schema on SQLite and PostgreSQL (docs/source-schema.md).

Every column is exported, or has the reason why it is not: `info["never"]` or `info["internal"]`.
Ids are texts, times are aware UTC, money is exact, JSON is JSONB on PostgreSQL.
"""

from __future__ import annotations

from exporters.reference.tables.account import *  # noqa: F403  # the schema is the tables of these five modules
from exporters.reference.tables.configuration import *  # noqa: F403  # as above
from exporters.reference.tables.crm import *  # noqa: F403  # as above
from exporters.reference.tables.service import *  # noqa: F403  # as above
from exporters.reference.tables.web import *  # noqa: F403  # as above
from exporters.sql.columns import INTERNAL as INTERNAL  # noqa: PLC0414  # part of the schema
from exporters.sql.columns import NEVER as NEVER  # noqa: PLC0414  # as above
from exporters.sql.columns import metadata as metadata  # noqa: PLC0414  # as above

"""Tables of the control database, whose rows are the truth; RQ only wakes workers (docs/flow.md)."""

from __future__ import annotations

from portability.database.models.columns import metadata as metadata
from portability.database.models.desk import *  # noqa: F403  # the models are the tables of these modules
from portability.database.models.feeds import *  # noqa: F403  # as above
from portability.database.models.hot_indexes import INDEXES as INDEXES
from portability.database.models.inbox import *  # noqa: F403  # as above
from portability.database.models.keeping import *  # noqa: F403  # as above
from portability.database.models.people import *  # noqa: F403  # as above
from portability.database.models.pulls import *  # noqa: F403  # as above
from portability.database.models.schedules import *  # noqa: F403  # as above
from portability.database.models.transfers import *  # noqa: F403  # as above
from portability.database.models.work import *  # noqa: F403  # as above

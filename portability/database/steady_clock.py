"""The database's clock for what is asked at each request: the database itself is asked once a minute."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from portability.database import deployment

ASKED_SECONDS = 60.0
"""How long the monotonic clock of this machine counts on from an answer of the database."""


class SteadyClock:
    """Tells the time of the database; the wall clock of this machine may be wrong, and may leap."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked = -ASKED_SECONDS - 1, datetime.fromtimestamp(0, UTC)
        """When, by the monotonic clock, and what the database said."""

    def present(self) -> datetime:
        """Return the time of the database. Raises DatabaseUnavailable."""
        asked_at, said = self._asked
        if time.monotonic() - asked_at > ASKED_SECONDS:
            said = deployment.clock(self._engine)
            asked_at = time.monotonic()
            self._asked = asked_at, said
        return said + timedelta(seconds=time.monotonic() - asked_at)

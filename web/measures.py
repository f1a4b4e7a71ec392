"""What `GET /metrics` answers, also while the database is away: then the signals of the services alone."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine

from portability import metrics
from portability.database.engine import reading
from portability.errors import DatabaseUnavailable
from portability.signals import lost_keys
from portability.signals.lost_keys import KeyFiles
from portability.signals.services import Services
from portability.trust import metrics_tokens


class Measures:
    """The metrics as one process gives them, and who may read them."""

    def __init__(self, engine: Engine, keys_folder: Path, services: Services) -> None:
        self._engine = engine
        self._keys_folder = keys_folder
        self._services = services
        self._key_files = KeyFiles(engine, keys_folder, lost_keys.OF_WEB)
        self._tokens: Mapping[str, str] = {}

    def accepts(self, token: str) -> bool:
        """Return whether the token gives access; while the database is away, what it accepted last counts.

        So does the token of a key whose file is not usable any more: the metrics say so.

        Raises: DatabaseUnavailable if no token was looked up before.
        """
        try:
            with reading(self._engine) as connection:
                self._tokens = metrics_tokens.present(connection, self._keys_folder, self._tokens)
        except DatabaseUnavailable:
            if not self._tokens:
                raise
        return any(hmac.compare_digest(known.encode(), token.encode()) for known in self._tokens.values())

    def exposition(self) -> str:
        """Return the metrics in Prometheus' text format, those of the database only if it answers."""
        found = [*self._services.collect(), *self._key_files.collect()]
        with suppress(DatabaseUnavailable):  # `portability_service_up` says so
            found += metrics.collect(self._engine)
        return metrics.exposition(found)

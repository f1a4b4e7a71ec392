"""Send the copies that providers asked for as soon as they are ready."""

from __future__ import annotations

import structlog
from sqlalchemy import Engine

from portability.api.errors import PortabilityError
from portability.database import incidents
from portability.database.engine import reading, writing
from portability.database.incidents import Incident
from portability.pulls import copies
from portability.settings import Settings
from worker.clock import turns

log = structlog.get_logger()


def send_ready(engine: Engine, settings: Settings) -> int:
    """Start the transfers of copies that are ready; returns how many. Raises DatabaseUnavailable.

    A copy that cannot be sent is over, with the reason, and the person hears of it; after a fault that may pass, it is
    tried at the next time. No copy keeps others from their turn.
    """

    def send(pull_id: str) -> int:
        try:
            with writing(engine) as connection:
                copies.send(connection, settings, pull_id)
        except PortabilityError as error:
            if error.retryable:
                raise
            log.warning("pull.failed", pull=pull_id, code=error.code)
            _fail(engine, pull_id, error.code)
            return 0
        return 1

    with reading(engine) as connection:
        waiting = copies.waiting(connection)
    return turns.take_each("pulls", waiting, send)


def _fail(engine: Engine, pull_id: str, code: str) -> None:
    with writing(engine) as connection:
        is_fault = copies.fail(connection, pull_id, code)
    if is_fault:
        incidents.count(engine, Incident.TRANSFER_FAILED)

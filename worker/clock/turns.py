"""Turns of the clock: a fault of one item, or of one step of a round, keeps no other from its turn.

Faults of all, such as a database that does not answer, end the round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import structlog

from portability.api.errors import PortabilityError
from portability.database.history import DatabaseBehind
from portability.errors import DatabaseUnavailable, QueueUnavailable

log = structlog.get_logger()
OF_ALL = (DatabaseUnavailable, DatabaseBehind, QueueUnavailable)


def take_each(task: str, identifiers: Iterable[str], work: Callable[[str], int]) -> int:
    """Do the work of each item, and return the sum of the results.

    A fault of one is logged with its id, whatever it is: also an error of a driver or of this software. The item stays
    as it is, and has its turn again in the next round. Raises: DatabaseUnavailable, DatabaseBehind, QueueUnavailable.
    """
    return sum(_result(partial(work, identifier), task=task, item=identifier) for identifier in identifiers)


def try_each(identifiers: Iterable[str], work: Callable[[str], int]) -> int:
    """Do the same for a caller that reports faults itself: raises the last, after all items had their turn."""
    done = 0
    last_error: Exception | None = None
    for identifier in identifiers:
        try:
            done += work(identifier)
        except OF_ALL:
            raise
        except Exception as error:  # noqa: BLE001  # raised below
            last_error = error
    if last_error:
        raise last_error
    return done


def take_steps(task: str, steps: Mapping[str, Callable[[], int | None]]) -> Mapping[str, int]:
    """Do the steps of a round in their order; return the result of each: 0 after a fault, which is logged.

    Raises: DatabaseUnavailable, DatabaseBehind, QueueUnavailable.
    """
    return {name: _result(step, task=task, step=name) for name, step in steps.items()}


def _result(work: Callable[[], int | None], **named: str) -> int:
    try:
        return work() or 0
    except OF_ALL:
        raise
    except PortabilityError as error:
        log.warning("turn.waits", code=error.code, **named)
    except Exception as error:
        log.exception("turn.failed", error=type(error).__name__, **named)
    return 0

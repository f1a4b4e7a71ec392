"""Calls of sources that a person at a terminal waits for: each has a limit, and what is waited for is said."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from cli.context import Context
from portability.api.errors import PortabilityError, SourceError, SourceStalled
from worker.read.identities import ask
from worker.read.reader import SourcePatience, source_fault

T = TypeVar("T")
LIMIT = "PORTABILITY_SOURCE_SECONDS"


def call_once(context: Context, what: str, call: Callable[[], T], *, seconds_max: float = math.inf) -> T:
    """Return the outcome of a call of a source. Raises: SourceError; SourceStalled after the limit."""
    answer = _patience(context, what, retries=0, seconds_max=seconds_max).once(what, call)
    if answer.error and not isinstance(answer.error, PortabilityError):
        raise source_fault(what, answer.error)
    return answer.get()


def call_repeated(context: Context, what: str, call: Callable[[], object]) -> object:
    """Return the outcome of a call that is repeated while the source is unavailable, all within one limit.

    Raises: SourceError, whose message and hint are printed: the caller's result may name its code only.
    """
    try:
        return ask(_patience(context, what, retries=context.settings.source_retries), what, call)
    except SourceError as error:
        hint = f"  hint: {error.hint}" if error.hint else ""
        context.note(f"{error} [{error.code}]{hint}")
        raise


def _patience(context: Context, what: str, *, retries: int, seconds_max: float = math.inf) -> SourcePatience:
    seconds = min(context.settings.source_seconds, seconds_max)
    give_up_at = time.monotonic() + seconds
    named: set[str] = set()

    def check() -> None:
        if time.monotonic() > give_up_at:
            raise SourceStalled(f"{what} did not answer within {seconds:g} s")

    def report(name: str | None, code: str | None) -> None:
        # With a code the source has answered: by a fault.
        if name and not code and name not in named:
            named.add(name)
            context.note(f"waiting for {name}, at most {seconds:g} s ({LIMIT})")

    return SourcePatience(retries, seconds=seconds, check=check, report=report)

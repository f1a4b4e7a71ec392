"""Noted events: which events of the audit log a request or a command has committed, so that it can wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)


@contextmanager
def noting() -> Iterator[list[str]]:
    """Collect the entries of the events that this block commits, and threads that have its context."""
    found: list[str] = []
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


def note(entry: str) -> None:
    """Note an event that the present transaction records; outside of `noting` nothing happens."""
    found = _noted.get()
    if isinstance(found, list):
        found.append(entry)


@contextmanager
def if_committed(*, never: bool = False) -> Iterator[None]:
    """Forget what the block notes if it fails, or `never` commits: its transaction is rolled back."""
    found = _noted.get()
    before, is_committed = len(found or ()), False
    try:
        yield
        is_committed = not never
    finally:
        if isinstance(found, list) and not is_committed:
            del found[before:]

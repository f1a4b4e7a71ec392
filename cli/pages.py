"""Pages of lists on the command line: their options, and the note that names the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cli.context import LIMIT_MAX, Context
from cli.quantities import quantity

PAGE = 100
"""Rows of a list without `--limit`."""
F = TypeVar("F", bound=Callable[..., Any])


def paged(command: F) -> F:
    """Give a command the options of a page: `after` and `limit`."""
    after = click.option("--after", metavar="CURSOR", help="The next page: the cursor that the page before has named.")
    size = click.IntRange(1, LIMIT_MAX)
    limit = click.option("--limit", type=size, help=f"Maximum number of rows. [default: {PAGE}]")
    return after(limit(command))


def note_next(context: Context, noun: str, limit: int, following: str | None) -> None:
    """Say how the next page is shown, if there is one."""
    if following:
        context.note(f"{quantity(limit, noun)} shown: --after {following} shows the next")

"""What commands print for people: tables, progress bars, and texts of others that are safe on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text


def open_console(*, stderr: bool) -> Console:
    """Make a console on standard output or standard error."""
    return Console(stderr=stderr, highlight=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Make a table; None is an empty cell."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        # The first column is used for copying into the next command: it is never shortened.
        made.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        made.add_row(*map(_cell, row))
    return made


def _cell(value: object) -> Text:
    if isinstance(value, datetime):
        value = f"{value:%Y-%m-%d %H:%M} UTC"
    return Text("" if value is None else str(value))


def bars(console: Console, *columns: str | ProgressColumn) -> Progress:
    """Make progress bars that are invisible unless the console is a terminal."""
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def printable(text: str) -> str:
    """Return a safe form of a hostile name for a terminal: no control characters, no markup."""
    return escape("".join(character if character.isprintable() else "?" for character in text))

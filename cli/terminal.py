"""What commands print for people: tables, progress bars, and texts of others that are safe on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text

from cli.harmless import cleaned, one_line
from portability.locale.isolation import isolated

DEFAULT_COLUMNS = 80
"""Of a terminal that does not say its width."""
UNLIMITED = 10_000
"""Columns: more than any table has."""
WORD_CHARS = 30
"""A longer word, such as a hash, may be broken."""
NO_VALUE = (None, "")


class Cell:
    """A text in a table; of a list, with commas. A terminal that knows directions shows the columns beside it in order.

    Each line of it is kept apart: an isolate that is open at the end of a line would turn the columns that follow.
    """

    def __init__(self, value: object) -> None:
        if isinstance(value, datetime):
            value = f"{value:%Y-%m-%d %H:%M} UTC"
        if isinstance(value, list | tuple):
            value = ", ".join(map(str, value))
        self.text = Text("" if value in NO_VALUE else cleaned(str(value)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.text.wrap(console, options.max_width, overflow=options.overflow, no_wrap=options.no_wrap):
            yield Text(isolated(line.plain), no_wrap=True, overflow="ignore")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self.text)


class LineConsole(Console):
    """Prints each text as one line, as it is: it has no markup, and a terminal obeys nothing in it."""

    def print(self, *objects: Any, **more: Any) -> None:  # noqa: ANN401  # as that of the library
        super().print(*(one_line(each) if isinstance(each, str) else each for each in objects), **more)


def open_console(*, stderr: bool) -> Console:
    """Make a console on standard output or standard error; in a pipe or a file, a sentence is one line."""
    # The library would take `[x]` and `:bomb:` in the name of a file for markup and for a picture.
    console = LineConsole(stderr=stderr, highlight=False, markup=False, emoji=False)
    # COLUMNS=0 is said by editors, and by terminals without a size: the library would print nothing there.
    if not console.width:
        console.width = DEFAULT_COLUMNS
    console.soft_wrap = not console.is_terminal
    return console


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Make a table; None is an empty cell."""
    # A text has no markup: titles name what strangers have named.
    made = Table(title=Text(cleaned(title), style="table.title"), title_justify="left", box=box.SIMPLE_HEAD)
    cells = [[*map(Cell, row)] for row in rows]
    for number, column in enumerate(columns):
        words = " ".join([column, *(row[number].text.plain for row in cells)]).split()
        # A word stays whole unless it is as long as a hash. The first column is used for copying: it is never cut.
        least = min(max(map(cell_len, words)), WORD_CHARS)
        made.add_column(column, no_wrap=number == 0, overflow="fold", min_width=least)
    for row in cells:
        made.add_row(*row)
    return made


def print_table(console: Console, made: Table) -> None:
    """Print a table: a row is one line in a pipe, and words are whole on a terminal without room for the table."""
    width = console.width
    measured = Measurement.get(console, console.options.update(max_width=UNLIMITED), made)
    # The library leaves out whole columns where it has less room than their words need; a terminal breaks the lines.
    console.width = max(width, measured.minimum if console.is_terminal else measured.maximum)
    console.print(made, crop=False, soft_wrap=False)
    console.width = width


def bars(console: Console, *columns: str | ProgressColumn) -> Progress:
    """Make progress bars that are invisible unless the console is a terminal."""
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Join texts in a line that a terminal does not obey; a pair is a text and its style."""
    safe = (one_line(part) if isinstance(part, str) else (one_line(part[0]), part[1]) for part in parts)
    return Text.assemble(*safe)

"""Tables for people, on terminals of any width and in pipes."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from cli.terminal import print_table, table

COLUMNS = ("id", "state", "profile", "due")
ROWS = [("53iawnnhq4snrovkynixpoqf", "ready, complete with remarks; data of companies delivered", "portability", None)]


def printed(*, width: int, is_terminal: bool) -> str:
    output = StringIO()
    console = Console(file=output, width=width, force_terminal=is_terminal, color_system=None)
    print_table(console, table("Exports", COLUMNS, ROWS))
    assert console.width == width
    return output.getvalue()


def test_a_row_is_one_line_in_a_pipe() -> None:
    """A program that looks for words finds them, whatever width a terminal has by default."""
    (row,) = [line.split("  ") for line in printed(width=80, is_terminal=False).splitlines() if "53iaw" in line]
    assert [cell.strip() for cell in row if cell] == [*ROWS[0][:3]]


def test_words_are_whole_on_a_narrow_terminal() -> None:
    """No word is broken into letters, and no column is left out; the terminal wraps what it has no room for."""
    words = printed(width=40, is_terminal=True).split()
    assert {"profile", "portability", "complete", "remarks;", "companies", "delivered"} <= {*words}

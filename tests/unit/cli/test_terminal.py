"""Tables for people, on terminals of any width and in pipes."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from cli.quantities import quantity
from cli.terminal import open_console, print_table, table

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


@pytest.mark.parametrize("stderr", [False, True])
def test_a_sentence_is_one_line_in_a_pipe(capsys: pytest.CaptureFixture[str], stderr: bool) -> None:
    """A log or a program reads lines: the width of no terminal breaks a sentence or the name of a file in two."""
    open_console(stderr=stderr).print(sentence := "export 53iawnnhq4snrovkynixpoqf queued: " + "no worker " * 30)
    captured = capsys.readouterr()
    assert (captured.err if stderr else captured.out).splitlines() == [sentence]


@pytest.mark.parametrize("columns", ["0", "00"])
def test_a_terminal_without_columns_shows_everything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """Editors and shells without a size export COLUMNS=0: a result was not printed at all, with exit code 0."""
    monkeypatch.setenv("COLUMNS", columns)
    open_console(stderr=False).print("verified")
    print_table(open_console(stderr=False), table("Exports", COLUMNS, ROWS))
    assert {"verified", ROWS[0][0], "portability"} <= {*capsys.readouterr().out.split()}


def test_words_are_whole_on_a_narrow_terminal() -> None:
    """No word is broken into letters, and no column is left out; the terminal wraps what it has no room for."""
    words = printed(width=40, is_terminal=True).split()
    assert {"profile", "portability", "complete", "remarks;", "companies", "delivered"} <= {*words}


@pytest.mark.parametrize("width", [1, 20, 40, 60])
def test_no_column_is_left_out_of_a_table_that_is_too_wide(width: int) -> None:
    """A ledger without the column of its states, or without gaps, looks like one in which nothing is missing."""
    output = StringIO()
    columns = ("dataset", "state", "records", "files", "gaps")
    row = ("portability/received_transfers", "with_remarks", 10000, 4, 7)
    console = Console(file=output, width=width, force_terminal=True, color_system=None)
    print_table(console, table("Ledger", columns, [row]))
    assert output.getvalue().split() == ["Ledger", *columns, "\u2500" * 72, *map(str, row)]


def test_a_cell_has_the_name_and_obeys_nothing_in_it() -> None:
    """A stranger's name is shown as it is, brackets too, and neither an escape nor a change of direction is printed."""
    output = StringIO()
    names = ["[bold]x.zip", "a\x1b[31mb\x07", "\u202egpj.exe", "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc"]
    print_table(Console(file=output, width=80, color_system=None), table("[/x]", ("name",), [[name] for name in names]))
    shown = [line.strip() for line in output.getvalue().splitlines()]
    assert {"[/x]", "[bold]x.zip", "a?[31mb?", "?gpj.exe", f"\u2068{names[3]}\u2069"} <= {*shown}


@pytest.mark.parametrize("width", [80, 30])
def test_a_name_from_right_to_left_moves_no_column(width: int) -> None:
    """Each line of a cell is kept apart by itself, takes no column of the terminal, and has all words of the name."""
    output = StringIO()
    row = ("snd_1", "\u05e0\u05de\u05e8 12 (\u05e9\u05dd) " * 3, "2026-12-01")
    console = Console(file=output, width=width, force_terminal=True, color_system=None)
    print_table(console, table("Senders", ("id", "name", "since"), [row]))
    lines = output.getvalue().splitlines()
    assert all(line.count("\u2068") == line.count("\u2069") <= 1 for line in lines)
    first = next(line for line in lines if "snd_1" in line)
    assert first.index("\u2069") < first.index("2026-12-01")
    heading = next(line for line in lines if "since" in line)
    assert first.replace("\u2068", "").replace("\u2069", "").index("2026") == heading.index("since")
    assert "".join(lines).count("\u05e9\u05dd") == 3


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [(0, "file", "0 files"), (1, "volume", "1 volume"), (2, "gap", "2 gaps"), (8312, "byte", "8,312 bytes")],
)
def test_one_thing_is_in_the_singular(count: int, noun: str, said: str) -> None:
    """Most exports have one volume, so most people would read a number with the wrong noun."""
    assert quantity(count, noun) == said

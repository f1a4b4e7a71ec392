"""Command lines on the pages are command lines of the program: each command below a group, and each option."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import cli_reference
import click
import pytest
import repository
from repository import ROOT

PAGES = [
    pytest.param(page, id=str(page.relative_to(ROOT))) for page in repository.pages() if page != cli_reference.PAGE
]
FENCED = re.compile(r"^ *```([a-z]*)\n(.*?)^ *```", flags=re.MULTILINE | re.DOTALL)
BEGIN = re.compile(r"(?:^|[\s/(\"'])portability ((?:[a-z][a-z-]*)(?: .*)?)$")
END = re.compile(r"\s[#|&<>]|[;|)`]")
"""What ends a command of a shell; an address with `&` is one word."""
NOT_A_PROGRAM = ("kubectl ", "pip ")
"""Command lines of others, in which `portability` is a name."""


@cache
def known_commands() -> Mapping[str, click.Command]:
    return {context.command_path: context.command for context in cli_reference.commands()}


def unknown_words(line: str) -> Sequence[str]:
    """The words of a command line that the program does not know."""
    found = BEGIN.search(line.strip())
    if not found or line.strip().startswith(NOT_A_PROGRAM):
        return []
    try:
        words = shlex.split(found[1])
    except ValueError:
        words = found[1].split()
    path = "portability"
    while words and f"{path} {words[0]}" in known_commands():
        path = f"{path} {words.pop(0)}"
    command = known_commands()[path]
    if isinstance(command, click.Group):
        return [f"{path} {words[0]}"] if words and re.fullmatch("[a-z-]+", words[0]) else []
    options = {"--help", *(name for option in command.params for name in option.opts)}
    return [f"{path} {word}" for word in words if word.startswith("--") and word.partition("=")[0] not in options]


def command_lines(page: Path) -> Iterator[str]:
    """Commands in blocks, without what they print, and code in the running text."""
    text = page.read_text()
    for language, block in FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if language in {"", "sh", "console"} and (language != "console" or line.lstrip().startswith("$ ")):
                yield END.split(line)[0] if "'" not in line else line
    for code in re.findall(r"`(portability [^`]+)`", FENCED.sub("", text)):
        yield " ".join(code.split())


@pytest.mark.parametrize("page", PAGES)
def test_command_lines_that_pages_show_are_known(page: Path) -> None:
    """A reader can enter what a page shows: no command and no option that the program does not have."""
    assert [fault for line in command_lines(page) for fault in unknown_words(line)] == []


def test_an_unknown_option_is_noticed() -> None:
    """The test of the pages finds a misspelt option and a command that its group does not have."""
    assert unknown_words("$ portability list --overdue") == ["portability list --overdue"]
    assert unknown_words("portability keys make --purpose link") == ["portability keys make"]
    assert unknown_words("portability audit verify --head FILE --jwks FILE") == []

"""What a caller over HTTP reads about an error names no command, no setting and no option of the command line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from portability.api.errors import BadInput, PortabilityError, all_errors
from portability.errors import BadSubject, UnknownExport, WrongState
from web import hints
from web.api.exports import ExportRequestBody, RetryBody
from web.api.recipients import RecipientBody
from web.auth import NotLoggedIn
from web.problems import status_of

ROOT = Path(__file__).parents[3]
ENGINE = ("requests", "people", "delivery", "transfers", "feeds", "inbox", "pulls", "retention", "schedules", "report")
ROOMS = (*(ROOT / "portability" / room for room in ENGINE), ROOT / "web")
UNREAD = {"actors.py", "provider.py"}
"""Modules of these rooms whose messages no caller reads: of commands, and of faults with the status 503."""
OF_PACKAGES = ("portability.", "web.", "worker.")
CALLERS = [
    error for error in all_errors() if error.__module__.startswith(OF_PACKAGES) and status_of(error) < 500
]  # fmt: skip  # one list


@pytest.mark.parametrize("error", CALLERS, ids=lambda error: error.code)
def test_each_error_of_callers_has_a_hint_that_they_can_follow(error: type[PortabilityError]) -> None:
    """One that names a command has another in its place."""
    said = hints.of_class(error)
    assert not hints.COMMANDS.search(said)
    assert bool(said) == bool(error.default_hint)


@pytest.mark.parametrize(
    ("error", "path", "said"),
    [
        (BadSubject("x", hint="add --tenant T"), "/v1/exports", "add `tenant` T"),
        (BadInput("x", hint="remove --since and --until"), "/me", "remove `since` and `until`"),
        (BadInput("x", hint="use --not-theirs"), "/v1/exports", ""),
        (UnknownExport("x", hint="check PORTABILITY_DATABASE_URL"), "/v1/exports", hints.HINTS[UnknownExport]),
        (WrongState("x", hint="cancel it instead"), "/v1/exports", "cancel it instead"),
        (WrongState("x", hint="`portability links ID`", caller_hint="reload"), "/v1/exports", "reload"),
        (NotLoggedIn("x", hint="`portability metrics --token`"), "/metrics", "`portability metrics --token`"),
    ],
)
def test_a_hint_is_for_its_reader(error: PortabilityError, path: str, said: str) -> None:
    """An option becomes a field, a command the hint of the class, or none; operators read what is for them."""
    assert hints.of_error(error, path) == said


def test_each_field_that_a_hint_names_exists() -> None:
    """In a body of the API, with the name of the option."""
    bodies = (ExportRequestBody, RetryBody, RecipientBody)
    assert {name for body in bodies for name in body.model_fields} >= hints.FIELDS


def test_no_message_names_an_option_or_a_command() -> None:
    """What the engine says of what failed is read over HTTP, too."""
    found = [f"{path.name}: {text}" for path in modules() for text in raised_texts(path) if hints.COMMANDS.search(text)]
    assert found == []


def modules() -> Iterator[Path]:
    return (path for room in ROOMS for path in sorted(room.rglob("*.py")) if path.name not in UNREAD)


def raised_texts(path: Path) -> Iterator[str]:
    """The texts of the first arguments of all that is raised in a module."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            parts = ast.walk(node.exc.args[0])
            yield "".join(
                part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )

"""docs/architecture.md draws what the code is, and pages name modules and events that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import architecture
import pytest
import repository
from repository import ROOT, table

from portability.requests.states import EXPORTS, TRANSFERS

PATH = re.compile(rf"`((?:{'|'.join(repository.PACKAGES)}|bench|tests)/[\w/.-]*)`")
RECORDED = re.compile(r"\baudit\.record\(\s*\w+,\s*\"([a-z_.]+)\"")
ARCHIVE_VERSION = re.compile(r"portability/\d")


def test_the_page_draws_what_the_code_says() -> None:
    """Rooms, their order and jobs, states and their steps are those of the code; `make docs` writes them."""
    page = architecture.PAGE.read_text()

    assert page == architecture.render(page)
    assert {name for _, name, _ in architecture.BLOCK.findall(page)} == architecture.blocks().keys()


def test_every_step_of_a_state_is_drawn() -> None:
    """Each step of an export and of a transfer is an arrow with its event."""
    blocks = architecture.blocks()
    follow = {state: [*meaning.next.items(), *meaning.reverts.items()] for state, meaning in EXPORTS.items()}
    exports = [(str(a), str(b), event) for a, steps in follow.items() for b, event in steps]
    transfers = [(str(a), str(b), event) for a, meaning in TRANSFERS.items() for b, event in meaning.next.items()]

    assert _arrows(blocks["exports"]) == exports
    assert _arrows(blocks["transfers"]) == transfers


@pytest.mark.parametrize("page", [*repository.pages()], ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_that_pages_name_exist(page: Path) -> None:
    """A path in code on a page is a room, a module or a file of this repository; `portability/1` is a format."""
    named = {path for path in PATH.findall(page.read_text()) if not ARCHIVE_VERSION.fullmatch(path)}

    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_event_is_documented() -> None:
    """docs/audit.md says when each event is written: those of the tables of states, and those that code names."""
    rows = table(ROOT / "docs" / "audit.md", "action")
    documented = {name for row in rows for name in re.findall(r"[a-z]+\.[a-z_]+", row["action"])}
    written = {event for meaning in EXPORTS.values() for event in meaning.next.values() if event}
    written |= {event for meaning in EXPORTS.values() for event in meaning.reverts.values() if event}
    written |= {event for transfer in TRANSFERS.values() for event in transfer.next.values() if event}
    written |= {event for path in _modules() for event in RECORDED.findall(path.read_text())}

    assert written - documented == set()


def _modules() -> Iterator[Path]:
    for package in repository.PACKAGES:
        yield from repository.files("*.py", below=ROOT / package)


def _arrows(block: str) -> list[tuple[str, str, str | None]]:
    found = re.findall(r"^  (\w+) --> (\w+)(?: : (\S+))?$", block, flags=re.MULTILINE)
    return [(before, after, event or None) for before, after, event in found]

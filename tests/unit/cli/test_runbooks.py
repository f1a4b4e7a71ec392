"""Runbooks as a person at night follows them: what a page names exists, and its commands answer, also in the fault."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from factories import World
from repository import ROOT, table

from cli.doctor import CHECKS

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
PARTS = ("cli", "exporters", "portability", "receiver", "web", "worker")
CHECK = re.compile(r"doctor(?: --before-start)?`: the (?:lines?|check) ((?:`[^`]+`(?:, | and )?)+)")
SEEING = (
    *("list", "show", "doctor", "audit", "keys list"),
    *("referrals list", "recipients list", "recipients notices", "transfers list", "transfers webhooks"),
    *("reviews list", "reviews open", "inbox list", "messages list"),
)
"""The beginnings of commands that only look."""


def _codes(page: Path) -> Iterator[str]:
    yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", page.read_text()))


def _looks() -> list[str]:
    found = {code.removeprefix("portability ") for page in RUNBOOKS for code in _codes(page) if "portability " in code}
    return sorted(words for words in found if words.startswith(SEEING) and words != "keys new")


def test_events_of_the_log_on_a_page_are_written_by_the_program() -> None:
    """A person looks for the word of the page in the log."""
    source = "\n".join(path.read_text() for part in PARTS for path in (ROOT / part).rglob("*.py"))
    named = {code for page in RUNBOOKS for code in _codes(page) if re.fullmatch(r"[a-z_]+\.[a-z_]+", code)}
    logged = set(re.findall(r'log\.(?:info|warning|error|exception)\(\s*"([a-z_]+\.[a-z_]+)"', source))
    assert len(named) > 10
    assert named - logged == set()


def test_actions_of_the_audit_log_on_a_page_are_recorded() -> None:
    """A name that is misspelt finds no event, as if nothing had failed."""
    named = {code.split()[-1] for page in RUNBOOKS for code in _codes(page) if "--action " in code}
    assert len(named) > 3
    recorded = (ROOT / "docs" / "audit.md").read_text()
    assert {action for action in named if f"`{action}`" not in recorded} == set()


def test_lines_of_doctor_on_a_page_are_its_checks() -> None:
    """By their names, as `portability doctor` prints them."""
    text = " ".join(page.read_text() for page in RUNBOOKS)
    named = {name for words in CHECK.findall(" ".join(text.split())) for name in re.findall("`([^`]+)`", words)}
    assert len(named) > 8
    assert named - CHECKS.keys() == set()


def test_settings_and_metrics_on_a_page_are_documented() -> None:
    """A name that is misspelt on a page costs an hour at night."""
    settings = (ROOT / "docs" / "settings.md").read_text()
    measured = {row["metric"].strip("`") for row in table(ROOT / "docs" / "metrics.md", "metric")}
    for page in RUNBOOKS:
        for code in _codes(page):
            if re.fullmatch("PORTABILITY_[A-Z_]+", code):
                assert code in settings, page.name
            elif re.fullmatch(r"portability_[a-z_]+(\{.*\})?", code):
                assert code.partition("{")[0] in measured, page.name


@pytest.mark.slow
def test_what_a_page_looks_with_answers(run: Callable[..., Result], made: World) -> None:
    """Each command that only looks, as it is on the page, about an export that exists."""
    identifier = made.with_all_keys().request("user:usr_jane")
    assert len(_looks()) > 8
    for words in _looks():
        done = run(*shlex.split(words.replace(" ID", f" {identifier}")))
        assert done.exit_code == (1 if words.startswith("doctor") else 0), (words, done.output)


@pytest.mark.slow
def test_what_a_page_looks_with_names_the_database(
    run: Callable[..., Result], made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the control database each of them says so, and what to do; none shows a trace or waits."""
    monkeypatch.setenv("PORTABILITY_DATABASE_URL", "postgresql+psycopg://postgres@127.0.0.1:1/away")
    monkeypatch.setenv("PORTABILITY_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("PORTABILITY_STORAGE_URL", (made.folder / "archives").as_uri())
    monkeypatch.setenv("PORTABILITY_NOTICE_DIR", str(made.folder))
    for words in _looks():
        done = run(*shlex.split(words.replace(" ID", " an_id")))
        assert (done.exit_code, "database_unavailable" in done.output) == (1, True), (words, done.output)

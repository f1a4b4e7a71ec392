"""Texts for usual answers: in the language of their reader, with a fixed list of things filled in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from portability.desk import answers
from portability.desk.answers import UnknownAnswer
from portability.law import notice
from portability.law.deadlines import UTC_CALENDAR, BusinessCalendar
from portability.law.notice import AnswerUse
from portability.law.notice.entries import DenialCode
from portability.law.notice.validation import ANSWER_PLACEHOLDERS
from portability.locale import languages
from portability.requests.approvals import DenialBasis

ROW: dict[str, Any] = {
    "id": "a" * 24,
    "language": "de",
    "received_at": datetime(2026, 11, 20, tzinfo=UTC),
    "due_at": datetime(2026, 12, 22, tzinfo=UTC),
}
PLACE = UTC_CALENDAR
OWN = """version = "1"
[answers.{name}]
use = "question"
title = "All"
text = "{text}"
"""


def of_own(folder: Path, text: str) -> notice.Register:
    """The built-in register with a text of the deployment."""
    folder = folder / "notice"
    folder.mkdir()
    (folder / "answers.toml").write_text(OWN.format(name="all_names", text=text))
    return notice.load(folder)


def test_everything_on_the_list_is_filled_in(tmp_path: Path) -> None:
    """Days as the reader writes them; the contact of the deployment, else that of the controller."""
    register = of_own(tmp_path, " ".join(f"{{{name}}}" for name in sorted(ANSWER_PLACEHOLDERS)))
    name = register.controller.name.read("de")
    for contact, shown in (("dpo@example.com", "dpo@example.com"), (None, register.controller.contact)):
        text = answers.filled(register, "all_names", ROW, "de", contact=contact, place=PLACE).text
        assert text == f"{shown} {name} 21. Dezember 2026 20. November 2026 {'a' * 24}"


@pytest.mark.parametrize(
    ("zone", "received_at", "due_at"),
    [
        ("UTC", "2026-11-20T00:00Z", "2026-12-22T00:00Z"),
        ("Pacific/Kiritimati", "2026-11-19T10:00Z", "2026-12-21T10:00Z"),
        ("Etc/GMT+12", "2026-11-21T11:59Z", "2026-12-22T12:00Z"),
        ("America/Los_Angeles", "2026-11-21T07:59Z", "2026-12-22T08:00Z"),
    ],
)
def test_days_are_those_of_the_deployment_and_the_due_day_is_the_last(
    tmp_path: Path, zone: str, received_at: str, due_at: str
) -> None:
    """The due date is the first moment that is too late: the day before it is the one until which a person can wait."""
    register = of_own(tmp_path, "{received_at} {due_at}")
    row = ROW | {"received_at": datetime.fromisoformat(received_at), "due_at": datetime.fromisoformat(due_at)}
    place = BusinessCalendar(ZoneInfo(zone))
    text = answers.filled(register, "all_names", row, "en", contact=None, place=place).text
    assert text == "20 November 2026 21 December 2026"


@pytest.mark.parametrize("language", languages())
def test_every_built_in_text_is_ready_to_send(language: str) -> None:
    """No placeholder is left in any language, and a reason has room for it."""
    register = notice.load()
    for name, one in register.answers.items():
        ready = answers.filled(register, name, ROW, language, contact=None, place=PLACE)
        assert "{" not in ready.text
        assert len(ready.text) <= 1000
        assert (ready.title, ready.basis) == (one.title.read(language), one.basis)


def test_texts_are_offered_by_use_and_others_refused() -> None:
    """In the language of the person who chooses, not of the reader."""
    register = notice.load()
    refusals, questions = (answers.offered(register, use, "de") for use in AnswerUse)
    assert refusals["no_mandate"] == "Keine Vollmacht"
    assert set(questions) == {"who_are_you", "which_data", "which_account"}
    assert {*refusals, *questions} == {*register.answers}
    with pytest.raises(UnknownAnswer):
        answers.filled(register, "none", ROW, "en", contact=None, place=PLACE)


def test_the_reader_has_the_language_of_the_request() -> None:
    """Without one, or with one that has no catalogue, that of the person who writes."""
    found = [answers.reader_language({"language": each}, "id") for each in ("de", None, "fr")]
    assert found == ["de", "id", "id"]


def test_a_text_has_a_ground_that_a_refusal_has() -> None:
    """The register names the same grounds as the request log."""
    assert get_args(DenialCode) == tuple(DenialBasis)


def test_a_deployment_without_the_reference_platform_has_the_texts(tmp_path: Path) -> None:
    """Its register lacks everything else, and not these."""
    folder = tmp_path / "notice"
    folder.mkdir()
    (folder / "register.toml").write_text('version = "1"\n')
    with pytest.raises(notice.NoticeHole) as refused:
        notice.load(folder, reference=False)
    assert "missing_value: controller" in str(refused.value)
    assert "answers" not in str(refused.value)

"""What a directory's plug-in may answer: its answers are checked, and its errors named without what they contain."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from portability.api import Subject, SubjectKind
from portability.api.directories import Contact
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.people.directory import last_change, look_up, named

SUBJECT = named(SubjectKind.USER, "usr_1", None)
ADDRESS = "jane@mail.example"
GOOD: dict[str, Any] = {"address": ADDRESS, "language": "id-ID", "verified": True, "changed_at": None}


class Answering:
    """A directory that gives one answer, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def contact(self, _subject: Subject) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"language": None, "changed_at": datetime(2026, 3, 1, tzinfo=UTC)},
        {"verified": False, "can_log_in": False, "previous": "old@mail.example"},
    ],
)
def test_an_answer_of_the_declared_types_is_used(fields: dict[str, Any]) -> None:
    """Also the answer that the subject has no address."""
    answer = Contact(**GOOD | fields)
    assert look_up(Answering(answer), SUBJECT) == answer
    assert look_up(Answering(None), SUBJECT) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"address": None}, "a NoneType as address"),
        ({"address": b"jane@mail.example"}, "a bytes as address"),
        ({"language": 49}, "a int as language"),
        ({"verified": "false"}, "a str as verified"),
        ({"verified": None}, "a NoneType as verified"),
        ({"verified": 1}, "a int as verified"),
        ({"can_log_in": "no"}, "a str as can_log_in"),
        ({"previous": ["jane@mail.example"]}, "a list as previous"),
        ({"changed_at": "2026-03-01T00:00:00Z"}, "a str as changed_at"),
        ({"changed_at": datetime(2026, 3, 1)}, "a time without time zone as changed_at"),  # noqa: DTZ001  # the fault of the answer
    ],
)
def test_an_answer_of_another_type_is_refused(fields: dict[str, Any], said: str) -> None:
    """Before it is used: "false" would count as verified. The error names the field and the type, and no value."""
    broken = Answering(Contact(**GOOD | fields))
    for ask in (look_up, last_change):
        with pytest.raises(SourceRefused, match=f"the directory returned {said}") as raised:
            ask(broken, SUBJECT)
        assert "jane" not in f"{raised.value}{raised.value.hint}"


@pytest.mark.parametrize("answer", [{"address": ADDRESS}, (ADDRESS, True), ADDRESS, SimpleNamespace(**GOOD)])
def test_an_answer_that_is_not_a_contact_is_refused(answer: object) -> None:
    """Its type is named."""
    with pytest.raises(SourceRefused, match=f"returned a {type(answer).__name__}") as raised:
        look_up(Answering(answer), SUBJECT)
    assert "jane" not in f"{raised.value}"


def test_an_error_of_the_plugin_is_a_refusal() -> None:
    """Its text may have an address; the errors of the plug-in API are passed on as they are."""
    with pytest.raises(SourceRefused, match=r"^the directory raised KeyError$") as raised:
        look_up(Answering(KeyError(ADDRESS)), SUBJECT)
    assert raised.value.__cause__ is None
    with pytest.raises(SourceUnavailable, match="away"):
        look_up(Answering(SourceUnavailable("away")), SUBJECT)

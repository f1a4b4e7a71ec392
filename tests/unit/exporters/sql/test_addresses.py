from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from exporters.sql.addresses import Owner, had_it_together, is_of_one, same_name

AT = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("moment", "is_hers"),
    [(None, False), (AT - DAY, False), (AT, True), (AT + DAY, True), (AT + 2 * DAY, False), (AT + 3 * DAY, False)],
)
def test_the_time_of_an_address(moment: datetime | None, is_hers: bool) -> None:
    """It is the person's from the proof, inclusive, to the end of the record, exclusive."""
    assert is_of_one([Owner("con_1", AT, AT + 2 * DAY)], {"con_1"}, moment) is is_hers


@pytest.mark.parametrize(
    ("other", "is_hers"),
    [
        (Owner("con_2", None, None), False),
        (Owner("con_2", AT + 9 * DAY, None), False),
        (Owner("con_2", AT - 9 * DAY, AT), True),
        (Owner("con_3", AT, None), True),
    ],
)
def test_a_second_person_with_the_address(other: Owner, is_hers: bool) -> None:
    """A second record counts unless it had ended before; a further record of the same person does not count."""
    assert is_of_one([Owner("con_1", AT, None), other], {"con_1", "con_3"}, AT) is is_hers


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (Owner("a", AT, None), Owner("b", AT + DAY, None), True),
        (Owner("a", AT, AT + DAY), Owner("b", AT + DAY, None), False),
        (Owner("a", AT, None), Owner("b", None, None), False),
    ],
)
def test_two_records_with_one_address(first: Owner, second: Owner, together: bool) -> None:
    """They are one person if both had proved it at the same time."""
    assert had_it_together(first, second) is together
    assert had_it_together(second, first) is together


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Ana  Rossi", "ana rossi", True),
        ("Rossi Ana", "Ana Rossi", True),
        ("Ana", "Ana Rossi", None),
        (None, "Ana", None),
        ("", "", None),
        ("Ana Rossi", "Eva Rossi", False),
    ],
)
def test_names_of_records(first: str | None, second: str | None, same: bool | None) -> None:
    """Case, spaces and order do not count; a missing name, or one with more words, decides nothing."""
    assert same_name(first, second) is same
    assert same_name(second, first) is same

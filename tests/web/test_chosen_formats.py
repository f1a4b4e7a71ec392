"""The page of a person offers formats in plain words, and leaves the choice to the profile unless one is made."""

from __future__ import annotations

import re

import pytest
from served import Browser, Served
from sqlalchemy import select

from portability.database import models
from portability.database.engine import reading

TABLES = ["jsonl", "csv", "vcon"]
CHECKED = [*TABLES, "xlsx", "webvtt"]


def stored_formats(served: Served, visitor: Browser, profile: str, formats: list[str]) -> list[str]:
    answer = visitor.send("/me/exports", page="/me", profile=profile, formats=formats)
    export_id = answer.headers["location"].rsplit("/", 1)[1]
    with reading(served.world.engine) as connection:
        found = connection.execute(select(models.export.c.formats).where(models.export.c.id == export_id)).scalar_one()
    return list(found)


def test_the_page_names_what_each_format_is_for(served: Served) -> None:
    """Those of the first profile are chosen; the others can be."""
    with served.browser("usr_formats") as visitor:
        page = visitor.client.get("/me").text
    boxes = dict(re.findall(r'name="formats" value="(\w+)"( checked)?>', page))
    assert [name for name, is_checked in boxes.items() if is_checked] == CHECKED
    assert {"vcard", "icalendar", "eml", "sqlite"} <= boxes.keys()
    assert "Contacts, for my address book" in page
    assert "Workbook, for Excel" in page


@pytest.mark.parametrize(
    ("profile", "chosen", "stored"),
    [
        ("access", CHECKED, CHECKED),
        ("access", [], CHECKED),
        ("portability", CHECKED, [*TABLES, "vcard", "icalendar", "webvtt"]),
        ("portability", ["jsonl", "xlsx"], ["jsonl", "xlsx"]),
        ("access", ["jsonl", "parquet", "eml"], ["jsonl", "eml"]),
    ],
    ids=["unchanged", "nothing", "another profile", "chosen", "not of this profile"],
)
def test_an_unchanged_choice_is_that_of_the_profile(
    served: Served, profile: str, chosen: list[str], stored: list[str]
) -> None:
    """The page has one list for all profiles, so it cannot show the defaults of each."""
    with served.browser(f"usr_{profile}_{len(chosen)}") as visitor:
        assert stored_formats(served, visitor, profile, chosen) == stored

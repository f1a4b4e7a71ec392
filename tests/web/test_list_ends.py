"""Lists of pages that are not read page by page: each says that there is more."""

from __future__ import annotations

import re

import pytest
from served import Served
from sqlalchemy import delete

from portability.database import models
from portability.database.engine import reading, writing
from portability.messages import outbox
from portability.requests import desk_queue, exports
from portability.trust import audit_search


@pytest.fixture(scope="module")
def eager(served: Served) -> list[str]:
    """Twelve requests of one person, the oldest first."""
    return [served.world.request("user:usr_eager", since=f"2026-01-{day:02}") for day in range(1, 13)]


def _listed(page: str) -> list[str]:
    return re.findall(r'href="/staff/exports/([a-z2-7]{24})"', page)


def _ref(served: Served, export_id: str) -> str:
    with reading(served.world.engine) as connection:
        return str(exports.get(connection, export_id)["subject_ref"])


def test_further_requests_of_a_person_lead_to_all_of_them(served: Served, eager: list[str]) -> None:
    """The page of a request shows the newest ten others; the search finds the rest by the pseudonym."""
    more = f'href="/staff?q={_ref(served, eager[-1])}"'
    with served.browser("sam", "staff") as visitor:
        section = visitor.client.get(f"/staff/exports/{eager[-1]}").text.partition('id="others"')[2]
        assert _listed(section) == eager[-2:0:-1]
        assert more in section
        assert _listed(visitor.client.get(f"/staff?q={_ref(served, eager[-1])}").text) == eager[::-1]


def test_ten_further_requests_of_a_person_are_all(served: Served) -> None:
    """Then no link leads to more."""
    made = [served.world.request("user:usr_calm", since=f"2026-01-{day:02}") for day in range(1, 12)]
    with served.browser("sam", "staff") as visitor:
        section = visitor.client.get(f"/staff/exports/{made[0]}").text.partition('id="others"')[2]
    assert _listed(section) == made[:0:-1]
    assert "/staff?q=" not in section


@pytest.mark.parametrize(("most", "is_cut"), [(11, True), (12, False)])
def test_a_search_that_finds_more_than_it_shows_says_so(
    served: Served, eager: list[str], monkeypatch: pytest.MonkeyPatch, most: int, is_cut: bool
) -> None:
    """By the form and by the address of a search; the newest are shown."""
    monkeypatch.setattr(desk_queue, "FOUND_MAX", most)
    said = f"Only the newest {most} are shown."
    with served.browser("sam", "staff") as visitor:
        pages = [visitor.send("/staff/search", q="usr_eager").text, visitor.client.get("/staff?q=usr_eager").text]
    assert [_listed(page) for page in pages] == [eager[::-1][:most]] * 2
    assert [said in page for page in pages] == [is_cut] * 2


@pytest.mark.parametrize(("count", "is_cut"), [(20, False), (21, True)])
def test_a_person_sees_that_there_were_more_messages(served: Served, count: int, is_cut: bool) -> None:
    """The page shows the newest twenty."""
    person = f"usr_informed_{count}"
    export_id = served.world.request(f"user:{person}")
    with writing(served.world.engine) as connection:
        connection.execute(delete(models.notification).where(models.notification.c.export_id == export_id))
        for number in range(count):
            outbox.queue(connection, outbox.MessageKind.LINK_MADE, export_id, occasion=f"lnk_{number}")
    with served.browser(person) as visitor:
        shown = visitor.client.get("/me").text.partition('id="messages"')[2]
    assert shown.count("A link to a copy was made") == 20
    assert ("Only the newest 20 are shown." in shown) is is_cut


@pytest.mark.parametrize(("most", "is_cut"), [(11, True), (12, False)])
def test_the_audit_page_says_that_older_requests_are_not_searched(
    served: Served, eager: list[str], monkeypatch: pytest.MonkeyPatch, most: int, is_cut: bool
) -> None:
    """What others did with one of them is found by its reference."""
    with served.browser("sam", "staff") as visitor:
        visitor.send(f"/staff/exports/{eager[0]}/assignment/me")
    monkeypatch.setattr(audit_search, "REQUESTS_MAX", most)
    with served.browser("ann", "auditor") as visitor:
        page = visitor.client.get("/staff/audit", params={"person": "usr_eager", "action": "export.assigned"}).text
        older = visitor.client.get("/staff/audit", params={"person": eager[0], "action": "export.assigned"}).text
    assert [f"<code>{eager[0]}</code>" in each for each in (page, older)] == [not is_cut, True]
    assert (f"newest requests of this person are searched, at most {most}" in page) is is_cut
    assert "requests of this person" not in older

"""The desk in a browser: an hour of support with its clicks counted, the keyboard alone, every page accessible."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import pytest
from browsing import unfold
from factories import MadeUpExporter, things
from playwright.sync_api import Browser, Locator, Page, expect
from served import CONTACT, OTHER, OWNER, TENANT, Served, serving
from visits import PHONE, VisitedStack, check_accessible, follow, log_in, visiting

from portability import locale
from portability.api import Identity, SubjectKind
from portability.database.engine import reading, writing
from portability.desk import notes
from portability.requests import exports
from portability.requests.policy import Actor

TEN = 10
"""Requests that are answered in the same way: one in each run of the tests, nine more in those of systems."""
CLICKS_MAX = 4
"""For each request: to find it, to take it, to answer it."""
TABS_MAX = 120
OUTLINE = """() => { const seen = getComputedStyle(document.activeElement);
    return [seen.outlineStyle, parseFloat(seen.outlineWidth)]; }"""
OUTLINE_MIN = 2
"""Pixels (WCAG 2.2, 2.4.13)."""
Scheme: TypeAlias = Literal["light", "dark"]


class AddressedAccounts(MadeUpExporter):
    """Knows accounts by their addresses: `person7@mail.example` is the account usr_7."""

    def identities(self, subject: object) -> list[Identity]:
        known = subject.verified("email")  # type: ignore[attr-defined]  # a Subject
        names = [address.partition("@")[0] for address in known]
        ids = [name.removeprefix("person") for name in names if name.startswith("person")]
        return [Identity("made_up", "user_id", f"usr_{number}", verified=True) for number in ids]


@dataclass
class VisitedDesk:
    """A server with its pages."""

    served: Served
    stack: VisitedStack


@pytest.fixture(scope="module")
def visited_desk(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedDesk]:
    """A desk where no worker runs."""
    exporters = {"made_up": AddressedAccounts(things(5), subject_kinds=frozenset(SubjectKind))}
    trial: dict[str, Any] = {"oidc_issuer": None, "oidc_client_id": None, "oidc_client_secret": None}
    with serving(
        tmp_path_factory.mktemp("desk"), redis_server, exporters=exporters, development_login=True, **trial
    ) as served:
        vars(served.app.state.place)["exporters"] = exporters  # the server has those of the platform
        stack = VisitedStack(cast("Any", None), served.url, OWNER, OTHER, CONTACT, TENANT)
        yield VisitedDesk(served, stack)


@dataclass
class Clicks:
    """Clicks on a page, and the key that sends a form: each counts as one."""

    page: Page
    count: int = 0

    def on(self, what: Locator) -> None:
        self.count += 1
        follow(self.page, what)

    def enter(self) -> None:
        self.count += 1
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")


def find_and_take(clicks: Clicks, number: int) -> None:
    """By the address that a caller says: the only request of the account opens at once."""
    clicks.page.get_by_label("Find requests").fill(f"person{number}@mail.example")
    clicks.enter()
    clicks.on(clicks.page.get_by_role("button", name="Assign to me"))


def refuse(clicks: Clicks) -> None:
    """With a text of the register, which is read before it is sent."""
    clicks.on(clicks.page.get_by_role("link", name="No mandate"))
    expect(clicks.page.get_by_label("Reason (the person reads it)")).to_have_text(
        re.compile("a mandate of this person")
    )
    clicks.on(clicks.page.get_by_role("button", name="Refuse"))


def ask_back(clicks: Clicks) -> None:
    """With a text that is copied into a mail."""
    clicks.on(clicks.page.get_by_role("link", name="Ask which data is meant"))
    expect(clicks.page.get_by_label("Text", exact=True)).to_have_text(re.compile("Which part do you need"))


def note_call(clicks: Clicks) -> None:
    """On the phone; the note says what was said."""
    clicks.page.get_by_label("New note").fill("Called: the person knows the day.")
    clicks.on(clicks.page.get_by_role("button", name="Add note"))


ANSWERS = (refuse, ask_back, note_call)


@pytest.mark.parametrize("each", [1, pytest.param(9, marks=pytest.mark.system)])
@pytest.mark.parametrize(("role", "answer"), [("officer", refuse), ("staff", ask_back), ("staff", note_call)])
def test_an_hour_of_support(
    browser: Browser, visited_desk: VisitedDesk, role: str, answer: Callable[[Clicks], None], each: int
) -> None:
    """Each request is found by an address, taken and answered with four clicks at most; all together are thirty."""
    first = ANSWERS.index(answer) * TEN + (0 if each == 1 else 1)
    numbers = range(first, first + each)
    mine = [(number, visited_desk.served.world.request(f"user:usr_{number}")) for number in numbers]
    with visiting(browser, visited_desk.stack) as page:
        log_in(page, visited_desk.stack, role, f"sam-{answer.__name__}")
        counted = []
        for number, export_id in mine:
            clicks = Clicks(page)
            find_and_take(clicks, number)
            answer(clicks)
            counted.append(clicks.count)
            assert export_id in page.url
            if answer is ask_back:
                page.go_back()
        assert max(counted) <= CLICKS_MAX
        assert len(counted) == each
    with reading(visited_desk.served.world.engine) as connection:
        rows = [exports.get(connection, export_id) for _number, export_id in mine]
    assert {row["assignee"] for row in rows} == {f"sam-{answer.__name__}"}
    assert {row["state"] == "denied" for row in rows} == {answer is refuse}


def test_from_the_login_to_the_file_in_two_clicks(browser: Browser, visited_desk: VisitedDesk) -> None:
    """One logs in, one downloads."""
    visited_desk.served.ready(f"user:{OWNER}")
    with visiting(browser, visited_desk.stack) as page:
        page.goto(f"{visited_desk.stack.url}/login")
        page.get_by_label("Role").select_option("subject")
        page.get_by_label("Your ID").fill(OWNER)
        clicks = Clicks(page)
        clicks.on(page.get_by_role("main").get_by_role("button", name="Log in"))
        with page.expect_download() as begun:
            clicks.count += 1
            page.get_by_role("button", name=re.compile("^Download")).click()
        assert begun.value.suggested_filename.endswith(".zip")
        assert clicks.count == 2


def tab_to(page: Page, what: Locator) -> None:
    """Press Tab until a thing has the focus; on the way, each focus is visible."""
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        style, width = page.evaluate(OUTLINE)
        assert style != "none"
        assert width >= OUTLINE_MIN
        if what.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"no Tab leads to {what}")


def press(page: Page, what: Locator, key: str = "Enter") -> None:
    """Lead the focus to a thing that leads to another page, and press a key."""
    tab_to(page, what)
    with page.expect_navigation():
        page.keyboard.press(key)


def test_the_whole_desk_with_the_keyboard_alone(browser: Browser, visited_desk: VisitedDesk) -> None:
    """Without script and mouse: log in, search, take, note, refuse, save a list, give requests to a colleague."""
    export_id = visited_desk.served.world.request("user:usr_900")
    second = visited_desk.served.world.request("user:usr_901")
    with visiting(browser, visited_desk.stack, java_script_enabled=False) as page:
        log_in(page, visited_desk.stack, "staff", "otto")
        page.goto(f"{visited_desk.stack.url}/login")
        tab_to(page, page.get_by_label("Role"))
        page.keyboard.type("privacy")
        tab_to(page, page.get_by_label("Your ID"))
        page.keyboard.type("olga")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        tab_to(page, page.get_by_label("Find requests"))
        page.keyboard.type("usr_900")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        press(page, page.get_by_role("button", name="Assign to me"))
        tab_to(page, page.get_by_label("New note"))
        page.keyboard.type("Wrote twice.")
        press(page, page.get_by_role("button", name="Add note"))
        expect(page.get_by_text("Wrote twice.")).to_be_visible()
        press(page, page.get_by_role("link", name="No mandate"))
        press(page, page.get_by_role("button", name="Refuse"))
        press(page, page.get_by_role("link", name="← "))
        tab_to(page, page.get_by_text("Save this list"))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_label("Name of the list"))
        page.keyboard.type("My morning")
        press(page, page.get_by_role("button", name="Save list"))
        expect(page.get_by_role("link", name="My morning")).to_be_visible()
        tab_to(page, page.get_by_label(f"Select: {second[:8]}"))
        page.keyboard.press("Space")
        tab_to(page, page.get_by_label("Colleague"))
        page.keyboard.type("otto")
        press(page, page.get_by_role("button", name="Assign", exact=True))
        press(page, page.get_by_role("button", name="Assign requests to a colleague"))
        expect(page.get_by_text("Done for 1 of 1.")).to_be_visible()
    states = {each: visited_desk.served.world.view(each)["state"] for each in (export_id, second)}
    assert states == {export_id: "denied", second: "queued"}


def pages_of(visited_desk: VisitedDesk) -> list[str]:
    """The pages of the desk about a request that waits, with a note and a saved list."""
    export_id = visited_desk.served.world.request("user:usr_950")
    with writing(visited_desk.served.world.engine) as connection:
        settings = visited_desk.served.world.place.settings
        notes.write(connection, settings, export_id, "She wrote twice.", "person", actor=Actor("staff", "sam"))
    request = f"/staff/exports/{export_id}"
    return [
        "/staff",
        "/staff?state=assigned&to=otto",
        request,
        f"{request}/texts/no_mandate",
        f"{request}/texts/which_data",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_of_the_desk_is_accessible(
    browser: Browser, visited_desk: VisitedDesk, axe: str, scheme: Scheme
) -> None:
    """Axe finds nothing serious, with everything open that can be opened, in either colour scheme."""
    paths = pages_of(visited_desk)
    with visiting(browser, visited_desk.stack, color_scheme=scheme) as page:
        log_in(page, visited_desk.stack, "officer", "olga")
        for path in paths:
            page.goto(f"{visited_desk.stack.url}{path}")
            unfold(page)
            check_accessible(page, axe)


@pytest.mark.parametrize("language", locale.languages())
def test_the_desk_on_a_phone(browser: Browser, visited_desk: VisitedDesk, language: str) -> None:
    """In each language nothing is wider than the phone."""
    paths = pages_of(visited_desk)
    with visiting(browser, visited_desk.stack, PHONE, locale=language) as page:
        page.goto(f"{visited_desk.stack.url}/login")
        page.locator("#role").select_option("officer")
        page.locator("#id").fill("olga")
        follow(page, page.get_by_role("main").get_by_role("button"))
        for path in paths:
            page.goto(f"{visited_desk.stack.url}{path}")
            unfold(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path

"""Pages that a script keeps up to date: what a person is typing stays, and the end of a session is seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from scenes import add_session
from served import OWNER, Served, serving

from portability.database import models
from portability.database.engine import writing

DAY = "2026-01-05"


@pytest.fixture(scope="module")
def staged(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("live"), redis_server, exports_per_month=100) as made:
        yield made


@pytest.fixture
def waiting(browser: Browser, staged: Served) -> Iterator[Page]:
    """The owner's page while a copy waits."""
    staged.world.request(f"user:{OWNER}")
    context = browser.new_context(locale="en-GB")
    add_session(context, staged, OWNER)
    page = context.new_page()
    page.goto(f"{staged.url}/me")
    expect(page.get_by_role("heading", name="Waiting to start")).to_be_visible()
    page.get_by_text("Choose parts, formats or a period").click()
    yield page
    context.close()


@pytest.mark.parametrize("is_typed", [True, False])
def test_a_copy_that_becomes_ready_takes_no_text_away(staged: Served, waiting: Page, *, is_typed: bool) -> None:
    """The card shows the files; the page is loaded anew only where nothing is filled in."""
    if is_typed:
        waiting.locator("#since").fill(DAY)
    loaded: list[str] = []
    waiting.on("load", lambda _page: loaded.append(waiting.url))
    staged.world.advance_all()
    expect(waiting.get_by_role("button", name="Download")).to_be_visible()
    waiting.wait_for_load_state()
    assert (waiting.locator("#since").input_value(), len(loaded)) == ((DAY, 0) if is_typed else ("", 1))


def test_another_language_keeps_what_is_typed(staged: Served, waiting: Page) -> None:
    """Texts, choices and boxes, also of a form that came back; once, so that the browser keeps nothing."""
    box = waiting.locator("main input[type=checkbox]").first
    is_checked = box.is_checked()
    box.set_checked(not is_checked)
    waiting.locator("#since").fill("2026-02-01")
    waiting.locator("#until").fill(DAY)
    with waiting.expect_navigation():
        waiting.get_by_role("button", name="DE, Deutsch").click()
    expect(waiting.locator("html")).to_have_attribute("lang", "de")
    expect(waiting.locator("#until")).to_be_visible()
    assert (waiting.locator("#until").input_value(), box.is_checked()) == (DAY, not is_checked)
    assert waiting.evaluate("sessionStorage.length") == 0
    for name in ("Meine Daten anfordern", "Zurück"):
        with waiting.expect_navigation():
            waiting.get_by_role("button", name=name).click()
    with waiting.expect_navigation():
        waiting.get_by_role("button", name="EN, English").click()
    assert waiting.locator("#since").input_value() == "2026-02-01"
    staged.world.advance_all()


def test_a_form_that_came_back_stays(staged: Served, waiting: Page) -> None:
    """A page that a form has made cannot be loaded anew without sending the form again."""
    waiting.locator("#since").fill("2026-02-01")
    waiting.locator("#until").fill(DAY)
    for button in ("Request my data", "Go back"):
        with waiting.expect_navigation():
            waiting.get_by_role("button", name=button).click()
    loaded: list[str] = []
    waiting.on("load", lambda _page: loaded.append(waiting.url))
    staged.world.advance_all()
    expect(waiting.get_by_role("button", name="Download")).to_be_visible()
    assert (waiting.locator("#until").input_value(), loaded) == (DAY, [])


def test_an_ended_session_leads_to_the_login(staged: Served, waiting: Page) -> None:
    """The page would show the same state for ever. The login leads back to it."""
    with waiting.expect_navigation():
        waiting.locator(".standing .actions a").click()
    with writing(staged.world.engine) as connection:
        connection.execute(models.session.delete())
    with waiting.expect_request("**/login?next=/me/exports/*"):
        pass
    expect(waiting.get_by_role("heading", name="Waiting to start")).to_be_visible()
    staged.world.advance_all()

"""The person's pages with JavaScript switched off: each form does what its button says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from factories import things
from fastapi.routing import iter_route_contexts
from playwright.sync_api import Browser, Page, Request, expect
from scenes import SometimesLacking, add_session
from sending import recorded, sender
from served import OWNER, Served
from starlette.routing import compile_path
from transferring import Provider, authorised
from visits import follow

from portability.requests.policy import Actor

BESIDE = {"/language", "/logout"}
"""Forms in the head of each page."""
OF_PROVIDERS = {"/me/pulls/{handle}"}
"""The answer to a provider that asks: `test_pulled.py` posts it without script."""


@pytest.fixture(scope="module")
def lacking() -> SometimesLacking:
    return SometimesLacking(things(5))


@pytest.fixture(scope="module")
def staged(redis_server: str, lacking: SometimesLacking, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("without-script")
    with sender(folder, redis_server, lacking, exports_per_month=100) as made:
        yield made


@pytest.fixture
def recipient(staged: Served) -> Iterator[Provider]:
    with recorded(staged) as provider:
        yield provider


@pytest.fixture
def unscripted(browser: Browser, staged: Served) -> Iterator[Page]:
    """The owner's browser, which runs no script."""
    context = browser.new_context(java_script_enabled=False, locale="en-GB")
    add_session(context, staged, OWNER)
    yield context.new_page()
    context.close()


def posted(staged: Served) -> list[str]:
    """The paths of the application that forms are sent to."""
    return [str(one.path) for one in iter_route_contexts(staged.app.routes) if "POST" in (one.methods or ())]


def test_each_form_works_without_script(
    staged: Served, lacking: SometimesLacking, recipient: Provider, unscripted: Page
) -> None:
    """Requests, cancels, schedules, stops, reads again, downloads, revokes, sends, takes back, confirms, logs out."""
    sent_to: list[str] = []

    def heard(request: Request) -> None:
        if request.method == "POST":
            sent_to.append(request.url.removeprefix(staged.url))

    page = unscripted
    page.on("request", heard)
    lacking.lack(lacks=True)
    lacks = staged.ready(since="2019-01-01")
    lacking.lack(lacks=False)
    portable = staged.ready(profile="portability")
    by_letter = {"evidence": "letter 17", "actor": Actor("operator", "test")}
    authorised(staged.world, recipient.recipient, subject=f"user:{OWNER}", **by_letter)

    page.goto(f"{staged.url}/me")
    follow(page, page.get_by_role("button", name="Request my data"))
    expect(page.get_by_role("heading", name="Waiting to start")).to_be_visible()
    follow(page, page.get_by_role("button", name="Cancel this copy"))
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()

    _come_back(staged, page)
    page.goto(f"{staged.url}/me")
    page.get_by_text("Choose parts, formats or a period").click()
    page.get_by_label("Every two months for a year").check()
    follow(page, page.get_by_role("button", name="Request my data"))
    page.goto(f"{staged.url}/me")
    follow(page, page.get_by_role("button", name="Stop: Scheduled copies"))
    expect(page.get_by_role("heading", name="Scheduled copies")).to_be_hidden()

    page.goto(f"{staged.url}/me/exports/{lacks}")
    follow(page, page.get_by_role("button", name="Try again"))
    expect(page.get_by_text("reading what is missing again")).to_be_visible()

    page.goto(f"{staged.url}/me/exports/{portable}")
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download").click()
    assert begun.value.suggested_filename.endswith(".zip")
    page.get_by_text("About this copy").click()
    follow(page, page.get_by_role("button", name="Revoke all download links"))
    expect(page.get_by_text("All download links are revoked.")).to_be_visible()
    _send_with_another_day(page)
    expect(page.get_by_text("Being prepared")).to_be_visible()
    follow(page, page.get_by_role("button", name="Withdraw"))
    expect(page.get_by_text("Being prepared")).to_be_hidden()

    page.goto(f"{staged.url}/me")
    follow(page, page.get_by_role("button", name="Confirm: Other Care"))
    follow(page, page.get_by_role("button", name="Withdraw: Other Care"))
    expect(page.get_by_role("button", name="Withdraw: Other Care")).to_have_count(0)

    follow(page, page.get_by_role("button", name="ID, Bahasa Indonesia"))
    expect(page.get_by_role("heading", name="Data Anda")).to_be_visible()
    follow(page, page.get_by_role("button", name="EN, English"))
    _end_sessions(staged, page)

    assert {form_of(staged, path) for path in sent_to} == {
        *(path for path in posted(staged) if path.startswith("/me") and path not in OF_PROVIDERS),
        *BESIDE,
    }


def form_of(staged: Served, path: str) -> str:
    """The path of the application that an address belongs to: an exact one before one with a parameter."""
    found = [name for name in posted(staged) if compile_path(name)[0].match(path)]
    return path if path in found else found[0]


def _come_back(staged: Served, page: Page) -> None:
    """Enter a period that is empty, and go back to the form, which still has it."""
    page.goto(f"{staged.url}/me")
    page.get_by_text("Choose parts, formats or a period").click()
    page.locator("#since").fill("2026-02-01")
    page.locator("#until").fill("2026-01-01")
    follow(page, page.get_by_role("button", name="Request my data"))
    follow(page, page.get_by_role("button", name="Go back"))
    expect(page.locator("#since")).to_have_value("2026-02-01")


def _send_with_another_day(page: Page) -> None:
    """Send data until a day that has passed, go back to the form, which still has the day, and send it without."""
    page.get_by_label("I agree that these parts").check()
    page.locator("#until").fill("2026-01-01")
    page.locator("#until").evaluate("field => field.removeAttribute('min')")
    follow(page, page.get_by_role("button", name="Send my data"))
    follow(page, page.get_by_role("button", name="Go back"))
    expect(page.locator("#until")).to_have_value("2026-01-01")
    page.locator("#until").fill("")
    page.get_by_label("I agree that these parts").check()
    follow(page, page.get_by_role("button", name="Send my data"))


def _end_sessions(staged: Served, page: Page) -> None:
    """End a newer session, then all of them, then the one of another login by the button at the top."""
    with staged.browser(OWNER):
        pass
    page.goto(f"{staged.url}/me/sessions")
    listed = page.get_by_role("button", name=re.compile("^Log out:"))
    before = listed.count()
    follow(page, listed.first)
    expect(listed).to_have_count(before - 1)
    follow(page, page.get_by_role("button", name="Log out everywhere"))
    expect(page).to_have_url(f"{staged.url}/")
    add_session(page.context, staged, OWNER)
    page.goto(f"{staged.url}/me")
    page.get_by_role("button", name="Log out", exact=True).click()
    page.wait_for_url(f"{staged.issuer.url}/logout**")  # the provider's page, to which the browser goes on by itself

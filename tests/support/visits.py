"""People at the pages of an embedded stack, in a browser."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browsing import violations
from playwright.sync_api import Browser, Locator, Page, expect
from workers import Deployment, until

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDE, PHONE = (1200, 850), (390, 844)


@dataclass
class VisitedStack:
    """The embedded stack, and who is in its made-up data."""

    here: Deployment
    url: str
    user: str
    other: str
    contact: str
    tenant: str


@contextmanager
def standing(folder: Path, **settings: str) -> Iterator[tuple[Deployment, str]]:
    """`portability up` on a folder, and where its pages are."""
    with stack_with(Deployment(folder, {"CLOCK_SECONDS": "0.3", **settings}, forks_children=True)) as stack:
        yield stack


@contextmanager
def stack_with(here: Deployment) -> Iterator[tuple[Deployment, str]]:
    """`portability up` with a deployment's settings, and where its pages are."""
    up = here.start("up", "--workers", "1")
    try:
        until(lambda: here.log.exists() and "open http://" in here.log.read_text(), "the pages are up")
        yield here, here.log.read_text().partition("open ")[2].split()[0]
    finally:
        up.terminate()
        up.wait(60)


@contextmanager
def visiting(
    browser: Browser,
    stack: VisitedStack,
    size: tuple[int, int] = WIDE,
    *,
    locale: str = "en-GB",
    leads_to: str = "-",
    **more: Any,
) -> Iterator[Page]:
    """A page on which nothing is complained of, and nothing is asked for from anywhere but where it `leads_to`."""
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(locale=locale, timezone_id="Asia/Jakarta", viewport=viewport, **more)  # type: ignore[arg-type]  # as playwright has it
    context.set_default_timeout(60_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "status of 40" not in message.text else None)
    page.on(
        "request", lambda request: None if request.url.startswith((stack.url, leads_to)) else faults.append(request.url)
    )
    try:
        yield page
        assert faults == []
    finally:
        context.close()


def log_in(page: Page, stack: VisitedStack, role: str, name: str, *, tenant: str = "", weak: bool = False) -> None:
    page.goto(f"{stack.url}/login")
    page.get_by_label("Role").select_option(role)
    page.get_by_label("Your ID").fill(name)
    page.get_by_label("Company ID").fill(tenant)
    if weak:
        page.get_by_label("Log in without a second factor").check()
    follow(page, page.get_by_role("main").get_by_role("button", name="Log in"))


def ask(page: Page) -> None:
    follow(page, page.get_by_role("button", name="Request my data"))


def follow(page: Page, button: Locator) -> None:
    """Click what leads to another page, and wait for that page: a click alone returns before the form is answered."""
    with page.expect_navigation():
        button.click()


def record_provider(page: Page, stack: VisitedStack, fields: Mapping[str, str]) -> None:
    """An officer fills the form for another provider, in Germany, by the labels of its fields."""
    log_in(page, stack, "officer", "olga")
    follow(page, page.get_by_role("link", name="Other providers"))
    form = page.locator("form[action='/staff/recipients']")
    for label, text in fields.items():
        form.get_by_label(label, exact=label in {"Name", "Domain"}).fill(text)
    form.get_by_label("Country").select_option("DE")
    follow(page, form.get_by_role("button", name="Add provider", exact=True))


def approve_provider(page: Page, stack: VisitedStack) -> None:
    """Another officer approves it, and says so twice."""
    log_in(page, stack, "officer", "otto")
    page.goto(f"{stack.url}/staff/recipients")
    for _time in range(2):
        follow(page, page.get_by_role("button", name="Approve"))
    expect(page.get_by_text("Approved")).to_be_visible()


def check_accessible(page: Page, axe: str) -> None:
    """Axe finds nothing, of whatever impact: its rules for good practice count, too."""
    found = [(each["id"], each["nodes"][0]["html"]) for each in violations(page, axe)]
    assert found == [], page.url


def picture(page: Page, name: str, tmp_path: Path) -> None:
    """A picture of docs/pages.md; SCREENSHOTS=1 takes it again."""
    folder = IMAGES if "SCREENSHOTS" in os.environ else tmp_path
    assert len(page.screenshot(path=folder / f"page-{name}.png")) > 5_000

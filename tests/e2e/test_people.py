"""People use the pages in a browser, on the embedded stack: they need no terminal to get their data."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pyrage
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy import select
from transferring import Provider, providing
from visits import (
    PHONE,
    VisitedStack,
    approve_provider,
    ask,
    check_accessible,
    follow,
    log_in,
    picture,
    record_provider,
    standing,
    visiting,
)
from workers import READY, until

from portability import locale
from portability.database import models
from portability.database.engine import open_engine, reading, writing
from portability.delivery import codes

DOWNLOAD = re.compile("^Download")
FOCUS = """() => {
    const each = document.activeElement, box = each.getBoundingClientRect();
    const {outlineStyle, outlineWidth} = getComputedStyle(each);
    const outlined = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
    const onScreen = box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    return [each.outerHTML.slice(0, 80), each === document.body || outlined && onScreen];
}"""
"""What has the focus, and whether it is seen: on the screen, with an outline. After the last thing nothing has it."""
PICTURED = "id"
"""The language of the phone on the picture in docs/pages.md."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedStack]:
    """`portability up` with a policy that wants four eyes."""
    with standing(tmp_path_factory.mktemp("people"), APPROVALS="policy") as (here, url):
        made = here.json("seed", "--recording-seconds", "1-2")["examples"]
        here.run("instructions", "add", "--tenant", made["contact_tenant"])
        other = made["user"][:-1] + ("1" if made["user"][-1] != "1" else "2")
        yield VisitedStack(here, url, made["user"], other, made["contact"], made["contact_tenant"])


def test_a_person_gets_their_data(browser: Browser, stack: VisitedStack, tmp_path: Path) -> None:
    """Logs in, asks, watches the bar, downloads; the archive verifies, and so it is theirs."""
    with visiting(browser, stack) as page:
        log_in(page, stack, "subject", stack.user)
        picture(page, "ask", tmp_path)
        ask(page)
        expect(page.get_by_role("progressbar").or_(page.get_by_role("button", name=DOWNLOAD))).to_be_visible()
        expect(page.get_by_role("heading", name="Ready")).to_be_visible()
        picture(page, "ready", tmp_path)
        with page.expect_download() as begun:
            page.get_by_role("button", name=DOWNLOAD).click()
        archive = tmp_path / begun.value.suggested_filename
        begun.value.save_as(archive)
        assert stack.user not in archive.name
        page.goto(f"{stack.url}/me")
        picture(page, "me", tmp_path)
    jwks = tmp_path / "jwks.json"
    jwks.write_text(stack.here.run("keys", "jwks").stdout)
    assert stack.here.json("verify", str(archive), "--jwks", str(jwks))["ok"]
    with zipfile.ZipFile(archive) as volume:
        assert any(name.endswith("/index.html") for name in volume.namelist())


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus; wherever the focus is on the way, it is seen."""
    passed = []
    for _ in range(80):
        page.keyboard.press("Tab")
        focused, is_seen = page.evaluate(FOCUS)
        assert is_seen, f"the focus is not seen: {focused}"
        if target.evaluate("each => each === document.activeElement"):
            return
        passed.append(focused)
    raise AssertionError(f"Tab does not lead to {target}: {passed}")


def press(page: Page, target: Locator, key: str) -> None:
    """Go there by Tab, and press a key that leads to another page."""
    tab_to(page, target)
    with page.expect_navigation():
        page.keyboard.press(key)


def test_it_works_without_script_and_by_keyboard(browser: Browser, stack: VisitedStack) -> None:
    """From the front door to the file by Tab, Space, Enter, arrows and letters alone, with JavaScript switched off."""
    with visiting(browser, stack, java_script_enabled=False) as page:
        button = partial(page.get_by_role, "button")
        page.goto(stack.url)
        press(page, page.get_by_role("main").get_by_role("link", name="Log in"), "Enter")
        tab_to(page, page.get_by_label("Your ID"))
        page.keyboard.type(stack.user)
        press(page, page.get_by_role("main").get_by_role("button", name="Log in"), "Enter")
        tab_to(page, page.get_by_role("link", name="Skip to the content"))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_role("radio", name="All my data"))
        page.keyboard.press("ArrowDown")
        expect(page.get_by_role("radio", name="My data for another provider")).to_be_checked()
        tab_to(page, page.locator("summary", has_text="Choose parts, formats or a period"))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_role("checkbox", name="Chats"))
        page.keyboard.press("Space")
        expect(page.get_by_role("checkbox", name="Chats")).not_to_be_checked()
        press(page, button(name="Request my data"), "Enter")
        page.wait_for_url("**/me/exports/*")
        heading = page.get_by_role("heading", name="Ready")
        until(lambda: page.reload() is not None and heading.is_visible(), "the copy is ready")
        tab_to(page, button(name=DOWNLOAD))
        with page.expect_download() as begun:
            page.keyboard.press("Enter")
        assert begun.value.suggested_filename.endswith(".zip")
        tab_to(page, page.locator("summary", has_text="About this copy"))
        page.keyboard.press("Space")
        press(page, button(name="Revoke all download links"), "Enter")
        press(page, page.get_by_role("link", name="Sessions"), "Enter")
        press(page, button(name="Log out everywhere"), "Space")
        expect(page.get_by_role("main").get_by_role("link", name="Log in")).to_be_visible()


def test_a_weak_login_is_asked_to_confirm(browser: Browser, stack: VisitedStack) -> None:
    """One factor is enough to look and not to request: a page explains it, and leads to the second factor."""
    with visiting(browser, stack) as page:
        log_in(page, stack, "subject", stack.other, weak=True)
        ask(page)
        expect(page.get_by_role("heading", name="Confirm your identity")).to_be_visible()
        follow(page, page.get_by_role("link", name="Log in again"))
        expect(page).to_have_url(re.compile(r"/login\?next=/me&again=1&form=[\w-]+$"))


def test_a_contact_gets_an_archive_with_a_code(browser: Browser, stack: VisitedStack, axe: str, tmp_path: Path) -> None:
    """Staff ask for them; the link's page takes the code of the mail, and gives the archive."""
    asked = ("--profile", "access", "--subject", f"contact:{stack.contact}", "--tenant", stack.tenant)
    made = stack.here.json("request", *asked, "--reason", "letter of 20 November", "--wait", expect=READY)
    link = stack.here.json("link", made["id"])
    path = "/d/" + link["url"].rpartition("/d/")[2]
    with visiting(browser, stack, PHONE) as page:
        page.goto(f"{stack.url}{path}")
        check_accessible(page, axe)
        follow(page, page.get_by_role("button", name="Send code"))
        picture(page, "code", tmp_path)
        page.get_by_label("8-digit code").fill(_code_of(stack))
        follow(page, page.get_by_role("button", name="Continue"))
        with page.expect_download() as begun:
            page.get_by_role("button", name=DOWNLOAD).click()
        assert begun.value.suggested_filename.endswith(".zip")
        stack.here.run("revoke", link["id"])
        page.goto(f"{stack.url}{path}")
        expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()


def _code_of(stack: VisitedStack) -> str:
    engine = open_engine(f"sqlite:///{stack.here.folder / 'portability.sqlite'}")
    with reading(engine) as connection:
        newest = (
            connection.execute(select(models.code.c.id).order_by(models.code.c.created_at.desc())).scalars().first()
        )
        text = codes.text(connection, stack.here.folder / "keys", str(newest))
    engine.dispose()
    assert text is not None
    return text


def test_an_expired_link_says_so(browser: Browser, stack: VisitedStack) -> None:
    """Like an export that never existed: its page is the same."""
    with visiting(browser, stack) as page:
        log_in(page, stack, "subject", stack.user)
        ask(page)
        expect(page.get_by_role("heading", name="Ready")).to_be_visible()
        export_id = page.url.rpartition("/")[2]
        path = "/d/" + stack.here.json("link", export_id)["url"].rpartition("/d/")[2]
        page.goto(f"{stack.url}{path}")
        expect(page.get_by_role("button", name=DOWNLOAD)).to_be_visible()
        engine = open_engine(f"sqlite:///{stack.here.folder / 'portability.sqlite'}")
        with writing(engine) as connection:
            connection.execute(models.link.update().values(expires_at=models.link.c.created_at))
        engine.dispose()
        page.goto(f"{stack.url}{path}")
        expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()


def test_staff_help_and_see_no_content(browser: Browser, stack: VisitedStack, tmp_path: Path) -> None:
    """They request for a person with a reason and see its progress; no button leads to the data."""
    with visiting(browser, stack) as page:
        log_in(page, stack, "staff", "sam")
        follow(page, page.get_by_role("link", name="New request"))
        page.get_by_label("ID of the person or company").fill(stack.other)
        page.get_by_label("Reason, with the ticket").fill("Ticket 4711: cannot log in any more")
        follow(page, page.get_by_role("button", name="Submit request"))
        expect(page.get_by_role("heading", name="History")).to_be_visible()
        export_id = page.url.rpartition("/")[2]
        until(lambda: stack.here.json("show", export_id)["state"] in {"ready", "review"}, "it is made, or looked at")
        page.reload()
        expect(page.get_by_role("button", name=DOWNLOAD)).to_have_count(0)
        assert stack.other not in page.content()
        picture(page, "request", tmp_path)
        answer = page.goto(f"{stack.url}/me/exports/{export_id}")
        assert answer is not None
        assert answer.status == 403


def test_a_company_leaves_and_an_officer_decides(browser: Browser, stack: VisitedStack, tmp_path: Path) -> None:
    """An administrator asks, an officer approves; another request is refused with its reason."""
    with visiting(browser, stack) as page, visiting(browser, stack) as officer:
        log_in(page, stack, "tenant_admin", "adm", tenant=stack.tenant)
        page.goto(f"{stack.url}/me")
        page.get_by_role("radio", name="All data of the company").check()
        ask(page)
        expect(page.get_by_role("heading", name="Waiting for approval")).to_be_visible()
        address = page.url
        log_in(officer, stack, "officer", "olga")
        picture(officer, "desk", tmp_path)
        officer.goto(f"{stack.url}/staff/exports/{address.rpartition('/')[2]}")
        follow(officer, officer.get_by_role("button", name="Approve"))
        expect(officer.get_by_text("Done.")).to_be_visible()
        expect(page.get_by_role("heading", name="Waiting for approval")).to_be_hidden()
        page.goto(f"{stack.url}/me")
        page.get_by_role("radio", name="All data of the company").check()
        page.get_by_text("Choose parts, formats or a period").click()
        page.get_by_label("From").fill("2026-01-01")
        ask(page)
        officer.goto(f"{stack.url}/staff/exports/{page.url.rpartition('/')[2]}")
        officer.get_by_label("Reason (the person reads it)").fill("The contract does not name you.")
        follow(officer, officer.get_by_role("button", name="Refuse"))
        expect(officer.get_by_role("heading", name="Refuse this request?")).to_be_visible()
        follow(officer, officer.get_by_role("button", name="Refuse"))
        page.reload()
        expect(page.get_by_role("heading", name="Refused", exact=True)).to_be_visible()
        expect(page.get_by_text("The contract does not name you.")).to_be_visible()


def test_on_a_phone_in_the_language_of_the_browser(browser: Browser, stack: VisitedStack, tmp_path: Path) -> None:
    """From the front door to one's own page in Indonesian, which no one had to choose."""
    say = partial(locale.text, PICTURED)
    with visiting(browser, stack, PHONE, locale=PICTURED, color_scheme="dark") as page:
        page.goto(stack.url)
        follow(page, page.get_by_role("main").get_by_role("link", name=say("pages.log_in")))
        page.get_by_label(say("pages.login_id"), exact=True).fill(stack.user)
        follow(page, page.get_by_role("main").get_by_role("button", name=say("pages.log_in")))
        expect(page.get_by_role("heading", name=say("pages.me_title"))).to_be_visible()
        picture(page, "phone", tmp_path)


def record(page: Page, stack: VisitedStack, other: Provider) -> None:
    """An officer records another provider, and reads its secret, this once."""
    fields = {"Name": "Other Care", "Domain": "localhost", "Public key": str(other.identity.to_public())}
    keys = {"Key set": f"{other.server.url}/jwks.json", "Webhook": f"{other.server.url}/hook"}
    record_provider(page, stack, {**fields, **keys})
    other.secret = page.get_by_role("status").locator("code").inner_text()


def fetch(other: Provider) -> httpx.Response:
    """What the provider's program does: reads the link of the webhook, downloads, opens, and signs the receipt."""
    until(lambda: bool(other.webhooks), "the provider is notified")
    url = other.event(other.webhooks[0])["data"]["url"]
    document = httpx.get(url, headers={"Accept": "application/json"}).raise_for_status().json()
    transfer, count = document["transfer"], len(document["volumes"])
    statement = httpx.get(transfer["statement_url"]).raise_for_status().text
    payload = statement.split(".")[1]
    nonce = bytes.fromhex(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["nonce"])
    proofs = hashlib.sha256()
    for volume in document["volumes"]:
        begun = httpx.post(f"{url}/volumes/{volume['number']}")
        content = httpx.get(httpx.URL(url).join(begun.headers["location"])).raise_for_status().content
        assert zipfile.is_zipfile(io.BytesIO(pyrage.decrypt(content, [other.identity])))
        proofs.update(hashlib.sha256(nonce + content).digest())
    claims = {"aud": url.partition("/d/")[0], "possession": proofs.hexdigest()}
    receipt = other.signed(transfer["id"], statement, count, **claims)
    return httpx.post(transfer["receipt_url"], content=receipt, headers={"Content-Type": "application/jose"})


def test_a_person_sends_their_data_to_another_provider(
    browser: Browser, stack: VisitedStack, axe: str, tmp_path: Path
) -> None:
    """Two officers record where it may go; the person says yes; the provider fetches it and signs; the page says so."""
    with (
        providing() as other,
        visiting(browser, stack) as page,
        visiting(browser, stack) as officer,
    ):
        record(officer, stack, other)
        approve_provider(officer, stack)
        check_accessible(officer, axe)
        picture(officer, "providers", tmp_path)
        log_in(page, stack, "subject", stack.other)
        page.get_by_role("radio", name="My data for another provider").check()
        ask(page)
        expect(page.get_by_role("heading", name="Ready")).to_be_visible()
        page.reload()
        check_accessible(page, axe)
        page.get_by_label("I agree that these parts").check()
        picture(page, "send", tmp_path)
        follow(page, page.get_by_role("button", name="Send my data"))
        expect(page.get_by_role("heading", name="Transfers to other providers")).to_be_visible()

        assert fetch(other).status_code == httpx.codes.NO_CONTENT

        page.reload()
        expect(page.get_by_text("Delivered", exact=True)).to_be_visible()
        expect(page.get_by_text("Provider signed the receipt")).to_be_visible()
        check_accessible(page, axe)
        page.evaluate("document.querySelector('#transfers').scrollIntoView()")
        picture(page, "sent", tmp_path)
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        officer.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert officer.evaluate("document.documentElement.scrollWidth <= innerWidth")

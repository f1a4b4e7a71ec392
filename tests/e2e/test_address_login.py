"""A person without account: from a code by mail or SMS to the archive, on a phone."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from postbox import Postbox, bodies
from visits import PHONE, VisitedStack, ask, check_accessible, follow, picture, standing, visiting
from workers import until

READER = "reader@news.example"
NUMBER = "+493090182020"
INQUIRY = """
    INSERT INTO inquiries (id, email, name, subject, message, status, created_at)
    VALUES ('inq_reader', ?, 'Rita Reader', 'Prices', 'What does it cost?', 'closed', '2026-10-01 09:00:00.000000')
"""


@pytest.fixture(scope="module")
def stack(box: Postbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedStack]:
    """`portability up` with a mail server and a folder for SMS; someone without account has made an inquiry."""
    folder = tmp_path_factory.mktemp("address")
    ways = {"SMTP_URL": box.url, "MAIL_FROM": "data@vlint.example", "SMS_URL": (folder / "sms").as_uri()}
    with standing(folder / "data", **ways) as (here, url):
        made = here.json("seed", "--recording-seconds", "1-2")["examples"]
        with sqlite3.connect(here.folder / "platform.sqlite") as source:
            source.execute(INQUIRY, (READER,))
            source.execute(
                "UPDATE users SET email_verified_at = created_at, email = 'owner@vlint.example' WHERE id = ?",
                (made["user"],),
            )
        source.close()
        yield VisitedStack(here, url, made["user"], "", made["contact"], made["contact_tenant"])


def enter(page: Page, stack: VisitedStack, address: str) -> None:
    page.goto(f"{stack.url}/")
    follow(page, page.get_by_role("link", name="I have no account"))
    page.get_by_label("Email address, or phone number with country code").fill(address)
    follow(page, page.get_by_role("button", name="Send code"))


def confirm(page: Page, code: str) -> None:
    page.get_by_label("8-digit code").fill(code)
    follow(page, page.get_by_role("button", name="Continue"))
    expect(page).to_have_url(re.compile("/me$"))


def code_by_mail(box: Postbox, address: str) -> str:
    def mails() -> list[str]:
        pairs = zip(box.recipients, box.taken, strict=False)  # of the newest mail one half may be there
        return [bodies(mail)[0] for to, mail in pairs if to == address and str(mail["Subject"]) == "Your code"]

    until(lambda: bool(mails()), "the mail with the code")
    found = re.search(r"\b\d{4} \d{4}\b", mails()[-1])
    assert found
    return found[0]


@pytest.mark.requirement("R15")
def test_a_reader_gets_what_they_wrote(
    browser: Browser, stack: VisitedStack, box: Postbox, axe: str, tmp_path: Path
) -> None:
    """Code by mail, request, archive: the inquiry of the address is in it. Each page is accessible."""
    with visiting(browser, stack, PHONE) as page:
        page.goto(f"{stack.url}/login/address")
        check_accessible(page, axe)
        enter(page, stack, READER.upper())
        check_accessible(page, axe)
        picture(page, "address", tmp_path)
        confirm(page, code_by_mail(box, READER))
        check_accessible(page, axe)
        ask(page)
        expect(page.get_by_role("heading", name="Ready")).to_be_visible()
        with page.expect_download() as begun:
            page.get_by_role("button", name=re.compile("^Download")).click()
        archive = tmp_path / begun.value.suggested_filename
        begun.value.save_as(archive)
    with zipfile.ZipFile(archive) as volume:
        (name,) = [each for each in volume.namelist() if each.endswith("/inquiries/inquiries.jsonl")]
        (record,) = [json.loads(line) for line in volume.read(name).splitlines()]
    assert (record["email"], record["message"]) == (READER, "What does it cost?")


@pytest.mark.requirement("R15")
def test_the_address_of_an_account_opens_nothing(browser: Browser, stack: VisitedStack, box: Postbox) -> None:
    """The person is asked to log in: on the page, and by mail."""
    with visiting(browser, stack, PHONE) as page:
        enter(page, stack, "owner@vlint.example")
        confirm(page, code_by_mail(box, "owner@vlint.example"))
        ask(page)
        expect(page.get_by_role("heading", name="Please log in to your account")).to_be_visible()
        expect(page.get_by_role("button", name=re.compile("^Download"))).to_have_count(0)


def test_a_number_logs_in_by_sms(browser: Browser, stack: VisitedStack) -> None:
    """The stand-in of the gateway has the text with the code."""
    folder = stack.here.folder.parent / "sms"
    with visiting(browser, stack, PHONE) as page:
        enter(page, stack, "+49 30 9018 2020")
        until(lambda: any(folder.glob("*.json")), "the SMS")
        (path,) = folder.glob("*.json")
        sent = json.loads(path.read_text())
        assert sent["to"] == NUMBER
        confirm(page, sent["text"].partition(" is your code")[0])
        expect(page.get_by_role("contentinfo")).to_contain_text(NUMBER)

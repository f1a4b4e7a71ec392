"""One person who reads German, from the login to the opened archive: no page, mail or document shows English."""

from __future__ import annotations

import re
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import WITHOUT_DATA, opened, visit_everything
from playwright.sync_api import Browser, Page, expect
from postbox import Postbox, bodies
from untranslated import left_in_source, texts_of
from visits import VisitedStack, follow, standing, visiting
from workers import until

ADDRESS = "anna.weber@example.com"


@pytest.fixture(scope="module")
def stack(box: Postbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedStack]:
    """`portability up` with a mail server, and a user whose account says that she reads German."""
    mail = {"SMTP_URL": box.url, "MAIL_FROM": "daten@vlint.example"}
    with standing(tmp_path_factory.mktemp("german"), **mail) as (here, url):
        made = here.json("seed", "--recording-seconds", "1-2")["examples"]
        with sqlite3.connect(here.folder / "platform.sqlite") as source:
            source.execute(
                "UPDATE users SET locale = 'de-DE', email = ?, email_verified_at = created_at WHERE id = ?",
                (ADDRESS, made["user"]),
            )
        source.close()
        yield VisitedStack(here, url, made["user"], "", made["contact"], made["contact_tenant"])


def check(page: Page) -> None:
    """What the person reads on the page is German."""
    texts = texts_of(page.content(), "de")
    assert len(texts) > 5
    assert left_in_source(texts, "de") == [], page.url


@pytest.mark.system
def test_a_person_reads_german_from_login_to_archive(
    browser: Browser, stack: VisitedStack, box: Postbox, tmp_path: Path
) -> None:
    """Log in, request, wait, read the mail, download, and open README, notice and viewer of the archive."""
    with visiting(browser, stack, locale="de-DE") as page:
        page.goto(f"{stack.url}/login")
        check(page)
        page.get_by_label("Rolle").select_option("subject")
        page.locator("#id").fill(stack.user)
        follow(page, page.get_by_role("main").get_by_role("button", name="Anmelden"))
        check(page)
        follow(page, page.get_by_role("button", name="Meine Daten anfordern"))
        expect(page.get_by_role("heading", name="Bereit")).to_be_visible()
        check(page)
        with page.expect_download() as begun:
            page.get_by_role("button", name=re.compile("^Herunterladen")).click()
        archive = tmp_path / begun.value.suggested_filename
        begun.value.save_as(archive)
        page.goto(f"{stack.url}/me")
        check(page)
    _check_mail(box)
    with zipfile.ZipFile(archive) as volume:
        volume.extractall(tmp_path)
    _check_archive(browser, tmp_path / archive.stem)


def _check_mail(box: Postbox) -> None:
    """The mail that says that the copy is ready is in the language of the account."""
    until(lambda: any("bereit" in str(message["Subject"]) for message in box.taken), "the mail has arrived")
    for message in box.taken:
        assert message["To"].addresses[0].addr_spec == ADDRESS
        text, page = bodies(message)
        texts = [*text.split("\n"), *texts_of(page, "de")]
        assert len(texts) > 10
        assert left_in_source((each for each in texts if each.strip()), "de") == []


def _check_archive(browser: Browser, bag: Path) -> None:
    for name in ("README.html", "notice.html"):
        texts = texts_of((bag / name).read_text(), "de")
        assert len(texts) > 50
        assert left_in_source(texts, "de") == []
    with opened(browser, (bag / "index.html").as_uri(), locale="de-DE") as page:
        expect(page.locator("html")).to_have_attribute("lang", "de")
        shown = {text for _ in visit_everything(page) for text in texts_of(page.evaluate(WITHOUT_DATA), "de")}
    assert len(shown) > 50
    assert left_in_source(shown, "de") == []

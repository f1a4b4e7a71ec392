"""A real archive in every language: its README, its notice and its viewer show no English sentence."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from browsing import WITHOUT_DATA, cut_on_paper, opened, unfold, visit_everything
from judges.cases import exported, platform
from playwright.sync_api import Browser, expect
from untranslated import left_in_source, texts_of

from portability import locale

OTHERS = [language for language in locale.languages() if language != locale.SOURCE]
SUBJECTS = ("user", "contact", "tenant")


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The closing volumes of a person's copy, of a customer's data for another provider, and of a company's switch."""
    with platform(tmp_path_factory.mktemp("platform")) as made:
        ids = made.examples
        archives = {
            "user": exported(made.world, f"user:{ids.user}", profile="access"),
            "contact": exported(made.world, f"contact:{ids.contact}", tenant=ids.contact_tenant, profile="portability"),
            "tenant": exported(made.world, f"tenant:{ids.tenant}", profile="switch"),
        }
        return {name: archive.unpacked(tmp_path_factory.mktemp(name))[-1] for name, archive in archives.items()}


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("page", ["README.html", "notice.html"])
def test_a_document_is_in_each_language(bags: dict[str, Path], subject: str, page: str, language: str) -> None:
    """What is in the section of a language is in that language: sentences, dates, descriptions of the datasets."""
    texts = texts_of((bags[subject] / page).read_text(), language)

    assert len(texts) > 50
    assert left_in_source(texts, language) == []


@pytest.mark.parametrize(
    ("subject", "language"),
    [
        # Each subject and each language once; all of them in `make test-systems`.
        pytest.param(*each, marks=() if each in {("user", "de"), ("contact", "id")} else pytest.mark.system)
        for each in product(SUBJECTS, OTHERS)
    ],
)
def test_the_viewer_is_in_each_language(browser: Browser, bags: dict[str, Path], subject: str, language: str) -> None:
    """Every tab, with its details and rows opened, in a browser of that language."""
    with opened(browser, (bags[subject] / "index.html").as_uri(), locale=language) as page:
        expect(page.locator("html")).to_have_attribute("lang", language)
        shown = {text for _ in visit_everything(page) for text in texts_of(page.evaluate(WITHOUT_DATA), language)}

    assert len(shown) > 50
    assert left_in_source(shown, language) == []


@pytest.mark.parametrize("name", ["README.html", "notice.html"])
def test_a_document_shows_one_language_at_a_time(browser: Browser, bags: dict[str, Path], name: str) -> None:
    """English first; a link switches to another language, without a script; an address may name the language."""
    with opened(browser, (bags["user"] / name).as_uri()) as page:
        shown = page.locator("main > section:visible")
        expect(shown).to_have_attribute("lang", "en")
        page.get_by_role("link", name="Deutsch").click()
        expect(shown).to_have_count(1)
        expect(shown).to_have_attribute("lang", "de")
        page.goto(f"{(bags['user'] / name).as_uri()}#id")
        expect(shown).to_have_attribute("lang", "id")


def test_the_notice_is_a_summary_and_details(browser: Browser, bags: dict[str, Path]) -> None:
    """One screen says who, what, why, to whom and which rights; all else is behind headings, also on a phone."""
    with opened(browser, (bags["user"] / "notice.html").as_uri()) as page:
        box = page.locator("section:visible .summary").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 800
        expect(page.locator("section:visible .summary")).to_contain_text("Your rights")
        parts = page.locator("section:visible details")
        assert parts.count() >= 8
        assert [part.get_attribute("open") for part in parts.all()] == [None] * parts.count()
        parts.filter(has_text="Where you can complain").locator("summary").click()
        expect(page.get_by_text("GDPR Art. 77", exact=False).locator("visible=true").first).to_be_visible()
    with opened(browser, (bags["user"] / "notice.html").as_uri(), width=360) as page:
        assert page.evaluate("document.documentElement.scrollHeight") < 3_000
        assert page.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("language", locale.languages())
@pytest.mark.parametrize("name", ["README.html", "notice.html"])
def test_a_printed_document_is_whole(browser: Browser, bags: dict[str, Path], name: str, language: str) -> None:
    """Tables and commands end before the edge of the paper, where nothing scrolls. Before, both were cut off."""
    with opened(browser, f"{(bags['contact'] / name).as_uri()}#{language}") as page:
        unfold(page)
        assert cut_on_paper(page) == []


def test_a_printed_viewer_is_whole(browser: Browser, bags: dict[str, Path]) -> None:
    """Each part of the viewer, with its details and rows opened."""
    with opened(browser, (bags["contact"] / "index.html").as_uri(), locale="de") as page:
        for part in visit_everything(page):
            assert (part, cut_on_paper(page)) == (part, [])
            page.emulate_media(media="screen")
            page.set_viewport_size({"width": 1280, "height": 800})

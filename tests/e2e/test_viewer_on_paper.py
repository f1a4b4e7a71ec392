"""What a person prints of the viewer, read by Poppler: all that the page shows, and in words what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from browsing import opened
from judges.programs import program, run
from playwright.sync_api import Browser, Page, expect
from viewed import Unpacked, plain_dataset, sound

from portability.api import Dataset, Field, FieldType, Provenance, Record, Role

COLUMNS = 20
MARGIN = "10mm"
WIDE = Dataset(
    "wide",
    "Wide",
    "Many columns.",
    tuple(Field(f"column_{n}", FieldType.STRING, "A.", Provenance.PROVIDED) for n in range(COLUMNS)),
    Provenance.PROVIDED,
    Role.CONTROLLER,
    ("column_0",),
)
SUMS = Dataset(
    "sums",
    "Sums",
    "An amount beside words.",
    (
        Field("id", FieldType.STRING, "Its number.", Provenance.PROVIDED),
        Field("total", FieldType.DECIMAL, "An amount.", Provenance.PROVIDED),
        *(Field(f"word_{n}", FieldType.STRING, "A.", Provenance.PROVIDED) for n in range(5)),
    ),
    Provenance.PROVIDED,
    Role.CONTROLLER,
    ("id",),
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A long conversation, a call with a recording, and a table of many columns."""
    folder = tmp_path_factory.mktemp("paper")
    archive = Unpacked(folder)
    archive.add("calls", "calls", [{"id": "c", "direction": "inbound", "started_at": "2026-01-01T08:00:00Z"}])
    archive.add("calls", "recordings", [{"id": "r", "call_id": "c", "file": "c.wav"}])
    archive.add_file(2, "calls", "recordings", "c.wav", sound(folder), "audio/wav")
    archive.add("chats", "conversations", [{"id": "t", "subject": "Long", "opened_at": "2026-01-01T08:00:00Z"}])
    texts = ["Words " * 400, *(f"Line {n}." for n in range(249))]
    said: list[Record] = [
        {"id": f"m{n}", "conversation_id": "t", "position": n, "text": text} for n, text in enumerate(texts)
    ]
    archive.add("chats", "messages", said)
    archive.add("wide", WIDE, [{f"column_{n}": f"v{row}x{n}" for n in range(COLUMNS)} for row in range(30)])
    words = {f"word_{n}": "Some words, and more words of a sentence" for n in range(5)}
    archive.add("sums", SUMS, [{"id": f"INV-202401-{n}", "total": "47175000.0000", **words} for n in range(9)])
    things: list[Record] = [{"id": f"{n}", "text": f"Row {n}", "n": n} for n in range(30)]
    archive.add("things", plain_dataset("things", "Things"), things)
    return archive.write()


def printed(page: Page, path: Path, *, paper: str = "A4", landscape: bool = False) -> str:
    """The words of the page as it is printed."""
    margin = dict.fromkeys(("top", "bottom", "left", "right"), MARGIN)
    page.pdf(path=path, format=paper, landscape=landscape, margin=margin)  # type: ignore[arg-type]  # names are those of a TypedDict
    return " ".join(run([program("pdftotext", package="poppler-utils"), path, "-"]).split())


@pytest.mark.parametrize(
    ("locale", "sentences"),
    [
        ("en-GB", ("Not printed: 50 more.", "Only the beginning of 2,400 characters is printed.")),
        ("de", ("Nicht gedruckt: 50 weitere.", "Nur der Anfang von 2.400 Zeichen ist gedruckt.")),
        ("id", ("Tidak dicetak: 50 lainnya.", "Hanya awal dari 2.400 karakter yang dicetak.")),
    ],
)
def test_paper_says_what_is_left_out_of_a_conversation(
    browser: Browser, index: str, tmp_path: Path, locale: str, sentences: Sequence[str]
) -> None:
    """The buttons that show the rest are not printed: before, 200 of 250 messages looked like all of them."""
    with opened(browser, f"{index}#chats/t", locale=locale) as page:
        expect(page.locator(".bubbles li")).to_have_count(200)
        text = printed(page, tmp_path / "talk.pdf")
        assert [one for one in sentences if one not in text] == []
        assert "Line 198." in text
        for button in page.locator(".talk button.link:visible").all():
            if button.get_attribute("aria-expanded") or button.evaluate("each => !each.closest('.acts')"):
                button.click()
        expect(page.locator(".bubbles li")).to_have_count(250)
        text = printed(page, tmp_path / "whole.pdf")
        assert [one for one in sentences if one in text] == []
        assert "Line 248." in text


def test_paper_counts_the_results_that_it_lacks(browser: Browser, index: str, tmp_path: Path) -> None:
    """Of 249 results in a dataset five are printed, and the number of all others."""
    with opened(browser, index) as page:
        page.get_by_label("Search all data").fill("line")
        expect(page.get_by_role("status").first).to_have_text("249 results")
        assert "Not printed: 244 more." in printed(page, tmp_path / "results.pdf")


@pytest.mark.parametrize("paper", ["A5", "A4"])
def test_a_conversation_is_on_any_paper(browser: Browser, index: str, tmp_path: Path, paper: str) -> None:
    """Paper is as narrow as a phone, where the list and the conversation are two pages. Before, it was empty."""
    with opened(browser, f"{index}#chats") as page:
        expect(page.locator(".bubbles li")).to_have_count(200)
        assert "Line 198." in printed(page, tmp_path / "talk.pdf", paper=paper)


def test_paper_names_recordings(browser: Browser, index: str, tmp_path: Path) -> None:
    """A player cannot be printed: before, its size stood there alone."""
    with opened(browser, f"{index}#calls/c") as page:
        expect(page.locator(".talk audio")).to_be_visible()
        assert "Recording c.wav 8 kB" in printed(page, tmp_path / "call.pdf")


def test_paper_says_which_rows_and_columns_it_has(browser: Browser, index: str, tmp_path: Path) -> None:
    """The field of the search and the choice of columns are not printed, what they leave out is."""
    with opened(browser, f"{index}#things") as page:
        page.locator(".tablebox input[type=search]").fill("row 1")
        expect(page.locator(".tablebox .status")).to_have_text("1\N{EN DASH}12 of 12")
        text = printed(page, tmp_path / "rows.pdf")
        assert "1\N{EN DASH}12 of 12 Only records that contain \N{LEFT DOUBLE QUOTATION MARK}row 1" in text
        assert "of 20 columns" not in text
    with opened(browser, f"{index}#wide") as page:
        expect(page.locator(".tablebox .status")).to_have_text("1\N{EN DASH}25 of 30")
        text = printed(page, tmp_path / "columns.pdf")
        assert "6 of 20 columns." in text
        assert "contain" not in text


@pytest.mark.parametrize("landscape", [False, True])
def test_all_columns_are_on_the_paper(browser: Browser, index: str, tmp_path: Path, landscape: bool) -> None:
    """A table that is wider than the paper is printed row by row. Before, the columns at the end were cut off."""
    with opened(browser, f"{index}#wide") as page:
        page.locator(".tablebox .check input").check()
        expect(page.locator(".tablebox thead th")).to_have_count(COLUMNS + 1)
        text = printed(page, tmp_path / "wide.pdf", landscape=landscape)
        assert [n for n in range(COLUMNS) if f"v24x{n}" not in text] == []
        assert "of 20 columns" not in text


def test_a_number_is_in_one_line(browser: Browser, index: str, tmp_path: Path) -> None:
    """Words are broken where a column is narrow, the digits of an amount are not."""
    with opened(browser, f"{index}#sums") as page:
        expect(page.locator(".tablebox tbody tr")).to_have_count(9)
        assert printed(page, tmp_path / "sums.pdf", landscape=True).count("47,175,000.0000") == 9

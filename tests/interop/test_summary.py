"""The summary, judged by what the archive's own JSON Lines say, and by readers of PDF."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest
from archives import members
from judges.cases import Archive
from judges.programs import program, run
from volumes import CALLS, closing_document, envelope

from archive.summary.figures import summarize
from archive.summary.pdf import Typesetter
from archive.summary.words import worded

CASES = ("access of a user", "portability of a contact", "switch of a tenant in volumes")
HAPPENED: Mapping[str, str] = {
    **dict.fromkeys(("account/profile", "account/organisation", "account/memberships"), "created_at"),
    **dict.fromkeys(("calls/transcripts", "calls/recordings", "calls/analyses"), "created_at"),
    "billing/payment_methods": "created_at",
    **dict.fromkeys(("chats/attachments", "configuration/agents", "configuration/roles", "crm/contacts"), "created_at"),
    **dict.fromkeys(("crm/companies", "crm/deals", "inquiries/inquiries", "marketing/preferences"), "created_at"),
    **dict.fromkeys(("interactions/routing_scores", "configuration/integrations"), "created_at"),
    **dict.fromkeys(("billing/subscription", "calls/calls", "cookies/sessions"), "started_at"),
    **dict.fromkeys(("chats/conversations", "interactions/tickets"), "opened_at"),
    **dict.fromkeys(("chats/messages", "inquiries/replies", "marketing/campaigns"), "sent_at"),
    **dict.fromkeys(("cookies/preferences", "marketing/consents"), "decided_at"),
    **dict.fromkeys(("cookies/analytics_ids", "devices/devices", "devices/ip_addresses"), "first_seen_at"),
    **dict.fromkeys(("crm/activities", "performance/error_logs", "interactions/ai_agent_actions"), "occurred_at"),
    **dict.fromkeys(("trail/processing_trail", "trail/contact_trail"), "occurred_at"),
    "billing/invoices": "issued_on",
    "configuration/flows": "published_at",
    "devices/user_agents": "first_seen_at",
    "interactions/satisfaction": "asked_at",
    "performance/api_timings": "requested_at",
    "usage/page_views": "viewed_at",
    "usage/feature_uses": "used_at",
    "usage/clicks": "clicked_at",
    "usage/navigation_paths": "began_at",
}
"""When a record happened, by dataset, as a person would say."""
OWN = "portability"
"""The exporter of records of requests, which all happened while the test ran."""
NAMES = {
    **{name: name.title() for name in ("account", "billing", "chats", "devices")},
    "calls": "Phone calls",
    "configuration": "Company settings",
    "cookies": "Cookies and sessions",
    "crm": "Contacts and deals",
    "inquiries": "Questions to us",
    "interactions": "Support tickets",
    "marketing": "Preferences and consents",
    "performance": "Technical measurements",
    "trail": "Who accessed your data",
    "usage": "How you used the service",
    "portability": "Your requests and copies",
}
"""What the page calls the exporters."""
MONTH = re.compile(r"[A-Z][a-z]+ \d{4}")


class SummaryTables(HTMLParser):
    """The cells of the tables in the English section of README.html, row by row: of kinds of data, and of all else."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {"kinds": [], "": []}
        self._table: list[list[str]] = []
        self._is_english = self._is_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self._is_english = dict(attrs)["id"] == "en"
        if tag == "table":
            kind = "kinds" if dict(attrs).get("class") == "kinds" else ""
            self._table = self.rows[kind] if self._is_english else []
        if tag == "tr":
            self._table.append([])
        if tag in {"td", "small"} and self._table:
            self._table[-1].append("")
            self._is_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._is_cell = self._is_cell and tag not in {"td", "small"}

    def handle_data(self, data: str) -> None:
        if self._is_cell:
            self._table[-1][-1] += data


@pytest.fixture(params=CASES)
def judged(request: pytest.FixtureRequest, archives: Mapping[str, Archive]) -> Archive:
    return archives[request.param]


def page_rows(archive: Archive) -> Mapping[str, list[list[str]]]:
    """The rows of the closing volume's page, by the class of their table."""
    pages = [body for name, body in members(archive.volumes) if name == "README.html"]
    found = SummaryTables()
    found.feed(pages[-1].decode())
    return found.rows


def every_record(archive: Archive) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """(exporter, dataset, record) of every line of JSON Lines."""
    for name, body in members(archive.volumes):
        if found := re.fullmatch(r"data/(\w+)/(\w+?)(-(s\d+-|r\d+-\d+-)?\d{4})?\.jsonl", name):
            yield from ((found[1], found[2], orjson.loads(line)) for line in body.splitlines())


def test_the_figures_are_those_of_the_records(judged: Archive) -> None:
    """Read line by line, without this software: the records of each kind, and those of each month."""
    by_kind, by_month = Counter[str](), Counter[str]()
    for exporter, name, record in every_record(judged):
        by_kind[exporter] += 1
        if exporter != OWN and (at := record[HAPPENED[f"{exporter}/{name}"]]):
            by_month[f"{date.fromisoformat(str(at)[:10]):%B %Y}"] += 1

    rows = page_rows(judged)
    names = {NAMES.get(exporter, exporter): n for exporter, n in by_kind.items()}
    kinds = {row[0]: int(row[2].replace(",", "")) for row in rows["kinds"] if row}
    assert kinds == names
    present = {f"{datetime.now(UTC) - timedelta(days=days):%B %Y}" for days in (0, 1)}
    months = {row[0]: int(row[1].replace(",", "")) for row in rows[""] if len(row) == 2 and MONTH.fullmatch(row[0])}
    assert sum(by_month.values()) > 20
    assert {month: n for month, n in months.items() if month not in present} == dict(by_month)


def test_the_pdf_is_sound_and_has_the_same_figures(judged: Archive, tmp_path: Path) -> None:
    """`qpdf --check` has no warning, Poppler reads one or two tagged pages, and the text has the page's figures."""
    path = tmp_path / "summary.pdf"
    path.write_bytes(next(body for name, body in members(judged.volumes) if name == "summary.pdf"))
    run([program("qpdf", package="qpdf"), "--check", path])
    facts = run([program("pdfinfo", package="poppler-utils"), path])
    assert re.search(r"^Tagged: +yes$", facts, re.MULTILINE)
    assert re.search(r"^Pages: +[12]$", facts, re.MULTILINE)
    text = run([program("pdftotext", package="poppler-utils"), "-layout", path, "-"])
    shown = Counter(word.replace(".", ",") for word in text.split())
    assert Counter(f"{n:,}" for n in Counter(exporter for exporter, _, _ in every_record(judged)).values()) <= shown


def printed(name: str, path: Path) -> Path:
    """A summary of someone with this name, as a PDF."""
    document = closing_document(envelope(), 1)
    summary = summarize(document, [("calls", CALLS)], lambda *_of: {}, name)
    with closing(Typesetter()) as typesetter:
        path.write_bytes(typesetter.pdf(worded(summary, document, envelope(), "en"), envelope()))
    return path


def picture_of_name(path: Path) -> bytes:
    """The pixels of the line with the name, by Poppler."""
    boxes = run([program("pdftotext", package="poppler-utils"), "-bbox", path, "-"])
    top = float(re.findall(r'yMin="([\d.]+)"[^>]*>(?:\[not|Ann)<', boxes)[0])
    crop = ["-x", "0", "-y", f"{top:.0f}", "-W", "595", "-H", "18", "-r", "72", "-gray"]
    run([program("pdftoppm", package="poppler-utils"), *crop, "-singlefile", path, path.with_suffix("")])
    return path.with_suffix(".pgm").read_bytes()


def test_letters_without_a_font_are_words_for_other_readers(tmp_path: Path) -> None:
    """Poppler reads and draws the words of the sentence in place of boxes, with fonts that the file contains."""
    without, words, ann = (
        printed(name, tmp_path / f"{n}.pdf") for n, name in enumerate(("\u0378\u0379", "[not shown]", "Ann"))
    )
    text = run([program("pdftotext", package="poppler-utils"), without, "-"])
    assert "\n[not shown]\n" in text
    assert "stands for letters that the fonts of this file do not have" in " ".join(text.split())
    lines = run([program("pdffonts", package="poppler-utils"), without]).splitlines()[2:]
    assert {tuple(line.split()[-5:-2]) for line in lines} == {("yes", "yes", "yes")}
    assert picture_of_name(without) == picture_of_name(words) != picture_of_name(ann)
    run([program("qpdf", package="qpdf"), "--check", without])

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from volumes import CALLS, closing_document, envelope

from archive import viewer
from archive.summary.figures import summarize
from archive.summary.words import GROUPS_SHOWN, KINDS_SHOWN, LIST_CHARS, TEXT_CHARS, SummaryText, readable, worded
from archive.viewer.entries import _LATE as LATE  # the words of both sides are compared
from portability.law.omissions import explanation
from portability.locale import find, languages, text

PAGE_SCRIPT = Path(viewer.__file__).parent / "static" / "page.js"
LINE: Mapping[str, Any] = {
    "exporter": "calls",
    "dataset": "calls",
    "title": "Calls",
    "records": 2,
    "files": 1,
    "bytes": 9,
}
MONTHS = {"2026-01": 5, "2026-03": 7}


def words(language: str = "en", *, name: str | None = "Ann", **export: Any) -> SummaryText:
    document = closing_document(envelope(), 1) | export
    summary = summarize(document, [("calls", CALLS)], lambda *_of: MONTHS, name)
    return worded(summary, document, envelope(), language)


def test_the_summary_says_who_since_when_and_how_much() -> None:
    """Name, period and totals, in the reader's language."""
    assert words().name == "Ann"
    assert words().facts == [
        ("Period", "January 2026 \N{EN DASH} March 2026"),
        ("Records", "2"),
        ("Files", "1"),
        ("Size", "100 bytes"),
    ]
    assert words("de").facts[0] == ("Zeitraum", "Januar 2026 \N{EN DASH} März 2026")
    assert words("id").facts[0] == ("Periode", "Januari 2026 \N{EN DASH} Maret 2026")
    assert words(name=None).name == "Your data"
    assert words(name=None, subject_kind="tenant").heading == f"{text('en', 'viewer.companyData')}: At a glance"


def test_a_chart_is_also_words() -> None:
    """Each bar has its month and number, and the whole a sentence."""
    chart = words("de").chart
    assert chart is not None
    assert [*zip(chart.names, chart.counts, strict=True)] == [
        ("Januar 2026", "5"),
        ("Februar 2026", "0"),
        ("März 2026", "7"),
    ]
    assert chart.alternative == (
        "Aktivität im Zeitverlauf. Datensätze mit Datum, nach Monat: Januar 2026 \N{EN DASH} März 2026. "
        "Der größte Wert ist 7."
    )


def test_what_is_missing_has_its_reason_and_its_number() -> None:
    """Gaps by reason with titles, then the companies that decide."""
    gap = {"exporter": "calls", "dataset": "calls", "what": "c1", "reason": "missing"}
    company = {"tenant": "ten_1", "name": None, "contact": "privacy@aurora.example", "answer": "refused"}
    shown = words("de", gaps=[gap, gap], referrals=[company]).missing
    assert [(one.why, one.what) for one in shown] == [
        (explanation("missing", "de"), "Calls (2)"),
        (
            "Über einen Teil der Daten entscheiden Unternehmen. Fragen Sie diese.",
            f"ten_1 (privacy@aurora.example): {find('de', 'archive.referrals.refused')}",
        ),
    ]


def test_what_is_not_delivered_has_its_ground() -> None:
    """Replaced values, records of other people, datasets that a rule leaves out, secrets."""
    named = {"exporter": "crm", "dataset": "deals", "title": "Deals", "reason": "derived"}
    left: Mapping[str, Any] = {**named, "translations": {"title": {"id": "Transaksi"}}}
    secret = {
        "exporter": "account",
        "dataset": "profile",
        "name": "hash",
        "what": "a hash",
        "kind": "secret",
        "records": 1,
    }
    line = {
        **LINE,
        "redactions": {"other-person": 2, "aws-key": 1, "gcp-key": 1},
    }
    shown = words("id", datasets=[line], not_included=[left], withheld=[secret]).undelivered
    assert [one.what for one in shown] == [
        "rincian tentang orang lain, diganti dengan tanda: 2; kata sandi dan kunci perangkat lunak, disamarkan: 2",
        "Transaksi",
        "a hash (1)",
    ]
    assert shown[1].why == explanation("derived", "id")


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("own", ["complete", "with_remarks", "partial", "nothing_held", "not_found", "none"])
def test_every_outcome_has_a_sentence(own: str, language: str) -> None:
    """In every language; a complete part of our own does not say that companies' data is there."""
    told = {
        processor: words(language, outcome={"own": own, "processor": processor}).outcome
        for processor in ("none", "referred")
    }
    assert all(told.values())
    assert (told["none"] != told["referred"]) == (own in {"complete", "with_remarks"})


def test_long_lists_are_cut_and_counted() -> None:
    """A hundred datasets, reasons and kinds: what is not shown is a number."""
    lines = [
        {
            "exporter": f"e{n:03}",
            "dataset": "d",
            "title": f"Title {n:03}",
            "records": n + 1,
            "files": 0,
            "bytes": 0,
            "gaps": 0,
        }
        for n in range(100)
    ]
    gaps = [{"exporter": f"e{n:03}", "dataset": "d", "what": "w", "reason": f"reason{n % 20}"} for n in range(100)]
    shown = words(datasets=lines, gaps=gaps)
    assert len(shown.missing) == GROUPS_SHOWN + 1
    assert shown.missing[-1].why == "and 13 more"
    assert shown.missing[0].what == "Title 000 (1), Title 020 (1), Title 040 (1), Title 060 (1), Title 080 (1)"
    assert len(shown.kinds) == KINDS_SHOWN + 1
    assert (shown.kinds[-1].title, shown.kinds[-1].records) == ("and 84 more", "3,570")
    left = [{"exporter": "a", "dataset": f"d{n}", "title": "x" * 30, "reason": "derived"} for n in range(30)]
    (group,) = words(not_included=left).undelivered
    assert group.what.endswith("x, and 27 more")
    assert len(group.what) < LIST_CHARS + TEXT_CHARS


def test_hidden_characters_are_shown_as_codes() -> None:
    """NUL, a change of direction, a half of a surrogate pair: a name cannot turn the line around or hide."""
    assert readable("Ann \u202egnp.exe\u202c\0") == "Ann [U+202E]gnp.exe[U+202C][U+0000]"
    assert readable("\ud800") == "[U+D800]"
    assert readable("محمد \U0001f469\u200d\U0001f467") == "محمد \U0001f469\u200d\U0001f467"
    assert readable("x" * 1_000_000) == "x" * TEXT_CHARS + "…"


def test_the_viewer_hides_the_same_characters() -> None:
    """Those of page.js; its text keeps tabs and line breaks, and the summary is one line."""
    pattern = re.search(r"HIDDEN = /(\[.*?\])/u", PAGE_SCRIPT.read_text())
    assert pattern is not None
    theirs = re.compile(pattern[1])
    other = {code for code in range(0x10000) if bool(theirs.match(chr(code))) != (readable(chr(code)) != chr(code))}
    assert other == {0x09, 0x0A, *range(0xD800, 0xE000)}


def test_the_viewer_leaves_out_the_same_times() -> None:
    """The page's own charts and those of the summary choose the time of a record alike."""
    script = (PAGE_SCRIPT.parent / "registry.js").read_text()
    theirs = re.search(r"late = /\^\((.*?)\)/", script)
    assert theirs is not None
    assert {*theirs[1].split("|")} - {"created"} == {*LATE.pattern.strip("()").split("|")}

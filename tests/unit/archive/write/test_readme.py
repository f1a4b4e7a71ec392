from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
import volumes
from markupsafe import Markup, escape
from page_tags import PageTags

from archive.parts import Member
from archive.summary.figures import summarize
from archive.summary.words import ArchiveSummary, worded
from archive.write.readme import GAPS_SHOWN, PATHS_SHOWN, readme
from archive.write.templates import say
from portability.law.omissions import explanation
from portability.locale import SOURCE, languages, own_name, text, translated

MEMBER = Member("data/calls/calls.jsonl", 10, "0" * 64, volumes.content("application/jsonl"))

HOSTILE = "<script>x</script><b>&\"'"


def summed(name: str | None = None, **closing: Any) -> str:
    """The page of a closing volume with a summary, whose records are of two months."""
    document = volumes.closing_document(volumes.envelope(), 1) | closing
    figures = summarize(document, [("calls", volumes.CALLS)], lambda *_of: {"2026-01": 5, "2026-02": 7}, name)
    texts = {language: worded(figures, document, volumes.envelope(), language) for language in languages()}
    summary = ArchiveSummary(texts, figures.records, b"%PDF", "de")
    return readme(volumes.envelope(), 1, [MEMBER], document, summary=summary).decode()


def page(members: list[Member] | None = None, **closing: Any) -> str:
    document = volumes.closing_document(volumes.envelope(), 1) | closing if closing else None
    return readme(volumes.envelope(), 1, [MEMBER] if members is None else members, document).decode()


def test_the_page_is_whole_and_asks_nothing_of_the_network() -> None:
    """One file, no script, no request: its links lead into the volume, and its policy forbids everything else."""
    text = page(complete=True)
    tags = PageTags()
    tags.feed(text)
    assert tags.open == []
    assert tags.names.isdisjoint({"script", "img", "iframe", "link", "form"})
    assert all(link.startswith(("#", "data/", "export.json")) for link in tags.links)
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def test_the_policy_allows_the_style_that_is_there() -> None:
    """A style whose hash is not the policy's would not be applied."""
    text = page()
    style = re.search(r"<style>(.*)</style>", text, re.DOTALL)
    assert style is not None
    assert "sha256-" + b64encode(sha256(style[1].encode()).digest()).decode() in text


def by_language(text: str) -> dict[str, str]:
    """The sections of a page."""
    parts = re.split(r'<section id="([\w-]+)"', text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_language_has_a_section_and_a_link_to_it() -> None:
    """All sections have the same headings and tables; the source language is last, shown without an anchor."""
    gap = {"exporter": "calls", "dataset": "calls", "what": "c9", "reason": "missing"}
    text = page(complete=False, outcome={"own": "partial", "processor": "none"}, gaps=[gap])
    sections = by_language(text)
    assert sections.keys() == {*languages()}
    assert [*sections][-1] == "en"
    for language, section in sections.items():
        assert f'<a href="#{language}" lang="{language}" hreflang="{language}">{own_name(language)}</a>' in text
        for tag in ("<h2>", "<table", "<tr", "<pre "):
            assert section.count(tag) == sections[SOURCE].count(tag) > 0
        assert say(language, "readme.incomplete") in section
        assert escape(explanation("missing", language) or "") in section


def test_each_language_describes_the_data_in_its_own_words() -> None:
    """Titles, descriptions and reasons are English in the one section and Indonesian in the other."""
    titles = {"title": {"id": "Transaksi"}}
    left = {"exporter": "crm", "dataset": "deals", "title": "Deals", "translations": titles, "reason": "not_asked_for"}
    line = {"exporter": "calls", "dataset": "calls", "title": "Calls", "translations": {"title": {"id": "Panggilan"}}}
    counts = {"state": "complete", "records": 2, "files": 0, "gaps": 0}
    english = "Calls between the company's contacts and its agents, one record each."
    built_in = replace(volumes.CALLS, title="Phone calls", description=english)
    member = replace(MEMBER, content=replace(MEMBER.content, dataset=built_in))
    sections = by_language(page([member], datasets=[{**line, **counts}], not_included=[left]))
    description = translated("id", "data.calls/calls.description", "")
    assert description
    for one, other in (("Calls", "Panggilan"), ("Calls between", str(escape(description))), ("Deals", "Transaksi")):
        assert one in sections["en"]
        assert one not in sections["id"]
        assert other in sections["id"]
    for language, section in sections.items():
        assert str(explanation("not_asked_for", language)) in section


def test_a_dataset_without_translations_keeps_its_own_words() -> None:
    """A plug-in's author may have written in one language alone."""
    member = replace(MEMBER, content=replace(MEMBER.content, exporter="made"))
    assert page([member]).count("Every call, one record each.") == len(languages())


def test_numbers_and_times_are_written_as_the_language_writes_them() -> None:
    """Thousands have a comma in English and a point in Indonesian; months have names."""
    member = replace(MEMBER, content=replace(MEMBER.content, records=103_412))
    sections = by_language(page([member]))
    assert ' class="number">103,412</td>' in sections["en"]
    assert ' class="number">103.412</td>' in sections["id"]
    assert "24 November 2026" in sections["en"]
    assert "24 November 2026" in sections["id"]


def test_no_data_is_said_in_every_language() -> None:
    """An unknown subject gets a clear answer."""
    text = page([], no_data_held=True)
    assert "No data found." in text
    assert "Tidak ada data yang ditemukan." in text


def test_remarks_and_referrals_are_said_in_every_language() -> None:
    """Which records are stored too long, and that a company decides over the rest."""
    line: Any = volumes.closing_document(volumes.envelope(), 1)["datasets"]
    marked = [{**line[0], "state": "with_remarks", "remarks": {"past_retention": 1_204, "soft_deleted": 3}}]
    text = page(complete=False, outcome={"own": "with_remarks", "processor": "referred"}, datasets=marked)
    assert "stored beyond their period: 1,204" in text
    assert "als gelöscht gekennzeichnet: 3" in text
    for language in languages():
        assert say(language, "readme.remarks") in text
        assert say(language, "readme.referred") in text


def test_records_that_wait_for_an_officer_are_counted_in_every_language() -> None:
    """By dataset, by its title, and apart from what is missing for other reasons."""
    lines: Any = volumes.closing_document(volumes.envelope(), 1)["datasets"]
    of = {name: lines[0][name] for name in ("exporter", "dataset")}
    gap = {**of, "retryable": False, "volume": 1}
    gaps = [{**gap, "what": f"record {n}", "reason": "needs_review"} for n in range(1_204)]
    text = page(complete=False, gaps=[*gaps, {**gap, "what": "record x", "reason": "missing"}])
    for language, number in (("en", "1,204"), ("de", "1.204"), ("id", "1.204")):
        assert say(language, "readme.waiting_note") in text
        assert say(language, "readme.waiting_lead") in text
        section = text.split(f'<section id="{language}"')[1].split("<section ")[0]
        waiting = section.split(f"<h2>{say(language, 'readme.waiting')}</h2>")[1].split("</table>")[0]
        assert waiting.count("<tr") == 2
        assert f'<td class="number">{number}</td>' in waiting
    assert say("en", "readme.waiting") not in page(complete=False, gaps=gaps[:0])


def test_what_no_one_has_decided_on_is_counted_in_every_language() -> None:
    """By source, with the number of columns; a source that cannot say what it stores is named, a decided one is not."""
    sources = [("crm", "undecided", 1_204), ("helpdesk", "coverage_unknown", 0), ("billing", "complete", 0)]
    coverage = [{"source": name, "state": state, "undecided": count} for name, state, count in sources]
    sections = by_language(page(complete=False, coverage=coverage))
    crm, helpdesk = Markup("<code>crm</code>"), Markup("<code>helpdesk</code>")
    for language, number in (("en", "1,204"), ("de", "1.204"), ("id", "1.204")):
        assert say(language, "readme.undecided", source=crm, count=number) in sections[language]
        assert say(language, "readme.coverage_unknown", source=helpdesk) in sections[language]
        assert "billing" not in sections[language]


def test_rows_without_a_tenant_are_named_apart_from_columns_in_every_language() -> None:
    """A count of columns alone would hide that rows may be missing."""
    counted = {"both": (3, 1), "rows": (2, 2)}
    coverage = [
        {"source": name, "state": "undecided", "undecided": undecided, "tenantless": rows}
        for name, (undecided, rows) in counted.items()
    ]
    sections = by_language(page(complete=False, coverage=coverage))
    both, rows = Markup("<code>both</code>"), Markup("<code>rows</code>")
    for language in ("en", "de", "id"):
        said = sections[language]
        assert say(language, "readme.undecided", source=both, count="2") in said
        assert say(language, "readme.tenantless", source=both, count="1") in said
        assert say(language, "readme.tenantless", source=rows, count="2") in said
        assert say(language, "readme.undecided", source=rows, count="0") not in said


def test_a_reader_is_informed_what_marks_and_pseudonyms_are() -> None:
    """In every language, where there is a mark."""
    lines: Any = volumes.closing_document(volumes.envelope(), 1)["datasets"]
    redacted = [{**line, "redactions": {"other-address": 1}} for line in lines]
    assert lines
    for words in ("A mark in square brackets", "Tanda dalam kurung siku"):
        assert words in page(datasets=redacted)
        assert words not in page(datasets=lines)


def test_a_volume_that_is_not_the_closing_one_has_no_ledger() -> None:
    """It cannot know the whole yet, and says where to look."""
    text = page()
    assert "The closing volume, which is the last one, lists all volumes." in text
    assert "Datasets and results" not in text


def test_hostile_names_are_text() -> None:
    """What comes from data is escaped everywhere."""
    evil = "<script>alert(1)</script>"
    dataset = replace(volumes.CALLS, title=evil, description=evil)
    member = replace(MEMBER, content=replace(MEMBER.content, dataset=dataset))
    line = {"exporter": evil, "dataset": evil, "title": evil, "state": evil, "records": 0, "files": 0, "gaps": 1}
    gap = {"exporter": evil, "dataset": evil, "what": evil, "reason": evil}
    text = page([member], datasets=[{**line, "reason": evil, "tenants": [evil]}], gaps=[gap], not_included=[gap])
    assert "<script" not in text


def test_no_name_turns_the_text_around_it() -> None:
    """Companies from right to left are kept apart in their list, and no override reaches beyond its name."""
    line = volumes.closing_document(volumes.envelope(), 1)["datasets"]
    assert isinstance(line, list)
    names = ["נמר 1", "\u202egnp.exe"]
    one = {"tenant": "ten_1", "name": names[1], "contact": names[0], "answer": "open"}
    text = page(datasets=[{**line[0], "tenants": names}], referrals=[one])
    assert "\u2068נמר 1\u2069, gnp.exe" in text
    assert "<bdi>gnp.exe</bdi>" in text
    assert "<bdi>נמר 1</bdi>" in text
    assert "\u202e" not in text


@pytest.mark.requirement("R22")
def test_what_is_withheld_is_described() -> None:
    """In every language, beside which data, and why; without anything withheld the section is not there."""
    held = {"exporter": "account", "dataset": "profile", "what": "a hash <of> it", "reason": "harms you"}
    text = page([MEMBER], withheld=[held])

    assert (
        text.count("a hash &lt;of&gt; it")
        == text.count("harms you")
        == text.count("account/<wbr>profile")
        == len(languages())
    )
    assert "Stored but not delivered" in text
    assert "Disimpan tetapi tidak diserahkan" in text
    assert "Stored but not delivered" not in page([MEMBER])


def test_long_lists_are_cut_and_counted() -> None:
    """A page of fifty thousand recordings would be useless."""
    recordings = [replace(MEMBER, path=f"data/calls/{number}.wav") for number in range(PATHS_SHOWN + 5)]
    gap = {"exporter": "calls", "dataset": "calls", "what": "c9", "reason": "missing"}
    text = page(recordings, gaps=[gap] * (GAPS_SHOWN + 7))
    assert "and 5 more<" in text
    assert "More, listed in " in text
    assert "</a>: 7.<" in text


def test_a_path_breaks_after_a_slash() -> None:
    """Never inside a name where a line has room for it; what is copied has no break."""
    assert 'href="data/calls/calls.jsonl"><code>data/<wbr>calls/<wbr>calls.jsonl</code>' in page([MEMBER])


def test_records_are_counted_once() -> None:
    """JSON Lines and CSV hold the same records."""
    table = replace(MEMBER, path="data/calls/calls.csv", content=volumes.content("text/csv"))
    assert page([MEMBER, table]).count(' class="number">2</td>') == len(languages())


@pytest.mark.parametrize(
    ("profile", "law"), [("access", "Art. 15"), ("portability", "Art. 20"), ("switch", "Data Act")]
)
def test_each_profile_names_its_law(profile: str, law: str) -> None:
    """A reader learns by which right this was made."""
    assert law in readme(volumes.envelope(profile=profile), 1, []).decode()


def test_each_language_says_how_to_check_to_correct_and_whom_to_ask() -> None:
    """Commands for the hashes, where the keys for any JOSE library are, what to quote, and an address to write to."""
    envelope = replace(volumes.envelope(), contact="privacy@vlint.example")
    text = readme(envelope, 1, [MEMBER], None).decode()
    keys = f"{envelope.issuer}/.well-known/jwks.json"

    for said in ("sha256sum -c", "ES256", "privacy@vlint.example", f"<code>{envelope.export}</code>, "):
        assert text.count(said) == len(languages()), said
    assert text.count(f"<code>{keys}</code>") == len(languages())
    assert "withdraw a consent" in text
    assert "stop marketing" in text
    assert "menarik persetujuan" in text
    assert "menghentikan pemasaran" in text
    for field in volumes.CALLS.key:
        assert text.count(f"identified by: <code>{field}</code>") == 1


def test_the_summary_comes_first_in_every_language() -> None:
    """Name, chart and kinds are above all tables; the chart is a picture with words, and a table has its figures."""
    sections = by_language(summed("Ann"))
    assert sections.keys() == {*languages()}
    for language, section in sections.items():
        assert section.index("<bdi>Ann</bdi>") < section.index("<svg") < section.index('<table class="kinds">')
        assert section.index('<table class="kinds">') < section.index("<details><summary><h2>")
        assert section.count('role="img"') == 1
        assert section.count("<rect") == 2
        assert (
            f'href="summary.pdf" hreflang="de" type="application/pdf">{text(language, "archive.summary.pdf")}'
            in section
        )
        assert (f"({own_name('de')})" in section) == (language != "de")
        for n in (5, 7):
            assert f' class="number">{n}</td>' in section


def test_a_summary_runs_nothing() -> None:
    """Names and titles of the data are text; the page has no script, no style attribute and no request."""
    gap = {"exporter": "calls", "dataset": "calls", "what": "c9", "reason": "missing"}
    named = {"exporter": "calls", "dataset": "calls", "title": HOSTILE, "state": "partial"}
    line: Mapping[str, Any] = {**named, "records": 2, "files": 0, "bytes": 0, "gaps": 1}
    found = summed(HOSTILE, datasets=[line], gaps=[gap])
    tags = PageTags()
    tags.feed(found)
    assert tags.names.isdisjoint({"script", "img", "iframe", "link", "form", "b"})
    assert " style=" not in found
    assert found.count(f"<bdi>{escape(HOSTILE)}</bdi>") == len(languages())

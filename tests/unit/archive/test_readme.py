from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
import volumes

from archive.parts import Member
from archive.readme import GAPS_SHOWN, PATHS_SHOWN, readme

MEMBER = Member("data/calls/calls.jsonl", 10, "0" * 64, volumes.content("application/jsonl"))


def page(members: list[Member] | None = None, **closing: Any) -> str:
    document = volumes.closing_document(volumes.envelope(), 1) | closing if closing else None
    return readme(volumes.envelope(), 1, [MEMBER] if members is None else members, document).decode()


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag not in {"meta", "br", "hr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_nothing_of_the_network() -> None:
    """One file, no script, no request: its links lead into the volume, its policy forbids the rest."""
    text = page(complete=True)
    tags = _Tags()
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


def test_both_languages_say_the_same_things() -> None:
    """English and Indonesian have the same headings and the same tables."""
    text = page(complete=False, gaps=[{"exporter": "calls", "dataset": "calls", "what": "c9", "reason": "missing"}])
    english, indonesian = text.split('<section id="id"')
    for tag in ("<h2>", "<table>", "<tr>", "<pre>"):
        assert english.count(tag) == indonesian.count(tag) > 0
    assert "This export is not complete" in english
    assert "Ekspor ini tidak lengkap" in indonesian


def test_each_language_tells_the_data_in_its_own_words() -> None:
    """Titles, descriptions and reasons are English in the one half and Indonesian in the other."""
    dataset = replace(volumes.CALLS, title_id="Panggilan", description_id="Setiap panggilan.")
    member = replace(MEMBER, content=replace(MEMBER.content, dataset=dataset))
    left = {"exporter": "crm", "dataset": "deals", "title": "Deals", "title_id": "Transaksi", "reason": "not asked for"}
    line = {"exporter": "calls", "dataset": "calls", "title": "Calls", "title_id": "Panggilan", "state": "complete"}
    text = page([member], datasets=[{**line, "records": 2, "files": 0, "gaps": 0}], not_included=[left])
    english, indonesian = text.split('<section id="id"')
    for one, other in (("Calls", "Panggilan"), ("Every call", "Setiap panggilan."), ("Deals", "Transaksi")):
        assert one in english
        assert one not in indonesian
        assert other in indonesian
    assert "It was not asked for." in english
    assert "Tidak diminta." in indonesian


def test_no_data_is_said_in_both_languages() -> None:
    """An unknown subject gets a clear answer."""
    text = page([], no_data_held=True)
    assert "No data held." in text
    assert "Tidak ada data yang disimpan." in text


def test_a_reader_is_told_what_marks_and_pseudonyms_are() -> None:
    """In both languages, where there is one."""
    lines: Any = volumes.closing_document(volumes.envelope(), 1)["datasets"]
    redacted = [{**line, "redactions": {"private-note": 1}} for line in lines]
    assert lines
    for words in ("a mark in square brackets", "tanda dalam kurung siku"):
        assert words in page(datasets=redacted)
        assert words not in page(datasets=lines)


def test_a_volume_that_is_not_the_closing_one_has_no_ledger() -> None:
    """It cannot know the whole yet, and says where to look."""
    text = page()
    assert "the closing volume, the last one, lists them all" in text
    assert "What was looked for" not in text


def test_hostile_names_are_text() -> None:
    """What comes from data is escaped everywhere."""
    evil = "<script>alert(1)</script>"
    dataset = replace(volumes.CALLS, title=evil, description=evil)
    member = replace(MEMBER, content=replace(MEMBER.content, dataset=dataset))
    line = {"exporter": evil, "dataset": evil, "title": evil, "state": evil, "records": 0, "files": 0, "gaps": 1}
    gap = {"exporter": evil, "dataset": evil, "what": evil, "reason": evil}
    text = page([member], datasets=[{**line, "reason": evil, "tenants": [evil]}], gaps=[gap], not_included=[gap])
    assert "<script" not in text


@pytest.mark.requirement("R22")
def test_what_is_withheld_is_described() -> None:
    """In both languages, beside which data, and why; without anything withheld the section is not there."""
    held = {"exporter": "account", "dataset": "profile", "what": "a hash <of> it", "reason": "harms you"}
    text = page([MEMBER], withheld=[held])

    assert text.count("a hash &lt;of&gt; it") == text.count("harms you") == text.count("account/profile") == 2
    assert "Held, and never handed out" in text
    assert "Disimpan, dan tidak pernah diserahkan" in text
    assert "never handed out" not in page([MEMBER])


def test_long_lists_are_cut_and_counted() -> None:
    """A page of fifty thousand recordings helps nobody."""
    recordings = [replace(MEMBER, path=f"data/calls/{number}.wav") for number in range(PATHS_SHOWN + 5)]
    gap = {"exporter": "calls", "dataset": "calls", "what": "c9", "reason": "missing"}
    text = page(recordings, gaps=[gap] * (GAPS_SHOWN + 7))
    assert "and 5 more files" in text
    assert "And 7 more" in text


def test_records_are_counted_once() -> None:
    """JSON Lines and CSV hold the same records."""
    table = replace(MEMBER, path="data/calls/calls.csv", content=volumes.content("text/csv"))
    assert page([MEMBER, table]).count('<td class="number">2</td>') == 2


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
        assert text.count(said) == 2, said
    assert text.count(f"<code>{keys}</code>") == 2
    assert "withdraw a consent" in text
    assert "stop marketing" in text
    assert "menarik persetujuan" in text
    assert "menghentikan pemasaran" in text
    for field in volumes.CALLS.key:
        assert text.count(f"found by: <code>{field}</code>") == 1

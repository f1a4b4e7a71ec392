"""The notice of an archive: what is done with this subject's data, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import notices
import orjson
import pytest
import volumes
from jsonschema import Draft202012Validator
from markupsafe import escape
from repository import ROOT

from archive import notice
from archive.notice import Held
from archive.package import data_package
from archive.parts import Member
from archive.phrases import PHRASES
from archive.volume import Volume
from portability.api import Withheld
from portability.notice import load

PROFILES = [*notices.LEDGERS]
REFERENCES = {
    "category": "categories",
    "retention": "retention",
    "recipients": "recipients",
    "sources": "sources",
    "decisions": "decisions",
}


def made(profile: str, *more: Any, **options: Any) -> dict[str, Any]:
    """The document as a reader has it."""
    document: dict[str, Any] = orjson.loads(orjson.dumps(notices.made(profile, *more, **options)))
    return document


def page(profile: str, *more: Any) -> str:
    return notice.page(volumes.envelope(profile=profile), made(profile, *more)).decode()


@pytest.mark.requirement("R25")
@pytest.mark.parametrize("profile", PROFILES)
def test_a_notice_is_as_it_was(profile: str) -> None:
    """Programs read it: what changes is looked at (`tests/golden/make_notices.py` writes it anew)."""
    golden = ROOT / "tests" / "golden" / "notice" / f"{profile}.json"
    assert made(profile) == orjson.loads(golden.read_bytes())


@pytest.mark.requirement("R25")
@pytest.mark.parametrize("profile", PROFILES)
def test_a_notice_is_valid_by_the_schema_beside_it(profile: str) -> None:
    """The schema that each archive holds describes every field, and is itself sound."""
    schema = orjson.loads(notice.SCHEMA)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert [error.message for error in validator.iter_errors(made(profile, ("made", Held(notices.THINGS), {})))] == []


@pytest.mark.requirement("R25")
@pytest.mark.parametrize("profile", PROFILES)
def test_each_id_leads_somewhere_and_nothing_else_is_told(profile: str) -> None:
    """Of the register exactly that is told which one of the copy's own datasets names."""
    document = made(profile)
    named: dict[str, set[str]] = {kind: set() for kind in (*REFERENCES.values(), "purposes", "bases")}
    for line in document["datasets"]:
        for field, kind in REFERENCES.items():
            named[kind] |= {line[field]} if isinstance(line[field], str) else set(line[field])
        named["purposes"] |= {use["purpose"] for use in line["purposes"]}
        named["bases"] |= {use["basis"] for use in line["purposes"]}
    assert {kind: set(document[kind]) for kind in named} == named
    protected = [document["controller"], *document["recipients"].values()]
    assert set(document["safeguards"]) == {one["safeguard"] for one in protected if "safeguard" in one}


def test_the_ledger_stands_in_it_line_by_line() -> None:
    """States, counts, reasons and the companies that decide are those of this export."""
    lines = made("access")["datasets"]
    assert [(line["dataset"], line["state"], line["records"], line["gaps"]) for line in lines] == [
        ("profile", "complete", 1, 0),
        ("calls", "partial", 7, 1),
        ("routing_scores", "redacted", 3, 0),
        ("consents", "empty", 0, 0),
        ("calls", "needs_instruction", 0, 0),
    ]
    assert [line["companies"] for line in lines] == [[], ["ten_1"], ["ten_1"], [], ["ten_2"]]
    assert lines[2]["redactions"] == {"other-person": 2}


def test_a_decision_is_told_with_its_logic() -> None:
    """GDPR Art. 15(1)(h) where a dataset has one; where none of the copy has, nothing of it is told."""
    assert [*made("access")["decisions"]] == ["routing"]
    assert all(one["logic"]["en"] and one["effect"]["id"] for one in made("access")["decisions"].values())
    assert made("portability")["decisions"] == {}


@pytest.mark.requirement("R25", "R28")
def test_what_is_left_out_and_what_is_withheld_is_told() -> None:
    """Data Act Art. 25(2)(e)-(f): the list of what is not handed over is exhaustive; so it is for a person."""
    switch = made("switch")
    assert [(left["exporter"], left["dataset"]) for left in switch["not_included"]] == [
        ("marketing", "consents"),
        ("account", "profile"),
    ]
    assert all(left["reason"]["en"] != left["reason"]["id"] for left in switch["not_included"])
    (held,) = made("access")["withheld"]
    assert (held["exporter"], held["dataset"], held["kind"]) == ("account", "profile", "secret")
    assert held["what"] == {"en": "a bcrypt hash of your password", "id": "hash bcrypt kata sandi Anda"}
    assert all(text in page("access") for text in held["what"].values())


def test_what_is_withheld_is_told_where_something_is_held() -> None:
    """Of an empty dataset nobody holds a secret; a company is told of all that it could not get."""
    secret = replace(notices.THINGS, withheld=(Withheld("a key", "it opens something"),))
    for profile, expected in (("access", []), ("switch", ["things"])):
        told = made(profile, ("made", Held(secret), {"state": "empty"}))["withheld"]
        assert [one["dataset"] for one in told if one["exporter"] == "made"] == expected


@pytest.mark.requirement("R31")
def test_a_company_is_told_of_digital_assets_and_terms_and_a_person_of_rights() -> None:
    """Data Act Art. 25(2) is about companies, GDPR Art. 15(1)(e) about persons."""
    switch, access = made("switch"), made("access")
    assert switch["switching"]["digital_assets"] == ["configuration/agents"]
    assert switch["rights"] == []
    assert access["switching"] is None
    for language in PHRASES:
        assert PHRASES[language]["notice"]["terms"] in page("switch")
        assert PHRASES[language]["notice"]["bases_title"] not in page("switch")
        assert PHRASES[language]["notice"]["terms"] not in page("access")
    assert {right["law"] for right in access["rights"]} >= {"GDPR Art. 7(3); UU PDP Art. 9, 40"}


def test_whom_to_write_to_is_filled_in() -> None:
    """The deployment's contact stands in every right; without one, the controller's."""
    for contact, shown in (("privacy@own.example", "privacy@own.example"), (None, load().controller.contact)):
        document = made("access", contact=contact)
        assert document["contact"] == shown
        assert all("{" not in right["how"][language] for right in document["rights"] for language in PHRASES)
        assert shown in document["rights"][0]["how"]["en"]


def test_a_dataset_that_nobody_has_described_says_so() -> None:
    """A worker refuses to start with one; should it be there all the same, it is no silent hole."""
    document = made("access", ("made", Held(notices.THINGS), {"records": 1}))
    assert document["datasets"][-1]["described"] is False
    text = page("access", ("made", Held(notices.THINGS), {"records": 1}))
    for language in PHRASES:
        assert text.count(PHRASES[language]["notice"]["undescribed"]) == 1


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


@pytest.mark.parametrize("profile", PROFILES)
def test_the_page_is_whole_and_asks_nothing_of_the_network(profile: str) -> None:
    """One file, no script, no request; both languages say the same things."""
    text = page(profile)
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.names.isdisjoint({"script", "img", "iframe", "link", "form"})
    assert all(link.startswith(("#", "README.html#")) for link in tags.links)
    assert "default-src 'none'" in text
    english, indonesian = text.split('<section id="id"')
    for tag in ("<h2>", "<tr>", "<dt>"):
        assert english.count(tag) == indonesian.count(tag) > 0
    assert english.count("<h3>") == indonesian.count("<h3>")


def test_the_page_tells_in_both_languages() -> None:
    """Titles, purposes, periods, recipients and rights stand in each of them."""
    english, indonesian = page("access").split('<section id="id"')
    register = load()
    entry = register.datasets["calls/calls"]
    told = [
        register.retention[entry.retention].title,
        register.purposes["provide"].title,
        register.recipients["telephony"].does,
        register.decisions["routing"].logic,
        register.rights["erase"].title,
    ]
    for each in told:
        assert escape(each.en) in english
        assert escape(each.id) in indonesian
    assert "Profil akun" in indonesian


def test_hostile_values_are_text() -> None:
    """Whatever a plugin or a ledger says, it is escaped."""
    evil = "<script>alert(1)</script>"
    dataset = replace(notices.THINGS, title=evil, title_id=evil, withheld=(Withheld(evil, evil),))
    text = page("access", ("made", Held(dataset, (evil,)), {"state": "complete", "reason": evil, "records": 1}))
    assert "<script" not in text
    assert "&lt;script" in text


def test_both_languages_have_the_same_phrases() -> None:
    """A phrase that one of them lacks would break the page of a person."""
    assert {part: set(texts) for part, texts in PHRASES["en"].items()} == {
        part: set(texts) for part, texts in PHRASES["id"].items()
    }


def test_a_closing_volume_holds_its_notice_and_verifies(tmp_path: Path) -> None:
    """Both files and the schema are listed tag files: changed or removed, they are found out."""
    of = volumes.envelope()
    document = notices.closing(of)
    with (tmp_path / f"{of.volume_name(1)}.zip").open("wb") as file:
        volume = Volume(of, 1, file.write)
        volume.add("calls/calls.jsonl", [volumes.LINES], volumes.content("application/jsonl"))
        volume.seal(volumes.KEY, closing=document, notice=notices.made("access"))
    (path,) = tmp_path.iterdir()
    assert volumes.codes([path]) == set()
    found: dict[str, bytes] = {}
    volumes.pack_again(path, found.update)
    assert {"notice.json", "notice.html", "schemas/notice.schema.json"} <= found.keys()
    assert b'href="notice.html#en"' in found["README.html"]
    assert orjson.loads(found["notice.json"])["export"] == of.export
    volumes.pack_again(path, lambda files: files.pop("notice.html"))
    assert "missing" in volumes.codes([path])


def test_each_resource_says_why_and_for_how_long_its_data_is_held() -> None:
    """Kinds of legal basis, the period and terms of DPV stand beside each file of every volume."""
    strange = replace(volumes.content("application/jsonl"), exporter="made")
    members = [Member("data/a.jsonl", 1, "0" * 64, content) for content in (volumes.content("text/csv"), strange)]
    of = replace(volumes.envelope(), register=load())
    told, nothing = orjson.loads(b"".join(data_package(of, "volume-001", members)))["resources"]
    assert told["x-legal-basis"] == ["contract"]
    assert told["x-retention"] == {"begins": "record_created", "shortest": "P1Y", "longest": "P7Y"}
    assert "https://w3id.org/dpv/legal/eu/gdpr#A6-1-b" in told["x-dpv"]
    assert not {"x-legal-basis", "x-retention", "x-dpv"} & nothing.keys()

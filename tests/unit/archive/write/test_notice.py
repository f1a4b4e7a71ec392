"""The notice of an archive: what is done with this subject's data, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import notices
import orjson
import pytest
import volumes
from jsonschema import Draft202012Validator
from markupsafe import escape
from page_tags import PageTags
from repository import ROOT

from archive.parts import Member
from archive.recipients import RecipientTally
from archive.write import notice
from archive.write.data_package import data_package
from archive.write.facts import VolumeFacts
from archive.write.notice import NoticeLine
from archive.write.templates import say
from archive.write.volume import Volume
from portability.api import Withheld
from portability.law.notice import load
from portability.locale import languages, translated

PROFILES = [*notices.LEDGERS]
REFERENCES = {
    "category": "categories",
    "retention": "retention",
    "recipients": "recipients",
    "sources": "sources",
    "decisions": "decisions",
}


def notice_document(profile: str, *more: Any, **options: Any) -> dict[str, Any]:
    """The document as a reader has it."""
    document: dict[str, Any] = orjson.loads(orjson.dumps(notices.made_notice(profile, *more, **options)))
    return document


def page(profile: str, *more: Any) -> str:
    return notice.page(volumes.envelope(profile=profile), notice_document(profile, *more)).decode()


@pytest.mark.requirement("R25")
@pytest.mark.parametrize("profile", PROFILES)
def test_a_notice_is_as_it_was(profile: str) -> None:
    """Programs read it: what changes is looked at (`tests/golden/make_notices.py` writes it again)."""
    golden = ROOT / "tests" / "golden" / "notice" / f"{profile}.json"
    assert notices.in_source(notice_document(profile)) == orjson.loads(golden.read_bytes())


@pytest.mark.requirement("R25")
@pytest.mark.parametrize("profile", PROFILES)
def test_a_notice_is_valid_by_the_schema_beside_it(profile: str) -> None:
    """The schema that each archive holds describes every field, and is itself sound."""
    schema = orjson.loads(notice.SCHEMA)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert [
        error.message
        for error in validator.iter_errors(notice_document(profile, ("made", NoticeLine(notices.THINGS), {})))
    ] == []


@pytest.mark.requirement("R25")
@pytest.mark.parametrize("profile", PROFILES)
def test_each_id_can_be_resolved_and_nothing_else_is_shown(profile: str) -> None:
    """The notice contains exactly the parts of the register that the copy's own datasets refer to."""
    document = notice_document(profile)
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
    """States, counts, reasons and the companies that decide are those of this export; an empty dataset is not in it."""
    lines = notice_document("access")["datasets"]
    assert [(line["dataset"], line["state"], line["records"], line["gaps"]) for line in lines] == [
        ("profile", "complete", 1, 0),
        ("calls", "partial", 7, 1),
        ("routing_scores", "with_remarks", 3, 0),
        ("processing_trail", "complete", 6, 0),
        ("calls", "needs_instruction", 0, 0),
    ]
    assert [line["companies"] for line in lines] == [[], ["ten_1"], ["ten_1"], [], ["ten_2"]]
    assert lines[2]["redactions"] == {"other-person": 2}


def test_recipients_of_the_records_are_apart_from_those_of_the_register() -> None:
    """GDPR Art. 15(1)(c): whom the trail names, with the days, and whom the register declares for each kind of data."""
    assert notice_document("portability")["disclosures"] == []
    (trail,) = notice_document("access")["disclosures"]
    assert (trail["exporter"], trail["dataset"], trail["complete"], trail["more"]) == (
        "trail",
        "processing_trail",
        True,
        2,
    )
    assert [(one["name"], one["records"], one["first"], one["last"]) for one in trail["recipients"]] == [
        ("Court of Bremen", 1, None, None),
        ("Parcel Service Ltd.", 3, "2025-12-31", "2026-03-02"),
    ]
    text = page("access")
    for language in languages():
        assert escape(say(language, "notice.more_disclosures", count="2")) in text
        assert text.count(say(language, "notice.disclosures_title")) == 1
        assert say(language, "notice.disclosures_incomplete") not in text
    assert text.count("Court of Bremen") == 2 * len(languages())


def test_names_on_the_page_are_escaped_and_few_on_the_first_screen() -> None:
    """A name comes from a source: it is text. The first screen shows five names and the number of the others."""
    names = RecipientTally.of([(f"<b>{number}</b>", None) for number in range(8)])
    text = page("access", ("made", NoticeLine(notices.TRAIL, recipients=names), {"records": 8}))
    assert "<b>" not in text
    assert text.count(say("en", "notice.more_names", count="5")) == 1
    assert text.count("&lt;b&gt;7") == len(languages())


def test_disclosures_that_may_be_missing_are_reported() -> None:
    """A trail that broke off, or that a company has not ordered, may name others; an empty one may not."""
    for state, is_whole in (("partial", False), ("needs_instruction", False), ("refused", False), ("empty", True)):
        made = notice_document("access", ("made", NoticeLine(notices.TRAIL), {"state": state}))
        assert made["disclosures"][-1]["complete"] is is_whole
        text = page("access", ("made", NoticeLine(notices.TRAIL), {"state": state}))
        assert (say("en", "notice.disclosures_incomplete") in text) is not is_whole
        assert say("en", "notice.no_disclosure") in text


def test_a_decision_is_reported_with_its_logic() -> None:
    """GDPR Art. 15(1)(h) if a dataset has such a decision; otherwise nothing is said about it."""
    assert [*notice_document("access")["decisions"]] == ["routing"]
    assert all(one["logic"]["en"] and one["effect"]["id"] for one in notice_document("access")["decisions"].values())
    assert notice_document("portability")["decisions"] == {}


@pytest.mark.requirement("R25", "R28")
def test_what_is_left_out_and_what_is_withheld_is_reported() -> None:
    """Data Act Art. 25(2)(e)-(f): the list of what is not handed over is exhaustive; so it is for a person."""
    switch = notice_document("switch")
    assert [(left["exporter"], left["dataset"]) for left in switch["not_included"]] == [
        ("marketing", "consents"),
        ("account", "profile"),
    ]
    assert {left["reason"] for left in switch["not_included"]} == {"each_person_asks"}
    assert all(left["explanation"].keys() == {*languages()} for left in switch["not_included"])
    (held,) = notice_document("access")["withheld"]
    assert (held["exporter"], held["dataset"], held["name"]) == ("account", "profile", "password_hash")
    assert held["kind"] == "secret"
    assert held["what"]["en"] == "a bcrypt hash of your password"
    assert held["what"].keys() == {*languages()}
    assert all(escape(text) in page("access") for text in held["what"].values())


def test_withheld_data_is_reported_where_there_is_data() -> None:
    """An empty dataset withholds nothing from a person; a company is informed of every field that it could not get."""
    secret = replace(notices.THINGS, withheld=(Withheld("key", "a key", "it opens something"),))
    for profile, expected in (("access", []), ("switch", ["things"])):
        withheld = notice_document(profile, ("made", NoticeLine(secret), {"state": "empty"}))["withheld"]
        assert [one["dataset"] for one in withheld if one["exporter"] == "made"] == expected


def test_a_value_that_no_record_has_is_not_withheld() -> None:
    """export.json counted no record with a security code: the notice does not say that it is kept."""
    card = replace(notices.THINGS, withheld=(Withheld("cvv", "the security code", "it allows payments"),))
    line = ("billing", NoticeLine(card), {"records": 1})
    document = notices.closing(volumes.envelope(), line)
    document["withheld"] = []
    held = [each for _, each, _ in (*notices.LEDGERS["access"], line)]
    made: dict[str, Any] = notice.document(volumes.envelope(), document, load(), held, notices.laws_of("access"))
    assert made["withheld"] == []
    assert "things" in {one["dataset"] for one in made["datasets"]}


@pytest.mark.requirement("R31")
def test_a_company_is_informed_of_digital_assets_and_terms_and_a_person_of_rights() -> None:
    """Data Act Art. 25(2) is about companies, GDPR Art. 15(1)(e) about persons."""
    switch, access = notice_document("switch"), notice_document("access")
    assert switch["switching"]["digital_assets"] == ["configuration/agents"]
    assert switch["rights"] == []
    assert access["switching"] is None
    for language in languages():
        assert say(language, "notice.terms") in page("switch")
        assert say(language, "notice.bases_title") not in page("switch")
        assert say(language, "notice.terms") not in page("access")
    assert {right["law"] for right in access["rights"]} >= {"GDPR Art. 7(3); UU PDP Art. 9, 40"}


@pytest.mark.requirement("R25")
def test_rights_are_those_of_the_laws_of_the_subject() -> None:
    """How to use a right is shown with its places in these laws; a right that none of them gives is not shown."""
    both = notice_document("access")
    assert [one["law"] for one in both["rights"]] == [
        "GDPR Art. 16; UU PDP Art. 6, 30",
        "GDPR Art. 17; UU PDP Art. 8, 43",
        "GDPR Art. 7(3); UU PDP Art. 9, 40",
        "GDPR Art. 21(2)-(3)",
        "GDPR Art. 21(1)",
        "GDPR Art. 18; UU PDP Art. 11, 41",
        "GDPR Art. 22(3); UU PDP Art. 10",
        "GDPR Art. 15, Art. 20; UU PDP Art. 7, Art. 13",
        "GDPR Art. 77, Art. 79, Art. 82; UU PDP Art. 12",
    ]
    assert both["laws"] == ["GDPR Art. 15(1)(a)-(h), 15(2)", "UU PDP Art. 7, 21, 32"]
    assert [one["law"] for one in both["authorities"]] == ["UU PDP Art. 58-60", "GDPR Art. 77"]
    health = notice_document("access", regimes=["hipaa"])
    assert [(one["title"]["en"], one["law"]) for one in health["rights"]] == [
        ("Request a correction", "HIPAA, 45 CFR 164.526"),
        ("Restrict the use", "HIPAA, 45 CFR 164.522(a)"),
        ("Get a copy, or move your data to another provider", "HIPAA, 45 CFR 164.524"),
        ("Complain or go to court", "HIPAA, 45 CFR 160.306"),
    ]
    assert health["laws"] == ["HIPAA, 45 CFR 164.524"]
    assert [one["contact"] for one in health["authorities"]] == ["hhs.gov/ocr"]


@pytest.mark.requirement("R25", "R31")
def test_rights_are_listed_by_law() -> None:
    """Each law has its own list, for a person and for a company."""
    person = notice_document("access", regimes=["fadp", "appi", "data_act"])
    assert [(one["regime"], one["law"], len(one["rights"])) for one in person["rights_by_law"]] == [
        ("fadp", "FADP", 10),
        ("appi", "APPI", 7),
    ]
    assert person["rights_by_law"][1]["rights"][0] == {
        "right": "access",
        "title": person["rights_by_law"][0]["rights"][0]["title"],
        "article": "Art. 33",
    }
    (company,) = notice_document("switch")["rights_by_law"]
    assert [(one["right"], one["article"]) for one in company["rights"]][:2] == [
        ("switching", "Art. 23, 25"),
        ("extension", "Art. 25(5)"),
    ]
    for language in languages():
        assert say(language, "notice.rights_by_law") in page("switch")
        assert escape(company["rights"][0]["title"][language]) in page("switch")


@pytest.mark.requirement("R25")
def test_laws_have_their_name_in_the_language_of_the_page() -> None:
    """A German reads DSGVO, Abs. and Buchst.; programs read the one form of the register in notice.json."""
    german = page("access").partition('<section id="de"')[2].partition("<section id=")[0]
    assert "DSGVO Art. 15 Abs. 1 Buchst. a bis h, 15 Abs. 2; UU PDP Art. 7, 21, 32" in german
    assert "DSGVO Art. 7 Abs. 3; UU PDP Art. 9, 40" in german
    assert "GDPR" not in german
    assert notice_document("access")["laws"] == ["GDPR Art. 15(1)(a)-(h), 15(2)", "UU PDP Art. 7, 21, 32"]


def test_laws_that_state_no_rights_leave_those_of_the_register() -> None:
    """A deployment with regimes of its own alone: the register says what a person may do, and where the law has it."""
    made = notice.document(
        volumes.envelope(),
        notices.closing(volumes.envelope()),
        load(),
        [each for _, each, _ in notices.LEDGERS["access"]],
        (),
    )
    assert [one["law"] for one in made["rights"]] == [right.law for right in load().rights.values()]  # type: ignore[index,union-attr,call-overload]  # a list of objects
    assert len(made["authorities"]) == len(load().authorities)  # type: ignore[arg-type]  # a list
    assert made["rights_by_law"] == []


def test_whom_to_write_to_is_filled_in() -> None:
    """The deployment's contact is in every right; without one, the controller's."""
    for contact, shown in (("privacy@own.example", "privacy@own.example"), (None, load().controller.contact)):
        document = notice_document("access", contact=contact)
        assert document["contact"] == shown
        assert all("{" not in text for right in document["rights"] for text in right["how"].values())
        assert shown in document["rights"][0]["how"]["en"]


def test_an_undescribed_dataset_says_so() -> None:
    """A worker refuses to start with a gap in the register; if it still occurs, it is visible."""
    document = notice_document("access", ("made", NoticeLine(notices.THINGS), {"records": 1}))
    assert document["datasets"][-1]["described"] is False
    text = page("access", ("made", NoticeLine(notices.THINGS), {"records": 1}))
    for language in languages():
        assert text.count(say(language, "notice.undescribed")) == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_the_page_is_whole_and_asks_nothing_of_the_network(profile: str) -> None:
    """One file, no script, no request; all languages say the same things."""
    text = page(profile)
    tags = PageTags()
    tags.feed(text)
    assert tags.open == []
    assert tags.names.isdisjoint({"script", "img", "iframe", "link", "form"})
    assert all(link.startswith(("#", "README.html#")) for link in tags.links)
    assert "default-src 'none'" in text
    first, *others = text.split("<section ")[1:]
    assert len(others) == len(languages()) - 1
    for other in others:
        assert all(first.count(tag) == other.count(tag) > 0 for tag in ("<h2>", "<tr", "<dt>"))
        assert first.count("<h3>") == other.count("<h3>")


def test_the_page_is_in_every_language() -> None:
    """Titles, purposes, periods, recipients and rights stand in each of them."""
    sections = {text[4:].partition('"')[0]: text for text in page("access").split("<section ")[1:]}
    register = load()
    entry = register.datasets["calls/calls"]
    texts = [
        register.retention[entry.retention].title,
        register.purposes["provide"].title,
        register.recipients["telephony"].does,
        register.decisions["routing"].logic,
        register.rights["erase"].title,
    ]
    assert sections.keys() == {*languages()}
    for language, section in sections.items():
        for each in texts:
            assert escape(each.read(language)) in section
        assert escape(translated(language, "data.account/profile.title", "Account profile")) in section


def test_a_text_without_a_translation_is_shown_as_it_was_written() -> None:
    """A deployment's own table may be in English alone, and a plug-in's dataset, too."""
    text = page("access", ("made", NoticeLine(notices.THINGS), {"records": 1}))
    assert text.count("Things of a stranger") == len(languages())
    assert text.count(str(escape(load().recipients["hosting"].name.read("en")))) > len(languages())


def test_hostile_values_are_text() -> None:
    """Every text of a plug-in or a ledger is escaped."""
    evil = "<script>alert(1)</script>"
    dataset = replace(notices.THINGS, title=evil, withheld=(Withheld(evil, evil, evil),))
    text = page("access", ("made", NoticeLine(dataset, (evil,)), {"state": "complete", "reason": evil, "records": 1}))
    assert "<script" not in text
    assert "&lt;script" in text


def test_a_closing_volume_holds_its_notice_and_verifies(tmp_path: Path) -> None:
    """Both files and the schema are listed tag files: changed or removed, they are found out."""
    of = volumes.envelope()
    document = notices.closing(of)
    with (tmp_path / f"{of.volume_name(1)}.zip").open("wb") as file:
        volume = Volume(of, 1, file.write)
        volume.add("calls/calls.jsonl", [volumes.LINES], volumes.content("application/jsonl"))
        volume.seal(volumes.KEY, closing=document, notice=notices.made_notice("access"))
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
    unregistered = replace(volumes.content("application/jsonl"), exporter="made")
    members = [Member("data/a.jsonl", 1, "0" * 64, content) for content in (volumes.content("text/csv"), unregistered)]
    of = replace(volumes.envelope(), register=load())
    resource, nothing = orjson.loads(b"".join(data_package(of, "volume-001", members, VolumeFacts())))["resources"]
    assert resource["x-legal-basis"] == ["contract"]
    assert resource["x-retention"] == {"begins": "record_created", "shortest": "P1Y", "longest": "P7Y"}
    assert "https://w3id.org/dpv/legal/eu/gdpr#A6-1-b" in resource["x-dpv"]
    assert not {"x-legal-basis", "x-retention", "x-dpv"} & nothing.keys()

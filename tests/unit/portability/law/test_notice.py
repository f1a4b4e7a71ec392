"""The notice register: whole for all that is built in, and refused where it has a hole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from factories import MadeUpExporter, dataset
from pydantic import BaseModel

from portability.api import Exporter, Field, FieldType, Person, Provenance, Role
from portability.law import notice
from portability.law.notice import NoticeHole, Register, Text
from portability.locale import languages, sentences
from portability.plugins import load_exporters
from portability.settings import load_settings
from portability.sources import PlatformSources

OWN = 'version = "of our own"\n'
ENTRY = """
[datasets."made/things"]
category = "account"
purposes = { provide = "contract" }
recipients = ["hosting"]
retention = "account"
sources = ["you"]
"""


@pytest.fixture
def built_in_exporters(tmp_path: Path) -> Mapping[str, Exporter]:
    return load_exporters(PlatformSources(load_settings(dir=tmp_path)))


def own(folder: Path, *texts: str, version: str = OWN) -> Path:
    """A deployment's folder, with one file for each text."""
    folder = folder / "notice"
    folder.mkdir()
    for number, text in enumerate((version, *texts)):
        (folder / f"{number}.toml").write_text(text, "utf-8")
    return folder


def texts(entry: BaseModel | Mapping[str, object], where: str = "") -> Iterator[tuple[str, Text]]:
    """Every text of a register, with its place."""
    parts = dict(entry) if isinstance(entry, BaseModel) else entry
    for name, value in parts.items():
        place = f"{where}.{name}"
        if isinstance(value, Text):
            yield place, value
        elif isinstance(value, BaseModel | Mapping):
            yield from texts(value, place)


@pytest.mark.requirement("R25")
def test_every_built_in_dataset_has_its_entry(built_in_exporters: Mapping[str, Exporter]) -> None:
    """A dataset without notice data fails the build, and so does an entry whose dataset is gone."""
    register = notice.load()
    built_in = {
        f"{name}/{dataset.name}" for name, exporter in built_in_exporters.items() for dataset in exporter.datasets
    }
    assert [str(hole) for hole in notice.undescribed(register, built_in_exporters)] == []
    assert set(register.datasets) == {name for name in built_in if not name.startswith("portability/")} | {
        "portability"
    }


@pytest.mark.parametrize("language", languages())
def test_every_built_in_text_is_in_every_language(language: str) -> None:
    """The source text stands in the TOML files, its translations in the catalogues; only names have none."""
    alone = [place for place, text in texts(notice.load()) if language not in text.root]
    assert all(place.startswith((".recipients.", ".controller.")) for place in alone)
    assert all(place.endswith((".name", ".address")) for place in alone)


def test_no_translation_is_left_over() -> None:
    """A text of the catalogue whose path is gone is never shown."""
    paths = {place.removeprefix(".") for place, _ in texts(notice.load())}
    assert {code for language in languages() for code in sentences(language, notice.DOMAIN)} - paths == set()


def test_everything_in_the_register_is_used() -> None:
    """A purpose, recipient or period that no dataset refers to would never be shown: it is stale."""
    register = notice.load()
    entries = register.datasets.values()
    used = {
        "purposes": {name for entry in entries for name in entry.purposes},
        "bases": {name for entry in entries for name in entry.purposes.values()},
        "recipients": {name for entry in entries for name in entry.recipients},
        "retention": {entry.retention for entry in entries},
        "categories": {entry.category for entry in entries},
        "sources": {name for entry in entries for name in entry.sources},
        "decisions": {name for entry in entries for name in entry.decisions},
        "safeguards": {one.safeguard for one in register.recipients.values() if one.safeguard},
    }
    assert {kind: set(getattr(register, kind)) for kind in used} == used


@pytest.mark.requirement("R8")
def test_what_the_policy_promises_stands_in_it() -> None:
    """Accounts: 90 days after closure; recordings: 1 to 7 years; training of AI models is a purpose of its own."""
    register = notice.load()
    account, recordings = (register.retention[name] for name in ("account", "recordings"))
    assert (account.begins, account.shortest, account.longest) == ("account_closed", "P90D", "P90D")
    assert (recordings.shortest, recordings.longest) == ("P1Y", "P7Y")
    trained = {name for name, entry in register.datasets.items() if "train_ai" in entry.purposes}
    assert [name for name, purpose in register.purposes.items() if purpose.ai_training] == ["train_ai"]
    assert {"calls/recordings", "calls/transcripts", "chats/messages"} <= trained
    assert all(register.entry(*name.split("/")) for name in trained)


HOLES = {
    "unknown_reference": '[datasets."calls/calls"]\ncategory = "calls"\npurposes = { fly = "contract" }\n'
    'recipients = ["hosting"]\nretention = "recordings"\nsources = ["you"]',
    "missing_text": '[purposes.provide]\ntitle = { en = "To provide", id = " " }\nexplanation = { id = "Jadi." }',
    "bad_value: recipients": '[recipients.hosting]\nname = "X"\ncountry = "ID"\ndoes = { en = "Y", English = "Z" }',
    "unknown_key": '[recipients.hosting]\nname = "X"\ncountry = "ID"\nwhy = "?"\ndoes = { en = "Y", id = "Z" }',
    "missing_value": '[recipients.hosting]\nname = "X"\ndoes = { en = "Y", id = "Z" }',
    "missing_safeguard": '[recipients.hosting]\nname = "X"\ncountry = "US"\ndoes = { en = "Y", id = "Z" }',
    "missing_interest": '[bases.interests]\nkind = "legitimate_interests"\nlaw = "L"\ntitle = { en = "Y", id = "Z" }',
    "bad_value": '[retention.account]\ntitle = { en = "Y", id = "Z" }\nbegins = "some day"\nshortest = "P1Y"',
    "bad_placeholder": '[rights.erase]\nlaw = "L"\ntitle = { en = "Y", id = "Z" }\nhow = { en = "{phone}", id = "Z" }',
    "bad_placeholder: answers": '[answers.no]\nuse = "refusal"\ntitle = "No"\ntext = "Dear {reason}"',
    "bad_value: answers": f'[answers.no]\nuse = "refusal"\ntitle = "No"\ntext = "{"x" * 801}"',
    "bad_value: answers.no.basis": '[answers.no]\nuse = "refusal"\nbasis = "whim"\ntitle = "No"\ntext = "No"',
    "unreadable": "[purposes",
}


@pytest.mark.parametrize(("rule", "text"), HOLES.items(), ids=HOLES)
def test_a_register_with_a_hole_is_refused_by_its_rule(tmp_path: Path, rule: str, text: str) -> None:
    """Each fault is reported by the rule that it breaks, with its place."""
    with pytest.raises(NoticeHole, match=f"{rule}") as refused:
        notice.load(own(tmp_path, text))
    assert refused.value.code == "notice_hole"


def test_a_deployment_writes_its_texts_in_the_languages_that_it_wants(tmp_path: Path) -> None:
    """English is needed and shown where another language is missing; a plain text is English."""
    many = '{ en = "Hosts", de = "Hostet", pt-BR = "Hospeda" }'
    table = f'[recipients.hosting]\nname = "X"\ncountry = "ID"\ndoes = {many}\n[categories.made]\ntitle = "Made"'
    register = notice.load(own(tmp_path, table))
    does = register.recipients["hosting"].does
    assert [does.read(language) for language in ("en", "de", "pt-BR", "id")] == ["Hosts", "Hostet", "Hospeda", "Hosts"]
    assert register.categories["made"].title.root == {"en": "Made"}


def test_all_gaps_are_reported_together(tmp_path: Path) -> None:
    """All faults of a register are reported together."""
    with pytest.raises(NoticeHole) as refused:
        notice.load(own(tmp_path, HOLES["missing_text"]))
    assert "missing_value: purposes.provide.title.id" in str(refused.value)
    assert "missing_text: purposes.provide.explanation: a text in en is needed" in str(refused.value)


def test_what_stands_twice_is_refused(tmp_path: Path) -> None:
    """Two contradicting files in one folder: it is undefined which one counts."""
    with pytest.raises(NoticeHole, match=r"twice: datasets\.made/things"):
        notice.load(own(tmp_path, ENTRY, ENTRY))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A deployment that meant its own recipients must not tell ours."""
    with pytest.raises(NoticeHole, match="unreadable: nowhere"):
        notice.load(tmp_path / "nowhere")


def test_a_register_of_your_own_has_a_version_of_its_own(tmp_path: Path) -> None:
    """Otherwise one version would name two contents."""
    with pytest.raises(NoticeHole, match="missing_value: version"):
        notice.load(own(tmp_path, version='[recipients.tax]\nname = "X"'))


def test_a_deployment_replaces_tables_and_adds_its_own(tmp_path: Path) -> None:
    """Its recipient replaces ours, a third-party dataset gets its entry, everything else stays."""
    hosting = '[recipients.hosting]\nname = "Real Cloud"\ncountry = "ID"\ndoes = { en = "Hosts", id = "Menyimpan" }\n'
    register = notice.load(own(tmp_path, hosting, ENTRY, '[controller]\ncontact = "dpo@example.com"'))
    assert register.version == "of our own"
    assert register.recipients["hosting"].name == Text({"en": "Real Cloud"})
    assert register.controller.contact == "dpo@example.com"
    assert register.controller.name == notice.load().controller.name
    assert register.entry("made", "things") is not None
    assert register.entry("calls", "calls") == notice.load().entry("calls", "calls")


def test_a_third_party_dataset_without_an_entry_is_a_gap(tmp_path: Path) -> None:
    """It is refused at the start, until the deployment says what it is for."""
    made = {"made": MadeUpExporter([])}
    with pytest.raises(NoticeHole, match=r'missing_entry: datasets\."made/things"'):
        notice.check(notice.load(), made, embedded=True)
    notice.check(notice.load(own(tmp_path, ENTRY)), made, embedded=True)


def test_what_software_derives_needs_its_logic(tmp_path: Path) -> None:
    """GDPR Art. 15(1)(h): one derived field is enough."""
    guessed = Field("mood", FieldType.STRING, "Guessed.", Provenance.DERIVED)
    made = {"made": MadeUpExporter([], datasets=(dataset("things", Role.CONTROLLER, guessed),))}
    with pytest.raises(NoticeHole, match="missing_logic"):
        notice.check(notice.load(own(tmp_path, ENTRY)), made, embedded=True)


def test_a_note_of_staff_needs_no_logic_of_software(tmp_path: Path) -> None:
    """It is derived, and no decision of software."""
    note = Field("note", FieldType.STRING, "A note.", Provenance.DERIVED, person=Person.NOTE)
    made = {"made": MadeUpExporter([], datasets=(dataset("things", Role.CONTROLLER, note),))}
    notice.check(notice.load(own(tmp_path, ENTRY)), made, embedded=True)


def test_legal_bases_are_described_by_their_kind() -> None:
    """`portability` needs only the kind; an unknown dataset has none."""
    register: Register = notice.load()
    assert register.bases_of("billing", "invoices") == {"contract", "legal_obligation"}
    assert register.bases_of("marketing", "preferences") == {"consent"}
    assert register.bases_of("made", "things") == frozenset()


def test_the_made_up_controller_is_for_the_embedded_stack_alone(tmp_path: Path) -> None:
    """Elsewhere an archive would name a company that does not exist; setting the controller's name is enough."""
    notice.check(notice.load(), {}, embedded=True)
    with pytest.raises(NoticeHole, match=r"made_up: controller\.name: .*PORTABILITY_NOTICE_DIR"):
        notice.check(notice.load(), {}, embedded=False)
    for name in ("contact", "name"):
        (tmp_path / name).mkdir()
    other = own(tmp_path / "contact", '[controller]\ncontact = "privacy@acme.example"\n')
    with pytest.raises(NoticeHole, match="made_up"):
        notice.check(notice.load(other), {}, embedded=False)
    notice.check(notice.load(own(tmp_path / "name", '[controller]\nname = "Acme Inc."\n')), {}, embedded=False)


def test_a_text_has_the_translations_of_its_path() -> None:
    """The catalogues have them by the names of the tables; a number, a list and a text of a deployment stay."""
    tables = {"purposes": {"provide": {"title": "Provide", "days": 3, "names": ["a"]}, "own": {"title": "Own"}}}
    made = notice._with_translations(tables, "notice")["purposes"]
    assert made["provide"]["title"].keys() == {*languages()}
    assert made["provide"]["title"]["en"] == "Provide"
    assert (made["provide"]["days"], made["provide"]["names"], made["own"]["title"]) == (3, ["a"], "Own")

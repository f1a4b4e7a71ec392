from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from factories import MadeUpExporter, world
from packages import install

from portability import plugins
from portability.api import Batch, Cursor, Dataset, Exporter, Identity, IdentityUse, Selection, Subject, SubjectKind
from portability.api.errors import BadSetting
from portability.api.nouns import first_identity
from portability.people import resolution
from portability.people.resolution import led_by, needed
from portability.settings import load_settings
from portability.source_trust import SourceTrust
from portability.sources import PlatformSources, open_exporters, trusted

PAIR = """
from portability.api import Batch, Dataset, Field, FieldType, Identity, IdentityUse, Provenance, Role, SubjectKind

FIELDS = (Field("id", FieldType.STRING, "The record's id.", Provenance.PROVIDED),)


class Source:
    subject_kinds = frozenset({SubjectKind.USER})
    datasets = (Dataset("rows", "Rows", "Your rows.", FIELDS, Provenance.PROVIDED, Role.CONTROLLER, ("id",)),)

    def __init__(self, selects_by, finds):
        self.identity_use = IdentityUse(frozenset(selects_by), frozenset(finds))

    def identities(self, subject):
        return [Identity("", kind, "x", verified=True) for kind in self.identity_use.finds]

    def export(self, subject, dataset, selection, *, after=None):
        yield from ()


def people(declaration, sources):
    return Source((), ("email",))


def mails(declaration, sources):
    return Source(("email",), ())


def packaged_people(sources):
    return Source((), ("email",))


def packaged_mails(sources):
    return Source(("email",), ())
"""
"""Sources of which one finds e-mail addresses, by which the other one selects; declared, and of a package."""
UNSAID = {
    "declared sources": ('[app]\nkind = "people"\n[crm]\nkind = "mails"\n', "[crm]", "app finds"),
    "a declared source beside a package": ('[app]\nkind = "people"\n[mail]\nkind = "python"\n', "[mail]", "app finds"),
    "a package beside a declared source": ('[users]\nkind = "python"\n[crm]\nkind = "mails"\n', "[crm]", "users finds"),
}
SAID: Mapping[str, tuple[str, Mapping[str, set[str]]]] = {
    "trusted": ('[app]\nkind = "people"\n[crm]\nkind = "mails"\ntrusts = ["app"]\n', {"crm": {"app"}}),
    "not trusted": ('[app]\nkind = "people"\n[crm]\nkind = "mails"\ntrusts = []\n', {"crm": set()}),
    "packages": ('[users]\nkind = "python"\n[mail]\nkind = "python"\n', {"mail": {"users"}, "users": {"mail"}}),
}
WRONG = {
    "no list": ('trusts = "app"', "trusts must be a list of names of sections"),
    "no text": ("trusts = [1]", "trusts must be a list of names of sections"),
    "unknown": ('trusts = ["ap"]', "trusts: there is no section [ap]"),
}


@dataclass
class Finder(MadeUpExporter):
    """Finds the given identities by the values of verified identities."""

    records: Sequence[Mapping[str, str]] = ()
    leads: Mapping[str, Identity] = field(default_factory=dict)
    identity_use: IdentityUse = field(default_factory=IdentityUse)

    def identities(self, subject: Subject) -> Sequence[Identity]:
        return [self.leads[i.value] for i in subject.identities if i.verified and i.value in self.leads]


@dataclass
class OfAddresses(MadeUpExporter):
    """Gives the records whose text is a verified identity."""

    identity_use: IdentityUse = field(default_factory=IdentityUse)

    def export(
        self, subject: Subject, _dataset: Dataset, _selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        if after is None:
            yield Batch([one for one in self.records if str(one["text"]) in subject.verified("email")], "end")


def of_kind(kind: str, value: str) -> Identity:
    return Identity("anything", kind, value, verified=True)


def requested() -> Subject:
    return Subject(SubjectKind.USER, None, "sub_1", (first_identity(SubjectKind.USER, "usr_1", None),))


def plain(_name: str, call: Callable[[], object]) -> object:
    return call()


FINDERS: Mapping[str, Exporter] = {
    "account": Finder(leads={"usr_1": of_kind("email", "mail")}),
    "crm": Finder(leads={"mail": of_kind("contact_id", "con_1")}),
    "calls": Finder(leads={"con_1": of_kind("call_id", "call_1")}),
}


@pytest.mark.parametrize(
    ("accepted", "found"),
    [
        ({}, {"account": "mail", "crm": "con_1", "calls": "call_1"}),
        ({"crm": {"account"}, "calls": {"crm"}}, {"account": "mail", "crm": "con_1", "calls": "call_1"}),
        ({"crm": {"account"}, "calls": set()}, {"account": "mail", "crm": "con_1"}),
        ({"crm": {"calls"}}, {"account": "mail"}),
        ({"account": set()}, {"account": "mail", "crm": "con_1", "calls": "call_1"}),
    ],
)
def test_a_source_finds_others_only_by_identities_that_it_trusts(
    accepted: Mapping[str, set[str]], found: Mapping[str, str]
) -> None:
    """The request's identity counts everywhere; each other one where the source that found it is trusted."""
    trust = SourceTrust({name: frozenset(others) for name, others in accepted.items()})
    resolved = resolution.resolve(requested(), FINDERS, plain, trust=trust)
    assert {i.source: i.value for i in resolved.subject.identities[1:]} == found


def test_an_identity_has_the_name_of_the_source_that_found_it() -> None:
    """Whatever the plug-in writes: a section may have another name than the exporter, and trust is by section."""
    crm = Finder(leads={"usr_1": Identity("account", "email", "mail", verified=True)})
    resolved = resolution.resolve(requested(), {"kunden": crm}, plain)
    assert [i.source for i in resolved.subject.identities] == ["account", "kunden"]


def test_each_identity_names_those_that_led_to_it() -> None:
    """Those of the round before by which the source selects."""
    resolved = resolution.resolve(requested(), FINDERS, plain)
    through = {i.value: [one.value for one in others] for i, others in resolved.through.items()}
    assert through == {"mail": ["usr_1"], "con_1": ["mail"], "call_1": ["con_1"]}


def test_what_is_not_trusted_leads_nowhere() -> None:
    """A failing source costs only those who trust it, and an export of some sources asks only whom these trust."""
    uses = {"account": ("", "email"), "app": ("", "email"), "crm": ("email", "contact_id"), "calls": ("contact_id", "")}
    exporters: Mapping[str, Exporter] = {
        name: Finder(identity_use=IdentityUse(frozenset(by.split()), frozenset(finds.split())))
        for name, (by, finds) in uses.items()
    }
    trust = SourceTrust({"crm": frozenset({"account"})})
    assert led_by("calls", exporters, trust, assume=True) == {"crm", "account"}
    assert led_by("calls", exporters, assume=True) == {"crm", "account", "app"}
    assert needed(exporters, ["calls"], trust).keys() == {"calls", "crm", "account"}


@pytest.mark.slow
def test_an_export_has_no_row_by_an_address_that_its_source_does_not_trust(tmp_path: Path) -> None:
    """Two sources select by e-mail address; the one that declares whom it trusts gives no row for the other address."""
    at = {"usr_1": of_kind("email", "mail")}
    careful = OfAddresses([{"id": "1", "text": "mail"}], identity_use=IdentityUse(trusts=frozenset({"account"})))
    trusting = OfAddresses([{"id": "1", "text": "mail"}])
    made = world(tmp_path, {"stranger": Finder(leads=at), "careful": careful, "trusting": trusting})
    identifier = made.request()
    made.advance_all()
    lines = {line["exporter"]: (line["state"], line["records"]) for line in made.view(identifier)["datasets"]}
    assert lines == {"stranger": ("empty", 0), "careful": ("empty", 0), "trusting": ("complete", 1)}


def sources_file(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, frozenset[str]]:
    """Open the sources of a file; returns whom each of them trusts."""
    packages = folder / "packages"
    packages.mkdir()
    kinds = {"people": "people", "mails": "mails"}
    exporters = {"users": "packaged_people", "mail": "packaged_mails"}
    install(packages, "acme-sources", PAIR, source_kinds=kinds, exporters=exporters)
    monkeypatch.syspath_prepend(str(packages))
    plugins.installed.cache_clear()
    path = folder / "sources.toml"
    path.write_text(text)
    settings = load_settings(dir=folder / "state", sources=path)
    try:
        accepted = trusted(settings, open_exporters(settings, PlatformSources(settings))).accepted
    finally:
        plugins.installed.cache_clear()
    return {name: others - {name} for name, others in accepted.items()}


@pytest.mark.parametrize("case", UNSAID)
def test_a_deployment_says_whom_a_source_trusts_where_it_matters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Otherwise data would be missing without a sign, or a weak proof would open it: nothing starts."""
    text, section, finder = UNSAID[case]
    with pytest.raises(BadSetting) as raised:
        sources_file(tmp_path, text, monkeypatch)
    assert section in str(raised.value)
    assert finder in str(raised.value)
    assert "trusts" in str(raised.value.hint)


@pytest.mark.parametrize("case", SAID)
def test_a_section_says_whom_its_source_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """By the names of sections; exporters of packages trust each other, as without a file of sources."""
    text, accepted = SAID[case]
    found = sources_file(tmp_path, text, monkeypatch)
    assert {name: set(others) for name, others in found.items() if name in accepted} == accepted


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_list_of_sources_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """With the name of the section."""
    line, message = WRONG[case]
    with pytest.raises(BadSetting) as raised:
        sources_file(tmp_path, f'[app]\nkind = "people"\n[crm]\nkind = "mails"\n{line}\n', monkeypatch)
    assert f"[crm]: {message}" in str(raised.value)


def test_an_exporter_names_whom_it_trusts_by_installed_names(tmp_path: Path) -> None:
    """A deployment may rename sections: the declaration of the package stays true."""
    path = tmp_path / "sources.toml"
    path.write_text('[konto]\nkind = "python"\nexporter = "users"\n[mail]\nkind = "python"\n')
    settings = load_settings(dir=tmp_path / "state", sources=path)
    exporters: Mapping[str, Exporter] = {
        "konto": Finder(),
        "mail": Finder(identity_use=IdentityUse(trusts=frozenset({"users"}))),
    }
    assert trusted(settings, exporters).accepts("mail", "konto")
    assert not trusted(settings, exporters).accepts("mail", "other")

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from factories import MadeUpExporter, dataset

from portability import plugins
from portability.api import (
    Dataset,
    DisclosureFields,
    Field,
    FieldType,
    FieldValue,
    NestedKey,
    Person,
    Provenance,
    Role,
    Sources,
    SubjectKind,
    Withheld,
)
from portability.api.errors import BrokenPlugin, DuplicatePlugin, SourceUnavailable
from portability.errors import UnknownExporter, UnknownFormat
from portability.plugins import (
    EXPORTERS,
    FORMATS,
    check_exporter_names,
    find,
    load_document_formats,
    load_exporters,
    load_formats,
)
from portability.settings import load_settings
from portability.sources import PlatformSources

MODULE = "a_strangers_plugins"
Install = Callable[..., None]


class Package(Distribution):
    """An installed package, by name and version alone."""

    def __init__(self, name: str) -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return Path(path)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return PlatformSources(load_settings(dir=tmp_path))


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install(name=object, ...)`: third-party entry points, and no others are installed."""
    module = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)
    entries: list[EntryPoint] = []

    def add(group: str, package: str = "stranger", **named: object) -> None:
        for name, value in named.items():
            setattr(module, f"{package}_{name}", value)
            entry = EntryPoint(name, f"{MODULE}:{package}_{name}", group)
            vars(entry)["dist"] = Package(package)
            entries.append(entry)

    monkeypatch.setattr(
        plugins, "installed", lambda group: [found for found in plugins.declared(entries) if found.group == group]
    )
    return add


def made_up(**changes: Any) -> Callable[[Sources], MadeUpExporter]:
    return lambda _sources: MadeUpExporter([], **changes)


def test_the_built_in_plugins_enter_by_the_same_door(sources: Sources) -> None:
    """Every exporter and format of this repository is found as an entry point, loads, and has its shape."""
    exporters = load_exporters(sources)
    assert list(exporters) == sorted(exporters)
    assert {"account", "calls", "configuration"} <= exporters.keys()
    assert list(load_formats(["jsonl", "csv"])) == ["jsonl", "csv"]


def test_two_packages_with_one_name_are_refused(install: Install) -> None:
    """Neither is chosen by chance: the message names both packages, so that an operator can uninstall either."""
    install(EXPORTERS, "first", calls=made_up())
    install(EXPORTERS, "second", calls=made_up())
    with pytest.raises(DuplicatePlugin, match=r"'calls'.*first.*second") as raised:
        find(EXPORTERS)
    assert raised.value.hint


def test_two_exporters_whose_names_differ_by_case_are_refused(install: Install, sources: Sources) -> None:
    """Their files would have the same names on Windows and macOS, and their tables in a database."""
    install(EXPORTERS, "first", calls=made_up())
    install(EXPORTERS, "second", Calls=made_up())
    with pytest.raises(DuplicatePlugin, match="two plug-ins have the names 'Calls' and 'calls'"):
        load_exporters(sources)


def test_names_that_are_too_long_together_are_refused(install: Install, sources: Sources) -> None:
    """The path of a schema has both names; before, such a dataset made every export of its exporter fail."""
    install(EXPORTERS, **{"e" * 20: made_up(datasets=[dataset("d" * 100)])})
    assert list(load_exporters(sources)) == ["e" * 20]
    install(EXPORTERS, **{"f" * 21: made_up(datasets=[dataset("d" * 100)])})
    with pytest.raises(BrokenPlugin, match="the two names have more than 120 characters together") as raised:
        load_exporters(sources)
    assert raised.value.hint


def test_one_package_found_twice_is_one_plugin(install: Install) -> None:
    """An editable install beside its own older one declares the same entry point twice."""
    install(EXPORTERS, calls=made_up())
    install(EXPORTERS, calls=made_up())
    assert list(find(EXPORTERS)) == ["calls"]


def test_one_name_in_two_groups_is_no_duplicate(install: Install) -> None:
    """An exporter and a format may share a name."""
    install(EXPORTERS, csv=made_up())
    install(FORMATS, csv=object())
    assert list(find(EXPORTERS)) == list(find(FORMATS)) == ["csv"]


def test_a_plugin_that_does_not_load_is_named_without_its_message(install: Install, sources: Sources) -> None:
    """An import error's text may hold anything; the plug-in and the type of the error are enough."""
    install(EXPORTERS, calls=made_up())
    delattr(sys.modules[MODULE], "stranger_calls")
    with pytest.raises(BrokenPlugin, match="'calls' failed to load: AttributeError"):
        load_exporters(sources)


def _raises(_sources: Sources) -> MadeUpExporter:
    raise ValueError("hunter2")


class WithoutExport:
    subject_kinds: frozenset[str] = frozenset()
    datasets = ()


class ReturningExport(MadeUpExporter):
    def export(self, *_args: Any, **_kwargs: Any) -> Any:
        return iter(())


class WithFaultyDatasets(MadeUpExporter):
    @property
    def datasets(self) -> Any:
        raise ValueError("hunter2")

    @datasets.setter
    def datasets(self, _value: Any) -> None: ...


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (_raises, "cannot be started: ValueError"),
        ("no function", "cannot be started: TypeError"),
        (lambda _sources: None, "does not implement Exporter: it is a NoneType"),
        (lambda _sources: WithoutExport(), "does not implement Exporter: it is a WithoutExport"),
        (lambda _sources: ReturningExport([]), "is not a generator function"),
        (lambda _sources: WithFaultyDatasets([]), "cannot be started: ValueError"),
    ],
)
def test_an_exporter_without_its_shape_is_broken(
    install: Install, sources: Sources, factory: object, message: str
) -> None:
    """Every fault is found when the plug-in is loaded, and reported by its name and a type, never a message."""
    install(EXPORTERS, made=factory)
    with pytest.raises(BrokenPlugin, match=f"'made'.*{message}") as raised:
        load_exporters(sources)
    assert "hunter2" not in str(raised.value)


def _word(word: str) -> Any:
    """Return a value that a third party may use in place of a tag."""
    return word


def _of_staff(name: str, kind: FieldType = FieldType.STRING) -> Field:
    return Field(name, kind, "Who.", Provenance.OBSERVED, person=Person.STAFF)


def _with_keys(kind: FieldType, path: str) -> Field:
    return Field("n", kind, "What.", Provenance.OBSERVED, keys=(NestedKey(path),))


def _disclosing(recipient: str, at: str | None = None, *, wrong: bool = False) -> Dataset:
    count = Field("count", FieldType.INTEGER, "How many.", Provenance.OBSERVED)
    declared: Any = "text" if wrong else DisclosureFields(recipient, at)
    return replace(dataset("a", Role.CONTROLLER, count), disclosures=declared)


def _with_key(*key: str) -> Dataset:
    field = Field("id", FieldType.STRING, "The id.", Provenance.PROVIDED)
    return Dataset("things", "Things", "Things.", (field,), Provenance.PROVIDED, Role.CONTROLLER, key)


def _changed(**changes: Any) -> Dataset:
    return replace(dataset("a"), **changes)


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ([dataset("a"), dataset("a")], "declares a dataset twice"),
        ([dataset("a", Role.CONTROLLER, dataset().fields[0])], "a field twice"),
        *(
            ([dataset("a", Role.CONTROLLER, replace(dataset().fields[0], name=name))], "no database has a column")
            for name in ("", " ", "a\0b", "a\ud800")
        ),
        ([_with_key()], "its key is not among its fields"),
        ([_with_key("other")], "its key is not among its fields"),
        (
            [dataset("a", Role.BOTH, _of_staff("n", FieldType.INTEGER))],
            "only a text or object that is not a key has a `person`",
        ),
        (
            [replace(dataset("a", Role.BOTH, _of_staff("n")), key=("n",))],
            "only a text or object that is not a key has a `person`",
        ),
        ([dataset("a", Role.BOTH, replace(_of_staff("n"), person=_word("boss")))], "is not a Person"),
        ([dataset("a", Role.BOTH, _with_keys(FieldType.STRING, "/a"))], "only an object has `keys`"),
        ([dataset("a", Role.BOTH, _with_keys(FieldType.OBJECT, "a"))], "only an object has `keys`"),
        ([_disclosing("text", wrong=True)], "its `disclosures` are not DisclosureFields"),
        ([_disclosing("to")], "the recipient of `disclosures` is not a field of texts"),
        ([_disclosing("count")], "the recipient of `disclosures` is not a field of texts"),
        ([_disclosing("text", "count")], "the time of `disclosures` is not a time or date"),
        ([_disclosing("text", "when")], "the time of `disclosures` is not a time or date"),
        (["things"], "declares a dataset of type str"),
        ([dataset("../things")], "a name needs"),
        ([dataset("a" * 101)], "a name needs"),
        ([dataset("orders"), dataset("Orders")], "declares a dataset twice: 'orders' and 'Orders'"),
        ([dataset("CON")], "a name is reserved by Windows: 'CON'"),
        ([dataset("lpt1")], "a name is reserved by Windows: 'lpt1'"),
        ([_changed(name=7)], "declares a dataset whose name is a int"),
    ],
)
def test_bad_datasets_are_broken(install: Install, sources: Sources, datasets: Any, message: str) -> None:
    """A dataset is a folder in every archive, a row in every ledger and a schema: what cannot be is refused."""
    install(EXPORTERS, made=made_up(datasets=datasets))
    with pytest.raises(BrokenPlugin, match=message):
        load_exporters(sources)


UNSTORABLE = ("", " ", "\n", "a\0b", "a\ud800")


def _with_field(**changes: Any) -> Dataset:
    return dataset("a", Role.CONTROLLER, replace(Field("n", FieldType.STRING, "What.", Provenance.OBSERVED), **changes))


def _withholding(**changes: Any) -> Dataset:
    return _changed(withheld=(replace(Withheld("hash", "A hash.", "It gives access."), **changes),))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        *((_changed(title=text), "a/a: its title is a text that no archive stores") for text in UNSTORABLE),
        *((_changed(description=text), "a/a: its description is a text") for text in UNSTORABLE),
        *((_with_field(description=text), "the description of the field 'n' is a text") for text in UNSTORABLE),
        *((_withholding(what=text), "the description of what it withholds as 'hash' is a text") for text in UNSTORABLE),
        *((_withholding(reason=text), "the reason of what it withholds as 'hash' is a text") for text in UNSTORABLE),
        (_changed(title=None), "its title is a NoneType, not a text"),
        (_changed(description=b"Things"), "its description is a bytes, not a text"),
        (_changed(provenance="observed"), "its provenance is a str, not a Provenance"),
        (_changed(role="controller"), "its role is a str, not a Role"),
        (_changed(documents=1), "its `documents` is a int, not a bool"),
        (_changed(of_staff="no"), "its `of_staff` is a str, not a bool"),
        (_changed(of_requests=None), "its `of_requests` is a NoneType, not a bool"),
        (_changed(subject_kinds={SubjectKind.CONTACT}), "its `subject_kinds` is a set, not a frozenset"),
        (_changed(subject_kinds=frozenset({"contact"})), "one of its `subject_kinds` is a str, not a SubjectKind"),
        (_changed(fields=("n",)), "field 1 is a str, not a Field"),
        (_with_field(name=5), "the name of field 3 is a int, not a str"),
        (_with_field(type="string"), "the type of the field 'n' is a str, not a FieldType"),
        (_with_field(provenance="observed"), "the provenance of the field 'n' is a str, not a Provenance"),
        (_with_field(third_party="yes"), "`third_party` of the field 'n' is a str, not a bool"),
        (_with_field(values=("on",)), "a value of the field 'n' is a str, not a FieldValue"),
        (_with_field(values=(FieldValue("a\0", "On"),)), "a value of the field 'n' is a text that no archive stores"),
        (_with_field(values=(FieldValue("on", ""),)), "the label of a value of the field 'n' is a text"),
        (_changed(withheld=("hash",)), "one of its `withheld` is a str, not a Withheld"),
        (_withholding(name=""), "the name of one of its `withheld` is a text that no archive stores"),
        (_withholding(kind="secret"), "the kind of what it withholds as 'hash' is a str, not a WithheldKind"),
    ],
)
def test_what_no_export_could_store_is_refused_at_the_start(
    install: Install, sources: Sources, declared: Dataset, message: str
) -> None:
    """Every export of an exporter with such a declaration would fail, or an archive would not say what it has."""
    install(EXPORTERS, a=made_up(datasets=[declared]))
    with pytest.raises(BrokenPlugin, match=re.escape(message)):
        load_exporters(sources)


def test_our_own_errors_pass_through(install: Install, sources: Sources) -> None:
    """A factory that finds its source away says so itself."""

    def away(_sources: Sources) -> MadeUpExporter:
        raise SourceUnavailable("the CRM does not answer")

    install(EXPORTERS, made=away)
    with pytest.raises(SourceUnavailable, match="CRM"):
        load_exporters(sources)


def test_a_format_without_its_shape_is_broken(install: Install) -> None:
    """A format is an object with suffix, media type, and `encode` or `documents`."""
    install(FORMATS, other=object())
    for load in (load_formats, load_document_formats):
        with pytest.raises(BrokenPlugin, match="'other' implements none of Format, WriterFormat and DocumentFormat"):
            load(["other"])


def test_formats_of_records_and_of_documents_are_distinguished(install: Install) -> None:
    """One list of names gives the export both kinds, each in the order given."""

    class Documents:
        suffix, media_type, documents = ".json", "application/json", iter

    class Records:
        suffix, media_type, encode = ".txt", "text/plain", iter

    install(FORMATS, letters=Documents(), lines=Records(), cards=Documents())
    names = ["letters", "lines", "cards"]
    assert list(load_formats(names)) == ["lines"]
    assert list(load_document_formats(names)) == ["letters", "cards"]


def test_unknown_names_are_reported_with_the_installed_ones(install: Install, sources: Sources) -> None:
    """A typing error is answered with the right names."""
    install(EXPORTERS, calls=made_up(), crm=made_up())
    install(FORMATS, csv=object())
    with pytest.raises(UnknownExporter, match=r"'crn'; installed: calls, crm"):
        check_exporter_names(["calls", "crn"])
    with pytest.raises(UnknownFormat, match=r"'xls'; installed: csv"):
        load_formats(["xls"])
    assert list(load_exporters(sources, ["crm"])) == ["crm"]


def test_sources_are_opened_on_first_use(tmp_path: Path) -> None:
    """Building exporters touches no database: connections belong to the process that exports, after the fork."""
    lent = PlatformSources(load_settings(dir=tmp_path / "absent"))
    load_exporters(lent)
    assert not (tmp_path / "absent").exists()
    engine: object = lent.database
    assert engine is lent.database


@pytest.mark.parametrize(
    ("title", "said"),
    [
        (7, "its title is a int, not a text"),
        (None, "its title is a NoneType, not a text"),
        (" ", "its title is a text that no archive stores"),
        ("Our\0shop", "its title is a text that no archive stores"),
        ("\ud800", "its title is a text that no archive stores"),
    ],
)
def test_a_title_that_no_archive_stores_is_refused(
    install: Install, sources: Sources, title: object, said: str
) -> None:
    """At the start, with the name of the plug-in: later it would end every export."""

    def titled(_sources: Sources) -> MadeUpExporter:
        made = MadeUpExporter([])
        vars(made)["title"] = title
        return made

    install(EXPORTERS, shop=titled)
    with pytest.raises(BrokenPlugin, match=f"exporter plug-in 'shop': {said}"):
        load_exporters(sources)

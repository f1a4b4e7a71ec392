"""Exporters and formats, found through entry points; the built-in ones enter by the same door as a stranger's."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from portability.api import Dataset, DocumentFormat, Exporter, FieldType, Format, Person, Sources
from portability.errors import BrokenPlugin, DuplicatePlugin, PortabilityError, UnknownExporter, UnknownFormat

EXPORTERS = "portability.exporters"
FORMATS = "portability.formats"
NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""Of exporters and datasets: they are folders and files in every archive."""
REDACTABLE = frozenset({FieldType.STRING, FieldType.OBJECT})
"""Types of fields that may tell of another person: a mark or a pseudonym takes the value's place."""

Formats = Mapping[str, Format]
DocumentFormats = Mapping[str, DocumentFormat]


@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point as it was found."""

    name: str
    group: str
    package: str
    version: str
    entry: EntryPoint

    def load(self) -> Any:  # noqa: ANN401  # whatever a stranger's package has there; checked by the caller
        """Raises BrokenPlugin with the type of the fault: its text may hold anything."""
        try:
            return self.entry.load()
        except Exception as error:
            raise BrokenPlugin(f"{self.group} plugin {self.name!r} does not load: {type(error).__name__}") from error


@cache
def installed(group: str) -> Sequence[Plugin]:
    """Plugins of one group as packages declare them. Read once a process: that takes longer than a small volume."""
    return tuple(declared(entry_points(group=group)))


def declared(entries: Iterable[EntryPoint]) -> Iterator[Plugin]:
    """The plugins of these entry points."""
    for entry in entries:
        package, version = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "?")
        yield Plugin(entry.name, entry.group, package, version, entry)


def find(group: str) -> Mapping[str, Plugin]:
    """Plugins of one group by name, sorted. Raises DuplicatePlugin."""
    found: dict[str, Plugin] = {}
    for plugin in sorted(installed(group), key=lambda plugin: plugin.name):
        other = found.setdefault(plugin.name, plugin)
        if (other.package, other.entry.value) != (plugin.package, plugin.entry.value):
            names = f"{other.package} ({other.entry.value}) and {plugin.package} ({plugin.entry.value})"
            raise DuplicatePlugin(f"{group}: two plugins are named {plugin.name!r}: {names}")
    return found


def load_exporters(sources: Sources, names: Iterable[str] | None = None) -> Mapping[str, Exporter]:
    """Exporters by name, in a stable order. Raises UnknownExporter, DuplicatePlugin, BrokenPlugin."""
    found = find(EXPORTERS)
    wanted = list(found) if names is None else check_exporter_names(names)
    return {name: _exporter(found[name], sources) for name in wanted}


def check_exporter_names(names: Iterable[str]) -> list[str]:
    """The names, sorted and without doubles. Raises UnknownExporter."""
    return _known(find(EXPORTERS), names, UnknownExporter, "exporter")


def check_format_names(names: Sequence[str]) -> list[str]:
    """The names in the order given, without doubles. Raises UnknownFormat."""
    known = _known(find(FORMATS), names, UnknownFormat, "format")
    return sorted(known, key=list(names).index)


def load_formats(names: Sequence[str]) -> Formats:
    """Formats of records by name, in the order given, not those of documents. Raises UnknownFormat, BrokenPlugin."""
    return {name: loaded for name, loaded in _formats(names).items() if isinstance(loaded, Format)}


def load_document_formats(names: Sequence[str]) -> DocumentFormats:
    """Formats of documents by name, in the order given, not those of records. Raises UnknownFormat, BrokenPlugin."""
    return {name: loaded for name, loaded in _formats(names).items() if isinstance(loaded, DocumentFormat)}


def load_all_formats() -> Mapping[str, Format | DocumentFormat]:
    """Every installed format by name. Raises DuplicatePlugin, BrokenPlugin."""
    return _formats(list(find(FORMATS)))


def _formats(names: Sequence[str]) -> Mapping[str, Format | DocumentFormat]:
    found = find(FORMATS)
    formats: dict[str, Format | DocumentFormat] = {}
    for name in check_format_names(names):
        loaded = found[name].load()
        if not isinstance(loaded, Format | DocumentFormat):
            raise BrokenPlugin(f"format plugin {name!r} is neither a Format nor a DocumentFormat")
        formats[name] = loaded
    return formats


def _known(found: Mapping[str, Plugin], names: Iterable[str], error: type[PortabilityError], what: str) -> list[str]:
    wanted = sorted(set(names))
    if unknown := [name for name in wanted if name not in found]:
        raise error(f"no {what} is named {', '.join(map(repr, unknown))}; installed: {', '.join(found)}")
    return wanted


def _exporter(plugin: Plugin, sources: Sources) -> Exporter:
    factory = plugin.load()
    try:
        exporter = factory(sources)
        datasets = list(exporter.datasets) if isinstance(exporter, Exporter) else None
    except PortabilityError:
        raise
    except Exception as error:
        raise BrokenPlugin(f"exporter plugin {plugin.name!r} does not start: {type(error).__name__}") from error
    if datasets is None or not callable(getattr(exporter, "export", None)):
        raise BrokenPlugin(f"exporter plugin {plugin.name!r} is not an Exporter: {type(exporter).__name__}")
    if not inspect.isgeneratorfunction(exporter.export):
        raise BrokenPlugin(f"exporter plugin {plugin.name!r}: export() is not a generator function")
    _check_datasets(plugin.name, datasets)
    checked: Exporter = exporter
    return checked


def _check_datasets(exporter: str, datasets: Sequence[Any]) -> None:
    if strangers := [type(dataset).__name__ for dataset in datasets if not isinstance(dataset, Dataset)]:
        raise BrokenPlugin(f"exporter plugin {exporter!r} declares a {strangers[0]} as a dataset")
    if not all(NAME.fullmatch(name) for name in (exporter, *(dataset.name for dataset in datasets))):
        raise BrokenPlugin(f"exporter plugin {exporter!r}: names are 1 to 100 of the characters A-Z a-z 0-9 _ -")
    names = [dataset.name for dataset in datasets]
    if len(set(names)) != len(names):
        raise BrokenPlugin(f"exporter plugin {exporter!r} declares a dataset twice")
    for dataset in datasets:
        fields = [field.name for field in dataset.fields]
        if len(set(fields)) != len(fields) or not fields:
            raise BrokenPlugin(f"{exporter}/{dataset.name}: no fields, or a field twice")
        if not dataset.key or not set(dataset.key) <= set(fields):
            raise BrokenPlugin(f"{exporter}/{dataset.name}: its key is not among its fields")
        of_people = [field for field in dataset.fields if field.person is not None]
        if not all(isinstance(field.person, Person) for field in of_people):
            raise BrokenPlugin(f"{exporter}/{dataset.name}: a field tells of a person in a word that is no tag")
        if any(field.name in dataset.key or field.type not in REDACTABLE for field in of_people):
            raise BrokenPlugin(f"{exporter}/{dataset.name}: only text and objects tell of a person, and never a key")

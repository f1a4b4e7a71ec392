"""Plug-ins, found through entry points; the built-in plug-ins are found in the same way."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from portability.api import DocumentFormat, Exporter, Format, IdentityUse, Sources, Unit, WriterFormat
from portability.api.errors import BrokenPlugin, DuplicatePlugin, PortabilityError
from portability.api.names import same_names
from portability.dataset_checks import check_datasets, check_title
from portability.errors import UnknownExporter, UnknownFormat
from portability.locale import plugin_catalogues

EXPORTERS = "portability.exporters"
SOURCE_KINDS = "portability.source_kinds"
FORMATS = "portability.formats"
STORAGES = "portability.storages"
DIRECTORIES = "portability.directory"
KEY_STORES = "portability.key_stores"
HOOKS = "portability.hooks"
"""Code that a map of a source names, where a declaration is not enough."""
CATALOGUES = plugin_catalogues.GROUP
"""Packages with translations of their datasets."""
GROUPS = (EXPORTERS, SOURCE_KINDS, FORMATS, STORAGES, DIRECTORIES, KEY_STORES, HOOKS, CATALOGUES)
"""All groups of entry points of plug-ins."""

Formats = Mapping[str, Format | WriterFormat]
DocumentFormats = Mapping[str, DocumentFormat]
Forms = Mapping[str, WriterFormat]
AnyFormat = Format | WriterFormat | DocumentFormat


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in's entry point."""

    name: str
    group: str
    package: str
    version: str
    entry: EntryPoint

    def load(self) -> Any:  # noqa: ANN401  # any object of a third-party package; the caller checks it by the caller
        """Load it. Raises BrokenPlugin with the type of the error only: its text may contain anything."""
        try:
            return self.entry.load()
        except Exception as error:
            raise BrokenPlugin(f"{self.group} plug-in {self.name!r} failed to load: {type(error).__name__}") from error

    def start(self, sources: Sources) -> Any:  # noqa: ANN401  # as above
        """Call its factory. Raises BrokenPlugin, and any error of the factory."""
        return self.load()(sources)


@cache
def installed(group: str) -> Sequence[Plugin]:
    """Return the installed plug-ins of one group. Read once a process: it takes longer than writing a small volume."""
    return tuple(declared(entry_points(group=group)))


def declared(entries: Iterable[EntryPoint]) -> Iterator[Plugin]:
    """Yield the plug-ins of these entry points."""
    for entry in entries:
        package, version = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "?")
        yield Plugin(entry.name, entry.group, package, version, entry)


def find(group: str) -> Mapping[str, Plugin]:
    """Return the plug-ins of one group by name, sorted. Raises DuplicatePlugin."""
    return {name: pick(group, name) for name in sorted({plugin.name for plugin in installed(group)})}


def pick(group: str, name: str, package: str | None = None) -> Plugin:
    """Return the plug-in with that name, and from `package` if given. Raises UnknownExporter, DuplicatePlugin."""
    found = [p for p in installed(group) if p.name == name and package in {None, p.package}]
    if not found:
        there = ", ".join(sorted({f"{p.name} ({p.package})" if package else p.name for p in installed(group)}))
        within = f" in the package {package!r}" if package else ""
        raise UnknownExporter(f"{group}: unknown plug-in {name!r}{within}; installed: {there or 'none'}")
    first = found[0]
    for other in found[1:]:
        if (other.package, other.entry.value) != (first.package, first.entry.value):
            names = f"{first.package} ({first.entry.value}) and {other.package} ({other.entry.value})"
            raise DuplicatePlugin(f"{group}: two plug-ins are named {name!r}: {names}")
    return first


def load_exporters(sources: Sources, names: Iterable[str] | None = None) -> Mapping[str, Exporter]:
    """Load exporters by name, in a stable order. Raises UnknownExporter, DuplicatePlugin, BrokenPlugin."""
    found = find(EXPORTERS)
    if same := same_names(found):
        raise DuplicatePlugin(f"{EXPORTERS}: two plug-ins have the names {same[0]!r} and {same[1]!r}")
    wanted = list(found) if names is None else check_exporter_names(names)
    return {name: checked_exporter(name, partial(found[name].start, sources)) for name in wanted}


def check_exporter_names(names: Iterable[str], known: Collection[str] | None = None) -> list[str]:
    """Return the names, sorted and without duplicates; `known` are the deployment's. Raises UnknownExporter."""
    return _known(find(EXPORTERS) if known is None else known, names, UnknownExporter, "exporter")


def check_format_names(names: Sequence[str]) -> list[str]:
    """Return the names in the given order, without duplicates. Raises UnknownFormat."""
    known = _known(find(FORMATS), names, UnknownFormat, "format")
    return sorted(known, key=list(names).index)


def load_formats(names: Sequence[str]) -> Formats:
    """Load formats of records by name, in the given order, without the others. Raises UnknownFormat, BrokenPlugin."""
    return {
        name: loaded
        for name, loaded in _formats(names).items()
        if isinstance(loaded, Format | WriterFormat) and not _is_form(loaded)
    }


def load_document_formats(names: Sequence[str]) -> DocumentFormats:
    """Load document formats by name, in the given order, without the others. Raises UnknownFormat, BrokenPlugin."""
    return {name: loaded for name, loaded in _formats(names).items() if isinstance(loaded, DocumentFormat)}


def load_forms(names: Sequence[str]) -> Forms:
    """Load forms of volumes by name, in the given order, without the others. Raises UnknownFormat, BrokenPlugin."""
    return {
        name: loaded
        for name, loaded in _formats(names).items()
        if isinstance(loaded, WriterFormat) and _is_form(loaded)
    }


def load_all_formats() -> Mapping[str, AnyFormat]:
    """Load every installed format by name. Raises DuplicatePlugin, BrokenPlugin."""
    return _formats(list(find(FORMATS)))


def _is_form(loaded: AnyFormat) -> bool:
    """Return whether a format is a copy beside those that hold every value."""
    return isinstance(loaded, WriterFormat) and loaded.unit is not Unit.PIECE


def _formats(names: Sequence[str]) -> Mapping[str, AnyFormat]:
    found = find(FORMATS)
    formats: dict[str, AnyFormat] = {}
    for name in check_format_names(names):
        loaded = found[name].load()
        if not isinstance(loaded, Format | WriterFormat | DocumentFormat):
            raise BrokenPlugin(f"format plug-in {name!r} implements none of Format, WriterFormat and DocumentFormat")
        formats[name] = loaded
    return formats


def _known(found: Collection[str], names: Iterable[str], error: type[PortabilityError], what: str) -> list[str]:
    wanted = sorted(set(names))
    if unknown := [name for name in wanted if name not in found]:
        raise error(f"unknown {what} {', '.join(map(repr, unknown))}; installed: {', '.join(found)}")
    return wanted


def checked_exporter(name: str, make: Callable[[], Any]) -> Exporter:
    """Return what `make` makes if it is an exporter. Raises BrokenPlugin, and any PortabilityError of `make`."""
    try:
        exporter = make()
        datasets = list(exporter.datasets) if isinstance(exporter, Exporter) else None
    except PortabilityError:
        raise
    except Exception as error:
        raise BrokenPlugin(f"exporter plug-in {name!r} cannot be started: {type(error).__name__}") from error
    if datasets is None or not callable(getattr(exporter, "export", None)):
        raise BrokenPlugin(f"exporter plug-in {name!r} does not implement Exporter: it is a {type(exporter).__name__}")
    if not inspect.isgeneratorfunction(exporter.export):
        raise BrokenPlugin(f"exporter plug-in {name!r}: export() is not a generator function")
    if not isinstance(getattr(exporter, "identity_use", IdentityUse()), IdentityUse):
        raise BrokenPlugin(f"exporter plug-in {name!r}: identity_use is not an IdentityUse")
    check_title(name, exporter)
    check_datasets(name, datasets)
    checked: Exporter = exporter
    return checked

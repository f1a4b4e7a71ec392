"""Sources: the exporters of a deployment, according to its settings, and the connections that they read from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from portability.api import ConfiguredFactory, Exporter, FileStore, MappedKind, SourceDeclaration, SourceMap, Sources
from portability.api.errors import BadMap, BadSetting, BrokenPlugin, DuplicatePlugin, PortabilityError
from portability.api.storages import Storage
from portability.database.engine import open_engine
from portability.errors import BadSource, UnknownExporter
from portability.plugins import EXPORTERS, SOURCE_KINDS, Plugin, checked_exporter, find, load_exporters, pick
from portability.settings import Settings
from portability.source_file import OWN_RECORDS, read_sections
from portability.source_trust import SourceTrust, undecided, use_of
from portability.storage import named_by, open_storage, prepare
from portability.storage.source_files import RECORDINGS, StorageFiles

if TYPE_CHECKING:
    from portability.shared.state import DeploymentState

PACKAGED = "python"
"""The kind of sources that are exporters of installed packages."""
_NAMING = ("exporter", "package")
"""Keys of its sections that name the exporter."""


class PlatformSources:
    """The `Sources` of a real export. Only closed, or prepared and unused, connections may be used across a fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._closes: list[Callable[[], None]] = []

    @cached_property
    def database(self) -> Engine:
        """Return the platform's database. Raises BadSource if the deployment has none."""
        if not self._settings.has_reference:
            raise BadSource(
                "this deployment has no platform database",
                hint="set PORTABILITY_SOURCE_URL in addition to PORTABILITY_SOURCES",
            )
        return self._open(self._settings.source)

    @cached_property
    def control(self) -> Engine:
        """Return the control database."""
        return self._open(self._settings.database)

    def _open(self, url: str) -> Engine:
        return open_engine(url, read_only=True, prepared=self._settings.prepared_statements)

    @cached_property
    def files(self) -> FileStore:
        """Return the platform's files. Raises BadSource if the deployment has none."""
        return StorageFiles(self._storage)

    @cached_property
    def _storage(self) -> Storage:
        if not self._settings.has_recordings:
            raise BadSource(
                "this deployment has no recordings",
                hint="set PORTABILITY_RECORDINGS_URL in addition to PORTABILITY_SOURCES",
            )
        return open_storage(self._settings.recordings)

    @cached_property
    def shared(self) -> DeploymentState:
        """Return what all workers share. Raises SourceUnavailable if the embedded Valkey is down."""
        # Few sources need it, and its libraries take a fifth of a second to load.
        from portability.shared.state import open_state  # noqa: PLC0415  # as said above

        engine = open_engine(self._settings.database, prepared=self._settings.prepared_statements)
        return open_state(self._settings, engine)

    @property
    def seconds(self) -> float:
        """Return the time limit of one call of an exporter."""
        return self._settings.source_seconds

    def prepare(self) -> None:
        """Load what takes long, and leave no open connection. Raises StorageError."""
        if self._settings.has_recordings:
            with named_by(RECORDINGS):
                prepare(self._storage)

    def finish(self) -> None:
        """Wait for what a process must not leave half-done when it ends."""
        if shared := self.__dict__.get("shared"):
            shared.finish()

    def close(self) -> None:
        """Close all connections; new connections are opened on demand."""
        if self._settings.has_reference:
            self.database.dispose()
        self.control.dispose()
        if (shared := self.__dict__.get("shared")) is not None:
            shared.close()
        for close in self._closes:
            close()

    def when_closed(self, close: Callable[[], None]) -> None:
        """Call this whenever connections are closed: an exporter has opened connections of its own."""
        self._closes.append(close)


class DeclaredExporters(Mapping[str, Exporter]):
    """The exporters of a file of sources by name, in its order, and the maps that declare some of them."""

    def __init__(self, path: Path, connections: Sources, exporters: Mapping[str, Exporter]) -> None:
        self._path = path
        self._connections = connections
        self._exporters = exporters
        self.maps: dict[str, SourceMap] = {}

    def __getitem__(self, name: str) -> Exporter:
        return self._exporters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._exporters)

    def __len__(self) -> int:
        return len(self._exporters)

    def with_maps(self, maps: Mapping[str, SourceMap]) -> Mapping[str, Exporter]:
        """Return the exporters with these maps instead of their own, by name of the exporter.

        Raises: BadSetting, BadMap.
        """
        sections = {one.name: one for one in read_sections(self._path)}
        others = {name: _reopen(self._path, sections[name], one, self._connections) for name, one in maps.items()}
        return {**self._exporters, **others}


def open_exporters(settings: Settings, connections: Sources) -> Mapping[str, Exporter]:
    """Open the deployment's exporters by name, in a stable order; those of a file are DeclaredExporters.

    They are those of the file SOURCES, and the exporter of this software's own records; without this setting, all
    installed exporters, on the reference platform.

    Raises: BadSetting, UnknownExporter, DuplicatePlugin, BrokenPlugin, with the section's name.
    """
    if settings.sources is not None:
        opened = _open_declared(settings.sources, connections)
        _check_trust(settings, opened)
        return opened
    if settings.source_url is None and not settings.embedded:
        raise BadSetting(
            "no source is configured: PORTABILITY_SOURCES and PORTABILITY_SOURCE_URL are not set",
            hint="set PORTABILITY_SOURCES to a file of sources: see docs/settings.md#sources",
        )
    return load_exporters(connections)


def open_each(settings: Settings, connections: Sources) -> Mapping[str, Exporter | PortabilityError]:
    """Open each source of the file SOURCES, as every process does that starts with it.

    A source with which no process starts has its error: it cannot be opened, or does not say whom it trusts.

    Raises: BadSetting.
    """
    if not settings.sources:
        raise BadSetting(
            "no source is declared: PORTABILITY_SOURCES is not set",
            hint="set it to a file of sources: see docs/settings.md#sources",
        )
    exporters: dict[str, Exporter] = {}
    errors: dict[str, PortabilityError] = {}
    sections = read_sections(settings.sources)
    for declared in sections:
        try:
            exporters[declared.name] = _open(settings.sources, declared, connections)[0]
        except PortabilityError as error:
            errors[declared.name] = error
    errors = {**_trust_faults(settings, {**exporters, OWN_RECORDS: _own_records(connections)}), **errors}
    return {one.name: errors.get(one.name) or exporters[one.name] for one in sections}


def exporter_names(settings: Settings) -> Collection[str]:
    """Return the names of the deployment's exporters without loading them. Raises BadSetting, DuplicatePlugin."""
    if settings.sources is None:
        return find(EXPORTERS)
    return [*(one.name for one in read_sections(settings.sources)), OWN_RECORDS]


def declared_names(settings: Settings) -> Sequence[str]:
    """Return the names of the sources that the file SOURCES declares; none without such a file. Raises BadSetting."""
    return [] if settings.sources is None else [one.name for one in read_sections(settings.sources)]


def trusted(settings: Settings, exporters: Mapping[str, Exporter]) -> SourceTrust:
    """Return whose identities each source accepts (ADR 62).

    A section of the file SOURCES says it; else its exporter does, by names of installed exporters; else exporters of
    packages accept each other, and other kinds of sources accept themselves only. Without the file, exporters that do
    not say it accept all sources.

    Raises: BadSetting.
    """
    declared = {one.name: one for one in _sections(settings)}
    packaged = frozenset(name for name, one in declared.items() if one.kind == PACKAGED)
    accepted: dict[str, frozenset[str]] = {}
    for name, exporter in exporters.items():
        section, said = declared.get(name), use_of(exporter).trusts
        if section is not None and section.trusts is not None:
            accepted[name] = frozenset(section.trusts)
        elif said is not None:
            accepted[name] = frozenset(one for one in exporters if {one, _installed_name(declared.get(one))} & said)
        elif section is not None:
            accepted[name] = packaged if name in packaged else frozenset()
    return SourceTrust(accepted)


def _sections(settings: Settings) -> Sequence[SourceDeclaration]:
    return () if settings.sources is None else read_sections(settings.sources)


def _installed_name(section: SourceDeclaration | None) -> object:
    """Return the entry point of a section's exporter; None if it has the section's name."""
    return section.keys.get("exporter") if section is not None and section.kind == PACKAGED else None


def _trust_faults(settings: Settings, exporters: Mapping[str, Exporter]) -> Mapping[str, PortabilityError]:
    """Return by section what is wrong with whom it trusts, where this decides which data it gives.

    `exporters` are those that could be opened.
    """
    sections = _sections(settings)
    known = {OWN_RECORDS, *(one.name for one in sections)}
    unknown = {one.name: [name for name in one.trusts or () if name not in known] for one in sections}
    stated = {one.name for one in sections if isinstance(one.trusts, tuple)}
    stated |= {name for name, exporter in exporters.items() if isinstance(use_of(exporter).trusts, frozenset)}
    found = undecided(trusted(settings, exporters), exporters, frozenset(stated))
    hint = 'add trusts = ["NAME", ...] to the section, or trusts = []: see docs/settings.md#trust'
    return {
        **{name: BadSetting(f"{settings.sources}: {said}", hint=hint) for name, said in found},
        **{
            name: BadSetting(f"{settings.sources}: [{name}]: trusts: there is no section [{names[0]}]")
            for name, names in unknown.items()
            if names
        },
    }


def _check_trust(settings: Settings, exporters: Mapping[str, Exporter]) -> None:
    """Check that each source says whom it trusts where this decides which data it gives. Raises BadSetting."""
    if faults := [*_trust_faults(settings, exporters).values()]:
        raise BadSetting("; ".join(map(str, faults)), hint=faults[0].hint)


def open_installed(declared: SourceDeclaration, connections: Sources) -> Exporter:
    """Open the source kind `python`: an installed exporter, named by the section's name or by its key `exporter`.

    All further keys are settings of the exporter.

    Raises: BadSetting, UnknownExporter, DuplicatePlugin, BrokenPlugin.
    """
    plugin = pick(EXPORTERS, *_installed_as(declared))
    factory = plugin.load()
    if isinstance(factory, ConfiguredFactory):
        return factory.start(connections, {k: v for k, v in declared.keys.items() if k not in _NAMING})
    declared.texts(*_NAMING)
    exporter: Exporter = factory(connections)
    return exporter


def _installed_as(declared: SourceDeclaration) -> tuple[str, str | None]:
    """Return the entry point and the package that a section names; None: any package. Raises BadSetting."""
    named = {key: value for key, value in declared.keys.items() if key in _NAMING}
    keys = replace(declared, keys=named).texts(*_NAMING)
    return keys.get("exporter", declared.name), keys.get("package")


def _open_declared(path: Path, connections: Sources) -> DeclaredExporters:
    exporters: dict[str, Exporter] = {}
    opened = DeclaredExporters(path, connections, exporters)
    for declared in read_sections(path):
        exporters[declared.name], source = _open(path, declared, connections)
        if source is not None:
            opened.maps[declared.name] = source
    exporters[OWN_RECORDS] = _own_records(connections)
    return opened


def _own_records(connections: Sources) -> Exporter:
    return checked_exporter(OWN_RECORDS, partial(pick(EXPORTERS, OWN_RECORDS).start, connections))


def _open(path: Path, declared: SourceDeclaration, connections: Sources) -> tuple[Exporter, SourceMap | None]:
    """Make the exporter of a section; with its map, if one declares it. Raises any PortabilityError of a section."""
    with _named(path, declared):
        kind = _kind(declared.kind).load()
        source = kind.source_map(declared) if isinstance(kind, MappedKind) else None
        if source is None:
            return checked_exporter(declared.name, partial(kind, declared, connections)), None
    return _reopen(path, declared, source, connections), source


def _reopen(path: Path, declared: SourceDeclaration, source: SourceMap, connections: Sources) -> Exporter:
    """Make the exporter of a section by a map. Raises BadMap, BadSetting, BrokenPlugin, with the section's name."""
    with _named(path, declared):
        kind: MappedKind = _kind(declared.kind).load()
        return checked_exporter(declared.name, partial(kind.reopen, declared, source, connections))


@contextmanager
def _named(path: Path, declared: SourceDeclaration) -> Iterator[None]:
    """Name the file and the section in errors of the block."""
    try:
        yield
    except (BadMap, BadSetting, BadSource, UnknownExporter, DuplicatePlugin, BrokenPlugin) as error:
        raise type(error)(f"{path}: [{declared.name}]: {error}", hint=error.hint) from error


def _kind(name: str) -> Plugin:
    kinds = find(SOURCE_KINDS)
    if name not in kinds:
        raise BadSetting(f"unknown source kind {name!r}; installed: {', '.join(kinds)}")
    return kinds[name]

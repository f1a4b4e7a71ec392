"""Sources: the exporters of a deployment, according to its settings, and the connections that they read from."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from portability.api import Exporter, FileStore, MappedKind, SourceDeclaration, SourceMap, Sources
from portability.api.errors import BadMap, BadSetting, BrokenPlugin, DuplicatePlugin
from portability.api.storages import Storage
from portability.database.engine import open_engine
from portability.errors import BadSource, UnknownExporter
from portability.plugins import EXPORTERS, NAME, SOURCE_KINDS, Plugin, checked_exporter, find, load_exporters, pick
from portability.settings import Settings
from portability.storage import open_storage, prepare
from portability.storage.source_files import StorageFiles

if TYPE_CHECKING:
    from portability.shared.state import DeploymentState

OWN_RECORDS = "portability"
"""The exporter of this software's own records: every deployment has it."""


class PlatformSources:
    """The `Sources` of a real export. Only closed, or prepared and unused, connections may be used across a fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

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
            prepare(self._storage)

    def close(self) -> None:
        """Close all connections; new connections are opened on demand."""
        if self._settings.has_reference:
            self.database.dispose()
        self.control.dispose()
        if (shared := self.__dict__.get("shared")) is not None:
            shared.close()


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
        sections = {one.name: one for one in _read(self._path)}
        others = {name: _reopen(self._path, sections[name], one, self._connections) for name, one in maps.items()}
        return {**self._exporters, **others}


def open_exporters(settings: Settings, connections: Sources) -> Mapping[str, Exporter]:
    """Open the deployment's exporters by name, in a stable order; those of a file are DeclaredExporters.

    They are those of the file SOURCES, and the exporter of this software's own records; without this setting, all
    installed exporters, on the reference platform.

    Raises: BadSetting, UnknownExporter, DuplicatePlugin, BrokenPlugin, with the section's name.
    """
    if settings.sources is not None:
        return _open_declared(settings.sources, connections)
    if settings.source_url is None and not settings.embedded:
        raise BadSetting(
            "no source is configured: PORTABILITY_SOURCES and PORTABILITY_SOURCE_URL are not set",
            hint="set PORTABILITY_SOURCES to a file of sources: see docs/settings.md#sources",
        )
    return load_exporters(connections)


def exporter_names(settings: Settings) -> Collection[str]:
    """Return the names of the deployment's exporters without loading them. Raises BadSetting, DuplicatePlugin."""
    if settings.sources is None:
        return find(EXPORTERS)
    return [*(one.name for one in _read(settings.sources)), OWN_RECORDS]


def open_installed(declared: SourceDeclaration, connections: Sources) -> Exporter:
    """Open the source kind `python`: an installed exporter, named by the section's name or by its key `exporter`.

    Raises: BadSetting, UnknownExporter, DuplicatePlugin, BrokenPlugin.
    """
    keys = declared.texts("exporter", "package")
    exporter: Exporter = pick(EXPORTERS, keys.get("exporter", declared.name), keys.get("package")).start(connections)
    return exporter


def _open_declared(path: Path, connections: Sources) -> DeclaredExporters:
    exporters: dict[str, Exporter] = {}
    opened = DeclaredExporters(path, connections, exporters)
    for declared in _read(path):
        with _named(path, declared):
            kind = _kind(declared.kind).load()
            if isinstance(kind, MappedKind):
                opened.maps[declared.name] = kind.source_map(declared)
        if declared.name in opened.maps:
            exporters[declared.name] = _reopen(path, declared, opened.maps[declared.name], connections)
        else:
            with _named(path, declared):
                exporters[declared.name] = checked_exporter(declared.name, partial(kind, declared, connections))
    own = partial(pick(EXPORTERS, OWN_RECORDS).start, connections)
    exporters[OWN_RECORDS] = checked_exporter(OWN_RECORDS, own)
    return opened


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


@cache
def _read(path: Path) -> Sequence[SourceDeclaration]:
    """Read the sections of a sources file, once a process, so that all parts see the same. Raises BadSetting."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadSetting(f"PORTABILITY_SOURCES: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSetting(f"PORTABILITY_SOURCES: {path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(f"PORTABILITY_SOURCES: {path} is not TOML: {error}") from None
    if not document:
        raise BadSetting(f"PORTABILITY_SOURCES: {path} declares no source")
    return [_declaration(path, name, section) for name, section in document.items()]


def _declaration(path: Path, name: str, section: object) -> SourceDeclaration:
    if not isinstance(section, dict):
        raise BadSetting(f"{path}: {name} is outside of a section")
    if not NAME.fullmatch(name):
        raise BadSetting(f"{path}: [{name}]: invalid name: use 1 to 100 of the characters A-Z a-z 0-9 _ -")
    if name == OWN_RECORDS:
        raise BadSetting(f"{path}: [{name}]: this name belongs to the records of requests: use another name")
    kind = section.get("kind")
    if not isinstance(kind, str):
        raise BadSetting(f"{path}: [{name}]: `kind` is missing or is not a text")
    return SourceDeclaration(
        name, kind, {key: value for key, value in section.items() if key != "kind"}, path.parent, path
    )

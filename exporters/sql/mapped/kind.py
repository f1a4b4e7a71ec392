"""The source kind `sql`: a section of the file of sources with a map becomes an exporter."""

from __future__ import annotations

from exporters.maps.kinds import MapKind
from exporters.maps.reading import Map
from exporters.maps.references import secret
from exporters.sql.mapped.databases import SectionSources, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter, MappedSection
from exporters.sql.mapped.form_faults import form_faults
from exporters.sql.mapped.forms import SqlSourceForm
from portability.api import ClosingSources, Exporter, SourceDeclaration, Sources
from portability.api.errors import BadSetting
from portability.storage import open_storage
from portability.storage.source_files import StorageFiles

KEYS = ("map", "url", "files", "lag_seconds")


def open_mapped(declared: SourceDeclaration, found: Map[SqlSourceForm], connections: Sources) -> Exporter:
    """Make the exporter of a section; its database is opened when it is used. Raises BadSetting."""
    if unknown := sorted(declared.keys.keys() - set(KEYS)):
        raise BadSetting(f"unknown key {unknown[0]!r}; valid keys: {', '.join(('kind', *KEYS))}")
    backend, url = kind_of(secret(declared, "url"), "url")
    files = declared.keys.get("files")
    with_file = next((one.name for one in found.form.dataset if one.file is not None), None)
    if with_file is not None and files is None:
        raise BadSetting(
            f"the dataset {with_file!r} has files, and the section has no `files`", hint="see docs/maps.md"
        )
    database = open_database(backend, url, found.form.session.statement_seconds)
    if isinstance(connections, ClosingSources):
        connections.when_closed(database.dispose)
    sources = SectionSources(database, connections, _files(declared) if files else None)
    return MappedExporter(MappedSection(declared.name, found, backend, sources, _lag(declared)))


def _files(declared: SourceDeclaration) -> StorageFiles:
    return StorageFiles(open_storage(secret(declared, "files")), f"`files` of the section [{declared.name}]")


def _lag(declared: SourceDeclaration) -> float | None:
    stated = declared.keys.get("lag_seconds")
    if stated is None:
        return None
    if isinstance(stated, bool) or not isinstance(stated, int | float) or stated <= 0:
        raise BadSetting("lag_seconds must be a number of seconds above 0")
    return float(stated)


kind = MapKind(SqlSourceForm, open_mapped, form_faults)
"""The kind `sql` of the entry point group `portability.source_kinds`."""

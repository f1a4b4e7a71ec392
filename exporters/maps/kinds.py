"""Kinds of sources that a map declares: the same steps for each, from a section of the sources file to an exporter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from exporters.maps.forms import SourceForm
from exporters.maps.reading import Map, MapFault, MapText, open_map, parse_map
from portability.api import Exporter, SourceDeclaration, SourceMap, Sources
from portability.api.errors import BadSetting

Form = TypeVar("Form", bound=SourceForm)


def no_fault(_form: SourceForm) -> Iterable[MapFault]:
    """Find nothing beyond what the form itself refuses."""
    return ()


@dataclass(frozen=True, slots=True)
class MapKind(Generic[Form]):
    """A kind of source: the form of its maps, and how an exporter is made of a map."""

    form: type[Form]
    make: Callable[[SourceDeclaration, Map[Form], Sources], Exporter]
    """Raises BadSetting for keys of the section that are invalid."""
    faults: Callable[[Form], Iterable[MapFault]] = no_fault
    """Finds faults that are visible in the map alone, without the source."""

    def __call__(self, declared: SourceDeclaration, connections: Sources) -> Exporter:
        """Open the map that a section names, and make its exporter. Raises BadSetting, BadMap."""
        return self.make(declared, self.checked(self.read(declared)), connections)

    def read(self, declared: SourceDeclaration) -> Map[Form]:
        """Read the file that the key `map` names, relative to the file of sources. Raises BadSetting, BadMap."""
        name = declared.keys.get("map")
        if not isinstance(name, str) or not name:
            raise BadSetting("`map` is missing: it names the file that declares the datasets", hint="see docs/maps.md")
        return open_map(declared.folder / name, self.form)

    def source_map(self, declared: SourceDeclaration) -> SourceMap:
        """Read the text of the map that a section names. Raises BadSetting, BadMap."""
        return self.read(declared).source

    def reopen(self, declared: SourceDeclaration, source: SourceMap, connections: Sources) -> Exporter:
        """Make the exporter of a section by this map. Raises BadSetting, BadMap."""
        return self.make(declared, self.parse(MapText(source.name, source.text)), connections)

    def parse(self, text: MapText) -> Map[Form]:
        """Parse and check the text of a map. Raises BadMap with every fault."""
        return self.checked(parse_map(text, self.form))

    def checked(self, found: Map[Form]) -> Map[Form]:
        """Return the map. Raises BadMap with every fault that is visible in it."""
        found.source.refuse(self.faults(found.form))
        return found

    def schema(self) -> Mapping[str, Any]:
        """Return the JSON Schema of maps of this kind (draft 2020-12)."""
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **self.form.model_json_schema()}

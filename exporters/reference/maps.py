"""Maps of the reference platform: the datasets that a file declares, on the tables of its schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files

from exporters.maps.reading import MapText, parse_map
from exporters.reference import schema
from exporters.sql.belonging import Belonging
from exporters.sql.mapped.compiling import belonging_of
from exporters.sql.mapped.forms import SqlSourceForm

NAMES: Sequence[str] = (
    *("billing", "configuration", "cookies", "devices", "interactions", "performance", "trail", "usage"),
)
"""Exporters that a map declares, `<name>.toml` beside this module."""


@cache
def form_of(name: str) -> SqlSourceForm:
    """Read the map of an exporter. Raises BadMap."""
    text = files("exporters.reference").joinpath(f"{name}.toml").read_text("utf-8")
    return parse_map(MapText(f"{name}.toml", text), SqlSourceForm).form


def belongings() -> Mapping[str, Belonging]:
    """Return which rows belong to whom, by dataset: `exporter/dataset`."""
    return dict(_belongings())


def _belongings() -> Iterator[tuple[str, Belonging]]:
    for name in NAMES:
        for stated in form_of(name).dataset:
            yield f"{name}/{stated.name}", belonging_of(stated, schema.metadata.tables, name)

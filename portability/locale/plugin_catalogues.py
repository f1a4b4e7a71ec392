"""Catalogues of plug-ins: the titles and descriptions of their datasets, in languages that the product has.

A package names its folder by an entry point of the group `portability.catalogues`; the value is a package that has a
folder `locale` with the form of `portability/locale`: `locale/<language>/data.po`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from portability.api.errors import BrokenPlugin

GROUP = "portability.catalogues"


def catalogues(language: str, domain: str) -> Iterator[Catalog]:
    """Yield the catalogues of plug-ins in a language. Raises BrokenPlugin, with the name of the entry point."""
    for name, folder in _folders().items():
        path = folder / "locale" / language / f"{domain}.po"
        if not path.is_file():
            continue
        with path.open("rb") as file:
            try:
                yield read_po(file, locale=language, abort_invalid=True)
            except Exception as error:
                kind = type(error).__name__
                raise BrokenPlugin(f"{GROUP} plug-in {name!r}: {language}/{domain}.po is invalid: {kind}") from error


@cache
def _folders() -> dict[str, Traversable]:
    """Return the folders by entry point, in a stable order. Raises BrokenPlugin."""
    found: dict[str, Traversable] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda one: (one.name, one.value)):
        try:
            found[entry.name] = files(entry.module)
        except Exception as error:
            raise BrokenPlugin(f"{GROUP} plug-in {entry.name!r} failed to load: {type(error).__name__}") from error
    return found

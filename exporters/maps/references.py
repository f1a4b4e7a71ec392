"""Secrets of a section: its keys contain references, and a value in their place is a fault at its line."""

from __future__ import annotations

from exporters.maps.reading import MapFault, MapText
from portability.api import SourceDeclaration
from portability.api.references import FORMS, is_reference, resolve


def secret(declared: SourceDeclaration, key: str) -> str:
    """Return the value of a key of a section that contains a reference.

    Raises: BadMap with the line and column in the file of sources, without the value, if it is not a reference;
    BadSetting if the variable or file is missing or empty.
    """
    stated = declared.keys.get(key)
    if declared.file is not None and not (isinstance(stated, str) and is_reference(stated)):
        message = f"{key} must be a reference, not a value" if key in declared.keys else f"the key {key!r} is missing"
        source = MapText(declared.file.name, declared.file.read_text("utf-8-sig"))
        source.refuse([MapFault((declared.name, key), message, f"write {FORMS}: files of sources have no secrets")])
    return resolve(str(stated), key)

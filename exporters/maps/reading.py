"""Reads a map: TOML to a form, with every fault at its line and column, and the hash by which an export names it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from exporters.maps.forms import ALTERNATIVE
from exporters.maps.positions import Path as Steps
from exporters.maps.positions import position
from portability.api import SourceMap
from portability.api.errors import BadMap

SHOWN_FAULTS = 20
"""Faults that one error names; the rest is counted."""

Form = TypeVar("Form", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class MapFault:
    """What is wrong in a map, at one value."""

    path: Steps
    message: str
    hint: str = ""

    @property
    def advice(self) -> str:
        """Return what is wrong, and what to do."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


@dataclass(frozen=True, slots=True)
class MapText(SourceMap):
    """The text of a map, which reports the places of its faults."""

    def refuse(self, faults: Iterable[MapFault]) -> None:
        """Raise BadMap with a line for each fault, `file:line:column: message`; nothing happens without a fault."""
        placed = sorted({(*position(self.text, fault.path), fault.advice) for fault in faults})
        if not placed:
            return
        lines = [f"{self.name}:{line}:{column}: {advice}" for line, column, advice in placed[:SHOWN_FAULTS]]
        if more := len(placed) - SHOWN_FAULTS:
            lines += [f"{self.name}: {more} more faults"] if more > 0 else []
        raise BadMap("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Map(Generic[Form]):
    """A map that was read: its text and its form."""

    source: MapText
    form: Form


def open_map(path: Path, form: type[Form]) -> Map[Form]:
    """Read a map from a file. Raises BadMap."""
    try:
        text = path.read_bytes().decode()  # not as `read_text` does, which changes ends of lines
    except OSError as error:
        raise BadMap(f"cannot read the map {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadMap(f"the map {path} is not UTF-8") from None
    return parse_map(MapText(path.name, text), form)


def parse_map(source: MapText, form: type[Form]) -> Map[Form]:
    """Parse the text of a map. Raises BadMap with every fault."""
    try:
        # An editor on Windows begins a file with a byte order mark. The map's hash is of the whole file.
        document = tomllib.loads(source.text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise BadMap(f"{source.name} is not TOML: {error}") from None
    try:
        # By way of JSON, the strict types accept the words of enumerations, and lists as tuples.
        return Map(source, form.model_validate_json(json.dumps(document, default=str)))
    except ValidationError as error:
        source.refuse(map(_fault, error.errors(include_url=False)))
        raise


def _fault(error: Any) -> MapFault:  # noqa: ANN401  # a TypedDict of the library that may change
    steps = [step for step in error["loc"] if not str(step).startswith(ALTERNATIVE)]
    key = steps[-1] if steps else "the map"
    match error["type"]:
        case "extra_forbidden":
            return MapFault(steps, f"unknown key {key!r}")
        case "missing":
            return MapFault(steps[:-1], f"the key {key!r} is missing")
        case _:
            message = str(error["msg"]).removeprefix("Value error, ")
            # An element of a list has no name of its own.
            named = next((step for step in reversed(steps) if isinstance(step, str)), "the map")
            return MapFault(steps, f"{named}: {message[:1].lower()}{message[1:]}")

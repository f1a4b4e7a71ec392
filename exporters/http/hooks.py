"""Hooks: the three typed places where a map names code, found among the entry points `portability.hooks`.

A hook uses the engine's own client: rates, login, allowed URLs and bounds apply in it, too. What it returns passes the
same verification, conditions and field types as an answer of the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from exporters.http.forms import HookNames
from exporters.http.templates import Names
from exporters.maps.hooks import load_hook
from portability.api import JSON, Record
from portability.api.errors import BadSetting


class Ask(Protocol):
    """Sends a request of a hook; the path is below `base_url`."""

    def json(self, path: str, *, params: Mapping[str, str] | None = None, body: JSON = None) -> Any:  # noqa: ANN401  # any JSON value
        """Return the JSON answer of a GET, or of a POST if there is a body. Raises SourceUnavailable, SourceRefused."""
        ...

    def content(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Return the bytes of an answer to any method that reads. Raises SourceUnavailable, SourceRefused."""
        ...


@dataclass(frozen=True, slots=True)
class HookPage:
    """Items, and the place behind them; None: there is nothing behind them."""

    items: Sequence[Mapping[str, Any]] = field(repr=False)
    after: str | int | None = None


class PagesHook(Protocol):
    """Reads a list that no request of a map can read. The engine takes one page, and continues behind it later."""

    def __call__(self, ask: Ask, names: Names, after: str | int | None) -> Iterator[HookPage]: ...


class RecordHook(Protocol):
    """Changes an item before its fields are taken: it may combine values of the item and of the parent's record."""

    def __call__(self, item: Mapping[str, Any], parent: Record) -> Mapping[str, Any]: ...


class ShapeHook(Protocol):
    """Makes one item of a parent's record and the records of its parts: a call, or a chat with its messages."""

    def __call__(self, parent: Record, parts: Mapping[str, Sequence[Record]]) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of one dataset."""

    pages: PagesHook | None = None
    record: RecordHook | None = None
    shape: ShapeHook | None = None

    @classmethod
    def of(cls, names: HookNames) -> Hooks:
        """Load the hooks. Raises BadSetting for an unknown name or an object that is not a function."""
        found = {place: load_hook(name) for place, name in names.model_dump(exclude_none=True).items()}
        for place, hook in found.items():
            if not callable(hook):
                raise BadSetting(f"the hook {getattr(names, place)!r} is not a function")
        return cls(**found)

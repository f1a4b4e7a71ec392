"""The values that the viewer is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from portability.api import Dataset


@dataclass(frozen=True, slots=True)
class Cut:
    """A value that the viewer shows only in part; the dataset's files hold it whole."""

    row: int
    """Of the excerpt, from 0."""
    field: str
    characters: int
    """Of the whole value; of its JSON text where it is an object."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A payload file that the viewer links or names."""

    path: str
    """Relative to its volume's folder; begins with `data/`."""
    volume: str
    """Name of the volume, which is its folder."""
    bytes: int
    media_type: str
    records: int | None = None
    """None where the file is not a table."""
    file: str | None = None
    """The File's own name, which records use."""
    state: str = "complete"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What the viewer shows of one dataset: its first records, and where all of them are."""

    exporter: str
    dataset: Dataset
    lines: Sequence[bytes] = field(default=(), repr=False)
    """Records as JSON objects in UTF-8."""
    cuts: Sequence[Cut] = ()
    members: Sequence[Shown] = ()
    more_members: int = 0
    """Files that `members` does not name."""

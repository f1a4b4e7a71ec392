"""Feeds for tests: a source that changes, its archives one after the other, and what a recipient makes of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import orjson
from factories import MadeUpExporter, World

from portability.api import JSON, Dataset, Record
from portability.database.engine import writing
from portability.feeds import feeds
from portability.feeds.feeds import FeedTerms
from portability.requests import acceptance
from portability.requests.policy import Actor

ACTOR = Actor("operator", "test")
FORMATS = ("jsonl",)


@dataclass
class KeyedMadeUpExporter(MadeUpExporter):
    """It says which records it stores: those of the subject, and `others`."""

    others: Sequence[str] = ()

    def existing(self, _dataset: Dataset, keys: Sequence[tuple[JSON, ...]]) -> Collection[tuple[JSON, ...]]:
        stored = {record["id"] for record in self.records} | set(self.others)
        return [key for key in keys if key[0] in stored]


@dataclass
class Feed:
    """A feed of one subject of a world."""

    world: World
    id: str
    subject: str
    asked: Mapping[str, Any] = field(default_factory=dict)

    def request(self) -> str:
        """Request its next archive; returns the export's id."""
        wanted = acceptance.check(subject=self.subject, **self.asked)
        with writing(self.world.engine) as connection:
            asked = replace(wanted, feed_id=self.id)
            return acceptance.accept(connection, asked, actor=ACTOR)[0]

    def next(self, identifier: str | None = None) -> list[Path]:
        """Make its next archive, or the one that was requested, and return the volumes, which verify."""
        identifier = identifier or self.request()
        self.world.advance_all()
        assert self.world.view(identifier)["state"] == "ready", self.world.view(identifier)
        paths = self.world.fetch(identifier)
        assert self.world.verify(paths).ok
        return paths


def begin(world: World, subject: str = "user:usr_1", profile: str = "access", **asked: Any) -> Feed:
    """Begin a feed."""
    world.with_all_keys()
    asked = {"profile": profile, "formats": FORMATS, **asked}
    wanted = acceptance.check(subject=subject, **asked)
    with writing(world.engine) as connection:
        feed_id = feeds.begin(connection, world.place.settings, wanted, FeedTerms(), actor=ACTOR)
    return Feed(world, feed_id, subject, asked)


def changes(paths: Sequence[Path]) -> dict[str, Any]:
    """Return changes.json."""
    return dict(orjson.loads(next(body for name, body in _members(paths) if name == "changes.json")))


def tombstones(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the tombstones of all datasets."""
    bodies = (body for name, body in _members(paths) if name.startswith("tombstones/"))
    return [orjson.loads(line) for body in bodies for line in body.splitlines()]


def delivered_records(paths: Sequence[Path], dataset: str = "made/things") -> list[Record]:
    """Return the records of a dataset in an archive."""
    bodies = (body for name, body in _members(paths) if name.startswith(f"data/{dataset}") and name.endswith(".jsonl"))
    return [orjson.loads(line) for body in bodies for line in body.splitlines()]


def file_names(paths: Sequence[Path], ending: str = ".wav") -> list[str]:
    """Return the names of the files with an ending in an archive."""
    return [name.rpartition("/")[2] for name, _body in _members(paths) if name.endswith(ending)]


def folded(archives: Sequence[Sequence[Path]], dataset: str = "made/things") -> dict[str, Record]:
    """Return what a recipient has after these archives, by id."""
    kept: dict[str, Record] = {}
    for paths in archives:
        kept.update({str(record["id"]): record for record in delivered_records(paths, dataset)})
        for name, body in _members(paths):
            if name == f"tombstones/{dataset}.jsonl":
                for line in body.splitlines():
                    kept.pop(orjson.loads(line)["key"]["id"], None)
    return kept


def _members(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of all volumes, without the names of the volumes."""
    for path in paths:
        with ZipFile(path) as archive:
            for name in archive.namelist():
                yield name.partition("/")[2], archive.read(name)

"""Rows, exporters and workplaces with sensible defaults."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
from claiming import claim_next
from migrated import migrate
from sqlalchemy import Engine

from archive.verify.archives import Verification, verify
from portability.api import (
    Batch,
    Cursor,
    Dataset,
    Exporter,
    Field,
    FieldType,
    File,
    Gap,
    Provenance,
    Record,
    Role,
    Selection,
    Size,
    Slice,
    Subject,
    SubjectKind,
)
from portability.api.storages import Storage
from portability.database.engine import open_engine, reading, writing
from portability.law import notice
from portability.requests import acceptance, exports
from portability.requests.forms import DEFAULT_FORMATS
from portability.requests.policy import Actor
from portability.requests.states import OPEN
from portability.settings import load_settings
from portability.storage.local import LocalStorage
from portability.trust import keys
from portability.trust.signing import Jwks
from worker.claim import claims
from worker.context import WorkerContext
from worker.export import advance

KINDS = frozenset(SubjectKind)


def dataset(name: str = "things", role: Role = Role.CONTROLLER, *extra: Field, key: str = "id") -> Dataset:
    """A dataset with an id, a text, and whatever else is given."""
    fields = (
        Field(key, FieldType.STRING, "The record's id.", Provenance.PROVIDED),
        Field("text", FieldType.STRING, "Some text.", Provenance.PROVIDED),
        *extra,
    )
    return Dataset(name, name.title(), f"Made-up {name}.", fields, Provenance.PROVIDED, role, (key,))


@dataclass
class MadeUpExporter:
    """Records in batches of a given size, by the number of the record; `on_batch` may raise before a batch is given."""

    records: Sequence[Record]
    batch_records: int = 3
    files: Mapping[int, Sequence[File]] = field(default_factory=dict)
    """By the number of the batch."""
    gaps: Mapping[int, Sequence[Gap]] = field(default_factory=dict)
    datasets: Sequence[Dataset] = field(default_factory=lambda: (dataset(),))
    subject_kinds: frozenset[SubjectKind] = KINDS
    on_batch: Callable[[int], None] = lambda _number: None

    def export(
        self,
        subject: Subject,  # noqa: ARG002  # the same for every subject
        dataset: Dataset,  # noqa: ARG002  # and everywhere
        selection: Selection,  # noqa: ARG002  # and at any time
        *,
        after: Cursor | None = None,
    ) -> Generator[Batch, None, None]:
        begin = int(after or 0)
        for start in range(begin, len(self.records), self.batch_records):
            number = start // self.batch_records
            self.on_batch(number)
            end = min(start + self.batch_records, len(self.records))
            files, gaps = tuple(self.files.get(number, ())), tuple(self.gaps.get(number, ()))
            yield Batch(self.records[start:end], str(end), files, gaps)


@dataclass
class CutExporter(MadeUpExporter):
    """As above, and it counts and cuts: slices begin and end at batches."""

    def count(self, _subject: Subject, _dataset: Dataset, _selection: Selection) -> Size:
        return Size(len(self.records))

    def slices(self, _subject: Subject, _dataset: Dataset, _selection: Selection, n: int) -> Sequence[Slice]:
        batches = -(-len(self.records) // self.batch_records)
        inner = [str(batches * k // n * self.batch_records) for k in range(1, n)]
        bounds = [None, *dict.fromkeys(bound for bound in inner if bound != "0"), None]
        return [Slice(begin, end) for begin, end in pairwise(bounds)]

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        cut = selection.slice or Slice()
        for batch in super().export(subject, dataset, selection, after=after or cut.begin):
            if cut.end is not None and int(batch.cursor) > int(cut.end):
                return
            yield batch


def described(
    folder: Path, *names: str, purpose: str = "provide", basis: str = "contract", controller: str | None = None
) -> Path:
    """A deployment's part of the notice register, for made-up datasets: the folder that `notice_dir` takes.

    `controller` is its name, which a deployment on servers needs.
    """
    entry = f"""
category = "account"
purposes = {{ {purpose} = "{basis}" }}
recipients = ["hosting"]
retention = "account"
sources = ["you"]
decisions = ["sentiment"]
"""
    folder.mkdir(parents=True, exist_ok=True)
    tables = "".join(f'[datasets."{name}"]{entry}' for name in names)
    named = "" if controller is None else f'[controller]\nname = "{controller}"\n'
    (folder / "made.toml").write_text(f'version = "made up"\n{named}{tables}')
    return folder


def whole_register(folder: Path, *names: str) -> Path:
    """A whole notice register of a deployment: it describes these datasets, and none of the reference platform."""
    described(folder, *names)
    for path in notice.BUILT_IN.glob("*.toml"):
        text = path.read_text("utf-8")
        if path.name != "datasets.toml":
            (folder / path.name).write_text(text.replace('version = "1.0"\n', ""), "utf-8")
    return folder


def things(count: int) -> list[Record]:
    """Records that do not compress away."""
    return [{"id": f"thing_{n}", "text": hashlib.sha256(str(n).encode()).hexdigest()} for n in range(count)]


def large_things(count: int) -> list[Record]:
    """Records of about 1 kB: some 250 of them fill a block of JSON Lines, and with it a volume of 64 KiB."""
    hashes = (hashlib.sha256(f"{n}".encode()).hexdigest() for n in range(count * 16))
    return [{"id": f"thing_{n}", "text": "".join(next(hashes) for _ in range(16))} for n in range(count)]


def file(
    name: str, content: bytes, *, size: int | None = None, opens: Callable[[int], Iterator[bytes]] | None = None
) -> File:
    """A file of an exporter; `size` is what its source promises."""

    def read(offset: int) -> Iterator[bytes]:
        for begin in range(offset, len(content), 1000):
            yield content[begin : begin + 1000]

    return File(name, "audio/wav", len(content) if size is None else size, opens or read)


@dataclass
class World:
    """A control database, a storage, keys and a worker context, all below one folder."""

    place: WorkerContext
    folder: Path

    @property
    def engine(self) -> Engine:
        return self.place.engine

    def request(self, subject: str = "user:usr_1", **asked: object) -> str:
        """Ask for an export, without forms unless they are named: most tests look at what every archive has."""
        asked.setdefault("formats", DEFAULT_FORMATS)
        wanted = acceptance.check(profile=str(asked.pop("profile", "access")), subject=subject, **asked)  # type: ignore[arg-type]  # the callers know
        with writing(self.engine) as connection:
            return acceptance.accept(connection, wanted, actor=Actor("operator", "test"))[0]

    def claim(self, lease_seconds: float = 60) -> claims.Claim | None:
        return claim_next(self.engine, "test", lease_seconds)

    def advance_all(self, most: int = 1000) -> int:
        """What workers do: claim and advance until nothing is claimable; returns how many claims it took."""
        for count in range(most):
            held = self.claim()
            if held is None:
                return count
            advance(self.place, held)
        raise AssertionError(f"still something to do after {most} claims")

    def view(self, identifier: str) -> dict[str, Any]:
        with reading(self.engine) as connection:
            return dict(exports.view(connection, identifier))

    def fetch(self, identifier: str) -> list[Path]:
        with reading(self.engine) as connection:
            rows = exports.stored_volumes(connection, identifier)
        target = self.folder / "fetched" / secrets.token_hex(4)
        target.mkdir(parents=True)
        for row in rows:
            (target / f"{row['name']}.zip").write_bytes(b"".join(self.place.storage.read(row["object_key"])))
        return sorted(target.iterdir())

    def verify(self, paths: Sequence[Path], *, partial: bool = False) -> Verification:
        with reading(self.engine) as connection:
            document = orjson.loads(orjson.dumps(keys.jwks(connection)))
        return verify(paths, Jwks.parse(document), partial=partial)

    def stored_keys(self) -> list[str]:
        """Keys of all objects, and of the uploads that are open."""
        storage = self.place.storage
        return [*(found.key for found in storage.list()), *(upload.key for upload in storage.uploads())]

    def archive_keys(self) -> list[str]:
        """The same without those of the journal, and without markers of closings."""
        return [key for key in self.stored_keys() if not key.startswith("journal") and not key.endswith(".closing")]

    def with_all_keys(self) -> World:
        """The same with a key for each purpose, as the embedded stack makes them."""
        with writing(self.engine) as connection:
            keys.ensure(connection, self.place.settings.keys, actor="operator:test")
        return self

    def is_open(self, identifier: str) -> bool:
        return self.view(identifier)["state"] in OPEN


def world(
    folder: Path,
    exporters: Mapping[str, Exporter],
    *,
    storage: Storage | None = None,
    database_url: str | None = None,
    **overrides: Any,
) -> World:
    """A workplace as a worker has it, with no waiting between tries."""
    defaults = {"dir": folder, "database_url": database_url, "backoff_seconds": 0, "source_retries": 1}
    settings = load_settings(**(defaults | overrides))
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.database)
    migrate(engine)
    with writing(engine) as connection:
        keys.new(connection, settings.keys, actor="operator:test")
        keys.add(connection, settings.keys, purpose="link")
    return World(WorkerContext(settings, engine, storage or LocalStorage(folder / "archives"), exporters), folder)


def world_of(folder: Path, exporter: Exporter, **settings: Any) -> World:
    """The same with an exporter of the name `made`."""
    return world(folder, {"made": exporter}, **settings)

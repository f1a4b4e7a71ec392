"""The archives that get judged: every profile and shape, each made by the real pipeline."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import orjson
from factories import MadeUpExporter, World, dataset, file, things, world

from archive.names import PATH_CHARS
from demo import hostile
from demo.plan import Examples, SeedPlan
from demo.seed import seed
from judges import person
from portability.api import Exporter, Field, FieldType, FieldValue, File, Provenance, Record, Role
from portability.database.engine import reading, writing
from portability.plugins import load_exporters
from portability.requests import approvals, exports, instructions
from portability.requests.policy import Actor
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage
from portability.trust import keys

PLAN = SeedPlan(
    tenants=1,
    users=2,
    contacts=4,
    calls=6,
    chats=6,
    events=60,
    recordings=2,
    recording_seconds=(0.5, 0.5),
    hostile_share=0.2,
)
LARGEST_MEMBER_BYTES = 2_000_000_000
MANY_FILES = 70_000
FILES_PER_BATCH = 1_000
GB = 1_000_000_000
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Archive:
    """All volumes of an export, and the JWK Set of its issuer."""

    volumes: Sequence[Path]
    jwks: Mapping[str, Any]

    def unpacked(self, folder: Path) -> list[Path]:
        """The bags, unpacked by the standard library."""
        for volume in self.volumes:
            with zipfile.ZipFile(volume) as archive:
                archive.extractall(folder)
        return [folder / volume.stem for volume in self.volumes]


Case: TypeAlias = Callable[[Path], Archive]
"""Makes its archive below a folder."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A workplace over a seeded platform, whose tenant has instructed the export of everything."""

    world: World
    examples: Examples


@contextmanager
def platform(folder: Path, plan: SeedPlan = PLAN, **settings: object) -> Iterator[Platform]:
    """Made-up data, the built-in exporters, and `settings` as `load_settings` takes them."""
    loaded = load_settings(dir=folder)
    examples = seed(loaded.source, open_storage(loaded.recordings), plan).examples
    sources = PlatformSources(loaded)
    with workplace(folder, load_exporters(sources), **settings) as made:
        with writing(made.engine) as connection:
            tenant = examples.contact_tenant
            instructions.add(connection, tenant, contact_id=None, exporters=None, actor="operator:test")
        yield Platform(made, examples)
    sources.database.dispose()


@contextmanager
def workplace(folder: Path, exporters: Mapping[str, Exporter], **settings: object) -> Iterator[World]:
    """A world that leaves no connection open."""
    made = world(folder, exporters, **settings)  # type: ignore[arg-type]  # load_settings checks them
    yield made
    made.engine.dispose()


def exported(made: World, subject: str, **asked: object) -> Archive:
    """The archive of a request, which must be ready and verify."""
    identifier = made.request(subject, **asked)
    made.advance_all()
    if made.view(identifier)["review"]:  # no source knows the subject
        with writing(made.engine) as connection:
            approvals.approve(connection, identifier, actor=Actor("officer", "olga"))
        made.advance_all()
    volumes = _fetched(made, identifier)
    assert made.verify(volumes).ok
    with reading(made.engine) as connection:
        return Archive(volumes, orjson.loads(orjson.dumps(keys.jwks(connection))))


def _fetched(made: World, identifier: str) -> list[Path]:
    """The volumes under their friendly names; written in blocks, they may be large."""
    with reading(made.engine) as connection:
        rows = exports.stored_volumes(connection, identifier)
    paths = [made.folder / f"{row['name']}.zip" for row in rows]
    for row, path in zip(rows, paths, strict=True):
        with path.open("wb") as file:
            file.writelines(made.place.storage.read(row["object_key"]))
        made.place.storage.delete(row["object_key"])
    return paths


def _user(folder: Path) -> Archive:
    with platform(folder) as made:
        return exported(made.world, f"user:{made.examples.user}", profile="access")


def _contact(folder: Path) -> Archive:
    with platform(folder) as made:
        ids = made.examples
        return exported(made.world, f"contact:{ids.contact}", tenant=ids.contact_tenant, profile="portability")


def _tenant(folder: Path) -> Archive:
    with platform(folder, volume_bytes=1 << 16) as made:
        archive = exported(made.world, f"tenant:{made.examples.tenant}", profile="switch")
    assert len(archive.volumes) > 1
    return archive


def _absent_user(folder: Path) -> Archive:
    with platform(folder) as made:
        return exported(made.world, "user:usr_nobody", profile="access")


def _made_up(folder: Path, exporter: Exporter, **settings: object) -> Archive:
    with workplace(folder, {"made": exporter}, **settings) as made:
        return exported(made, "user:usr_1")


def _one_record(folder: Path) -> Archive:
    return _made_up(folder, MadeUpExporter(things(1)))


def _many_volumes(folder: Path) -> Archive:
    files = {number: [file(f"{number:03}.wav", bytes([number]) * 3_000)] for number in range(16)}
    archive = _made_up(folder, MadeUpExporter(things(48), files=files), volume_members=10, piece_bytes=500)
    assert len(archive.volumes) > 2
    return archive


def _hostile(folder: Path) -> Archive:
    """Every dangerous text in every kind of field, and files whose names are traps on some system."""
    notes = Field("note", FieldType.OBJECT, "Anything.", Provenance.PROVIDED)
    number = Field("number", FieldType.DECIMAL, "Some number.", Provenance.PROVIDED)
    texts: list[str | None] = [*hostile.TEXTS, *hostile.NAMES, hostile.huge(), "a\0b", None, ""]
    records: list[Record] = [
        {"id": f"rec_{place}", "text": text, "note": {"said": [text]}, "number": f"{place}.10"}
        for place, text in enumerate(texts)
    ]
    described = dataset("things", Role.CONTROLLER, notes, number)
    names = _hostile_names(PATH_CHARS - len("made/things/"))
    files = {0: [file(name, name.encode("utf-8", "surrogatepass") + b"\n") for name in names]}
    return _made_up(folder, MadeUpExporter(records, files=files, datasets=(described,)))


def _odd_names(folder: Path) -> Archive:
    """Columns whose names and values a spreadsheet would run, SQL reserves or a database ignores the case of."""
    words = ("-", "=1", "'x", "@all", "+", "usual")
    names = ("-x", "=a,b", "'q", "rowid", "select", "ID", "_volume", "x" * 300, "\u202egnol", "a\r\nb", "<b>")
    extra = [Field(name, FieldType.STRING, "A text.", Provenance.PROVIDED) for name in names]
    values = tuple(FieldValue(word, f"The word {number}") for number, word in enumerate(words))
    kind = Field("kind", FieldType.STRING, "Its kind.", Provenance.PROVIDED, values=values)
    number = Field("number", FieldType.NUMBER, "A number.", Provenance.PROVIDED)
    described = dataset("things", Role.CONTROLLER, *extra, kind, number)
    records: list[Record] = [
        {"id": f"={place}", "kind": word, "text": "", "number": 2**53 + place, "-x": word, "ID": "'"}
        for place, word in enumerate(words)
    ]
    return _made_up(folder, MadeUpExporter(records, datasets=(described,)))


def _files_of_customers(folder: Path) -> Archive:
    """Files that are tables and documents by their names, and broken."""
    sent = {
        "table.csv": ("text/csv", b'a,b\n1\n"x\n,,,,\n'),
        "lines.jsonl": ("application/jsonl", b'{"a": 1}\nnot json\n'),
        "document.json": ("application/json", b"not json"),
        "book.xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK not a workbook"),
        "notes.txt": ("text/plain", b"caf\xe9"),
    }
    files = {0: [replace(file(name, body), media_type=kind) for name, (kind, body) in sent.items()]}
    return _made_up(folder, MadeUpExporter(things(1), files=files))


def _hostile_names(longest: int) -> Iterator[str]:
    yield from ("../../x.wav", "/etc/passwd", "C:\\CON\\aux.txt", "CON", "nul.wav", "a:b.wav", "a b.wav", ".hidden")
    yield from ("Call.WAV", "call.wav", "CALL.wav", "call", "call/inner.wav", "dot.", "what?.wav", "")
    yield from (
        "rekaman \N{SPEAKER}.wav",
        "\u0645\u0631.wav",
        "\u202egpj.wav",
        "e\u0301.wav",
        "\u00e9.wav",
        "\ud800.wav",
    )
    yield from ("a\nb.wav", "a%0Ab.wav")
    yield from ("l" * (longest - 4) + ".wav", "m" * (longest - 3) + ".wav", "n" * 300 + ".wav", "deep/" * 60 + "x.wav")


def _person(folder: Path) -> Archive:
    """A person with calls and chats, as the built-in exporters read them; all that is written is hostile."""
    loaded = load_settings(dir=folder)
    person.fill(loaded.source, open_storage(loaded.recordings))
    sources = PlatformSources(loaded)
    with workplace(folder, load_exporters(sources)) as made:
        with writing(made.engine) as connection:
            instructions.add(connection, person.TENANT, contact_id=None, exporters=None, actor="operator:test")
        archive = exported(made, f"user:{person.USER}", profile="access")
    sources.database.dispose()
    return archive


def _many_members(folder: Path, **settings: object) -> Archive:
    batches = MANY_FILES // FILES_PER_BATCH
    files = {
        number: [file(f"{number:02}/{place:03}.txt", b"%d" % place) for place in range(FILES_PER_BATCH)]
        for number in range(batches)
    }
    return _made_up(folder, MadeUpExporter(things(batches), batch_records=1, files=files), **settings)


def _large(folder: Path, **settings: object) -> Archive:
    """5 GB of sound: a recording one byte larger than a member may be, so that the first piece has the maximum size."""
    sizes = {"a.wav": LARGEST_MEMBER_BYTES + 1, "b.wav": GB, "c.wav": GB, "d.wav": GB}
    files = {0: [_silence(name, size) for name, size in sizes.items()]}
    return _made_up(folder, MadeUpExporter(things(1), files=files), **settings)


def _silence(name: str, size_bytes: int) -> File:
    def read(offset: int) -> Iterator[bytes]:
        block = bytes(1 << 20)
        for begin in range(offset, size_bytes, len(block)):
            yield block[: size_bytes - begin]

    return File(name, "audio/wav", size_bytes, read)


SHORT: Mapping[str, Case] = {
    "access of a user": _user,
    "portability of a contact": _contact,
    "switch of a tenant in volumes": _tenant,
    "an unknown user": _absent_user,
    "one record": _one_record,
    "many volumes": _many_volumes,
    "hostile texts and names": _hostile,
    "odd names and words": _odd_names,
    "files of customers": _files_of_customers,
    "a person with hostile text everywhere": _person,
}
LONG: Mapping[str, Case] = {
    "70,000 members in two volumes": _many_members,
    "70,000 members in one volume": lambda folder: _many_members(folder, volume_members=100_000),
    "5 GB in volumes, one entry near 2 GiB": _large,
    "5 GB in one volume": lambda folder: _large(folder, volume_bytes=8 * GIB),
}

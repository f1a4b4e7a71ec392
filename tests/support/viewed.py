"""Unpacked archives with a viewer, for a browser to open: made by the same code, from made-up records."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from volumes import closing_document, envelope

from archive.parts import Content, Member
from archive.summary.figures import summarize
from archive.summary.words import ArchiveSummary, worded
from archive.viewer.pages import pages
from archive.write.facts import VolumeFacts
from exporters.reference.maps import NAMES, form_of
from exporters.sql.mapped.compiling import dataset_of_map
from portability.api import JSON, Dataset, Field, FieldType, Provenance, Record, Role, Subject, SubjectKind
from portability.locale import SOURCE, languages
from worker.plan.plan import PlanLine
from worker.write.excerpts import Excerpts
from worker.write.shards import Shards

BUILT_IN: Mapping[str, Sequence[Dataset]] = {
    name: tuple(dataset_of_map(form_of(name), one) for one in form_of(name).dataset) for name in NAMES
}


@dataclass(slots=True)
class UnpackedVolume:
    """A folder that takes tag files."""

    folder: Path
    facts: VolumeFacts = field(default_factory=VolumeFacts)

    @property
    def name(self) -> str:
        """The volume's name."""
        return self.folder.name

    def tag(self, path: str, blocks: Iterable[bytes]) -> None:
        """Write a file."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"".join(blocks))


@dataclass(slots=True)
class Unpacked:
    """An archive of two volumes that lie side by side; the viewer is in the second."""

    folder: Path
    excerpts: Excerpts = field(default_factory=Excerpts)
    lines: list[tuple[str, Dataset, int]] = field(default_factory=list)
    shards: Shards | None = field(init=False)
    """Those of the first volume; None: an archive without shards."""

    def __post_init__(self) -> None:
        self.shards = Shards(UnpackedVolume(self.volume(1)))

    @property
    def first_page(self) -> str:
        """The address of the first page."""
        return (self.volume(2) / "index.html").as_uri()

    def volume(self, number: int) -> Path:
        """A volume's folder."""
        return self.folder / envelope().volume_name(number)

    def add(
        self, exporter: str, name: str | Dataset, records: Sequence[Record] = (), *, total: int | None = None
    ) -> None:
        """A dataset with its records; `total` says how many the archive holds where that is more."""
        dataset = name if isinstance(name, Dataset) else next(d for d in BUILT_IN[exporter] if d.name == name)
        count = len(records) if total is None else total
        self.lines.append((exporter, dataset, count))
        complete = [{**dict.fromkeys((f.name for f in dataset.fields), None), **record} for record in records]
        self.excerpts.take(exporter, dataset, complete)
        self._shard(exporter, dataset, complete)
        piece = Content(exporter, dataset, "application/jsonl", records=count)
        self.excerpts.note(self.volume(1).name, [Member(f"data/{exporter}/{dataset.name}.jsonl", 1, "00", piece)])

    def correct(self, exporter: str, dataset: Dataset, before: Sequence[Record], after: Sequence[Record]) -> None:
        """Replace records that were added by others with the same keys."""
        self.excerpts.correct(exporter, dataset, after)
        self._shard(exporter, dataset, after, earlier=before)

    def _shard(
        self, exporter: str, dataset: Dataset, records: Sequence[Record], *, earlier: Sequence[Record] | None = None
    ) -> None:
        if self.shards is not None:
            lines = [orjson.dumps(record) + b"\n" for record in records]
            self.shards.take(exporter, dataset, {"jsonl": lines}, corrects=earlier is not None, earlier=earlier or ())

    def add_file(self, number: int, exporter: str, dataset: str, name: str, body: bytes, media_type: str) -> None:
        """A File of a dataset, in one of the volumes."""
        inside = f"data/{exporter}/{dataset}/{name}"
        target = self.volume(number) / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
        of = next(d for d in BUILT_IN[exporter] if d.name == dataset)
        member = Member(inside, len(body), "00", Content(exporter, of, media_type, file=name))
        self.excerpts.note(self.volume(number).name, [member])
        if self.shards is not None:
            self.shards.index.note(self.volume(number).name, [member])

    def write(self, **changes: JSON) -> str:
        """Write the viewer; returns its address. `changes` are fields of export.json."""
        datasets: list[JSON] = [
            {
                "exporter": exporter,
                "dataset": dataset.name,
                "title": dataset.title,
                "records": total,
                "state": "complete" if total else "empty",
                "files": 0,
                "bytes": 0,
                "gaps": 0,
            }
            for exporter, dataset, total in self.lines
        ]
        document = closing_document(envelope(), 2, (), **{"datasets": datasets, **changes})
        subject = Subject(SubjectKind.USER, None, "sub_1")
        plan = [PlanLine(exporter, dataset, frozenset(), subject) for exporter, dataset, _ in self.lines]
        index = None if self.shards is None else self.shards.index
        for inside, blocks in pages(
            envelope(), document, self.excerpts.shown(plan), index, summary=self._sum(document)
        ):
            UnpackedVolume(self.volume(2)).tag(inside, blocks)
        return self.first_page

    def _sum(self, document: Mapping[str, JSON]) -> ArchiveSummary:
        """The summary without its PDF."""
        index = None if self.shards is None else self.shards.index
        datasets = [(exporter, dataset) for exporter, dataset, _ in self.lines]
        lines = [{"files": 0, "bytes": 0, **line} for line in document["datasets"]]  # type: ignore[dict-item, union-attr]  # of JSON
        figures = summarize(
            {**document, "datasets": lines}, datasets, lambda *of: {} if index is None else index.months(*of), None
        )
        texts = {tag: worded(figures, document, envelope(), tag) for tag in languages()}
        return ArchiveSummary(texts, figures.records, None, SOURCE)


def plain_dataset(name: str, title: str) -> Dataset:
    """Like a declaration by a third-party plug-in."""
    fields = (
        Field("id", FieldType.STRING, "The thing.", Provenance.PROVIDED),
        Field("text", FieldType.STRING, "What it says.", Provenance.PROVIDED),
        Field("n", FieldType.INTEGER, "Its number.", Provenance.OBSERVED),
        Field("at", FieldType.DATETIME, "When it was.", Provenance.OBSERVED),
    )
    return Dataset(name, title, "Things of a stranger.", fields, Provenance.PROVIDED, Role.CONTROLLER, ("id",))


def sound(folder: Path, seconds: float = 0.5) -> bytes:
    """A playable WAV."""
    path = folder / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(int(seconds * 8000) * 2))
    return path.read_bytes()

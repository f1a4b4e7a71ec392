"""Unpacked archives with a viewer, for a browser to open: made by the same code, from made-up records."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from volumes import closing_document, envelope

from archive.parts import ArchiveFeed, Content, Member
from archive.summary.figures import summarize
from archive.summary.words import ArchiveSummary, worded
from archive.viewer.index import ViewerIndex
from archive.viewer.pages import pages
from archive.write.facts import VolumeFacts
from exporters.reference.maps import NAMES, form_of
from exporters.sql.mapped.compiling import dataset_of_map
from portability.api import JSON, Dataset, Field, FieldType, Provenance, Record, Role, Subject, SubjectKind
from portability.locale import SOURCE, languages
from portability.locale.translations import of_exporter
from worker.plan.plan import PlanLine
from worker.write.excerpts import Excerpts
from worker.write.shards import ShardCutter, Shards

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
    """An archive of volumes that lie side by side, as several workers write them; the viewer is in the last."""

    folder: Path
    volumes: int = 2
    with_shards: bool = True
    excerpts: Excerpts = field(default_factory=Excerpts)
    lines: dict[tuple[str, str], tuple[Dataset, int]] = field(default_factory=dict)
    shards: Mapping[int, Shards] = field(init=False)
    """Those of each volume before the last; none: an archive without shards."""

    def __post_init__(self) -> None:
        with_shards = range(1, self.volumes) if self.with_shards else ()
        self.shards = {number: Shards(UnpackedVolume(self.volume(number))) for number in with_shards}

    @property
    def last(self) -> Path:
        """The folder of the closing volume."""
        return self.volume(self.volumes)

    def volume(self, number: int) -> Path:
        """A volume's folder."""
        return self.folder / envelope().volume_name(number)

    def add(
        self,
        exporter: str,
        name: str | Dataset,
        records: Sequence[Record] = (),
        *,
        total: int | None = None,
        volume: int = 1,
    ) -> None:
        """Records of a dataset in a volume; `total` says how many the archive holds where that is more."""
        dataset = name if isinstance(name, Dataset) else next(d for d in BUILT_IN[exporter] if d.name == name)
        count = len(records) if total is None else total
        before = self.lines.get((exporter, dataset.name), (dataset, 0))[1]
        self.lines[exporter, dataset.name] = (dataset, before + count)
        complete = [{**dict.fromkeys((f.name for f in dataset.fields), None), **record} for record in records]
        self.excerpts.take(exporter, dataset, complete)
        self._shard(exporter, dataset, complete, volume=volume)
        piece = Content(exporter, dataset, "application/jsonl", records=count)
        self.excerpts.note(self.volume(volume).name, [Member(f"data/{exporter}/{dataset.name}.jsonl", 1, "00", piece)])

    def correct(self, exporter: str, dataset: Dataset, before: Sequence[Record], after: Sequence[Record]) -> None:
        """Replace records that were added by others with the same keys."""
        self.excerpts.correct(exporter, dataset, after)
        self._shard(exporter, dataset, after, earlier=before)

    def _shard(
        self,
        exporter: str,
        dataset: Dataset,
        records: Sequence[Record],
        *,
        volume: int = 1,
        earlier: Sequence[Record] | None = None,
    ) -> None:
        if volume in self.shards:
            cut = ShardCutter(exporter, dataset)
            cut.write(records)
            cut.close()
            self.shards[volume].take(cut, corrects=earlier is not None, earlier=earlier or ())

    def add_file(self, number: int, exporter: str, dataset: str, name: str, body: bytes, media_type: str) -> None:
        """A File of a dataset, in one of the volumes."""
        inside = f"data/{exporter}/{dataset}/{name}"
        target = self.volume(number) / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
        of = next(d for d in BUILT_IN[exporter] if d.name == dataset)
        member = Member(inside, len(body), "00", Content(exporter, of, media_type, file=name))
        self.excerpts.note(self.volume(number).name, [member])
        if number in self.shards:
            self.shards[number].index.note(self.volume(number).name, [member])

    def write(self, feed: ArchiveFeed | None = None, **changes: JSON) -> str:
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
            for (exporter, _name), (dataset, total) in self.lines.items()
        ]
        sources: list[JSON] = [
            {"exporter": name, "title": (title := form_of(name).title), "translations": {**of_exporter(name, title)}}
            for name in dict.fromkeys(exporter for exporter, _name in self.lines)
            if name in BUILT_IN
        ]
        closing = {"datasets": datasets, "sources": sources, **changes}
        document = closing_document(envelope(), self.volumes, (), **closing)
        subject = Subject(SubjectKind.USER, None, "sub_1")
        known = [(exporter, dataset) for (exporter, _name), (dataset, _total) in self.lines.items()]
        plan = [PlanLine(exporter, dataset, frozenset(), subject) for exporter, dataset in known]
        index = self._merged()
        summary = _summary(document, known, index)
        described = replace(envelope(), feed=feed)
        for inside, blocks in pages(described, document, self.excerpts.shown(plan), index, summary=summary):
            UnpackedVolume(self.last).tag(inside, blocks)
        return (self.last / "index.html").as_uri()

    def _merged(self) -> ViewerIndex | None:
        """The index of the archive, as the closing volume makes it of those of all volumes."""
        if not self.shards:
            return None
        merged = ViewerIndex()
        for shards in self.shards.values():
            merged.absorb(shards.index.dump())
        return merged


def _summary(
    document: Mapping[str, JSON], datasets: Sequence[tuple[str, Dataset]], index: ViewerIndex | None
) -> ArchiveSummary:
    """The summary without its PDF."""
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

"""Members of records: one file for each format of a piece, or one for each document."""

from __future__ import annotations

from collections.abc import Sequence

from archive.parts import Content
from portability.api import Record
from worker.write.open_volume import DatasetRun
from worker.write.pieces import DatasetPiece


def write_members(
    run: DatasetRun,
    piece: DatasetPiece,
    name: str,
    *,
    corrects: bool = False,
    new: int = 0,
    earlier: Sequence[Record] = (),
) -> None:
    """Write the members of a piece; `name` follows the dataset's name in the paths of its tables.

    Records of a piece that `corrects` replace records with the same key: they are counted as corrections, except `new`
    records, and the viewer shows them in place of the `earlier` records.
    """
    volume, line, tally = run.volume, run.line, run.tally
    folder = f"{line.exporter}/"
    if corrects:
        volume.excerpts.correct(line.exporter, line.dataset, piece.head)
        tally.corrections += piece.records - new
    else:
        volume.excerpts.take(line.exporter, line.dataset, piece.head)
    tally.records += new if corrects else piece.records
    volume.forms.write(line.exporter, line.dataset, piece.batches)
    for form_name, blocks in piece.bodies.items():
        form = volume.job.formats[form_name]
        content = Content(line.exporter, line.dataset, form.media_type, records=piece.records, corrects=corrects)
        volume.output.add(f"{folder}{line.dataset.name}{name}{form.suffix}", blocks, content)
        tally.bytes += sum(map(len, blocks))
    if volume.shards and piece.shards:
        volume.shards.take(piece.shards, corrects=corrects, earlier=earlier)
    for maker, document in piece.documents:
        content = Content(line.exporter, line.dataset, maker.media_type, records=1, corrects=corrects)
        volume.output.add(f"{folder}{line.dataset.name}/{document.name}", [document.body], content)
        tally.bytes += len(document.body)

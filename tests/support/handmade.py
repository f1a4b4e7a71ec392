"""Archives of another provider, made by hand and unpacked: with any records that a test needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import unpacked
import volumes

from archive.counts import DatasetCount
from archive.parts import Content, MemberState, SealedVolume
from archive.write.volume import Volume
from portability.api import Dataset, Provenance, Role

CREATED = "2026-01-02T03:04:05.000006Z"
Members = Sequence[tuple[str, bytes, Content]]


def content(
    dataset: str,
    exporter: str = "calls",
    *,
    file: str | None = None,
    truncated: bool = False,
    records: int | None = None,
) -> Content:
    described = Dataset(dataset, dataset, dataset, (), Provenance.OBSERVED, Role.BOTH, ("id",))
    media_type = "application/jsonl" if file is None else "audio/wav"
    state: MemberState = "truncated" if truncated else "complete"
    return Content(exporter, described, media_type, records=records, file=file, state=state)


def table(dataset: str, *records: object, exporter: str = "calls") -> tuple[str, bytes, Content]:
    """A member with records."""
    body = b"".join(r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in records)
    return f"{exporter}/{dataset}.jsonl", body, content(dataset, exporter, records=body.count(b"\n"))


def unpacked_archive(
    folder: Path,
    *of_volumes: Members,
    profile: str = "switch",
    subject_kind: str | None = None,
    export: str = "e1",
    subject: str = "",
    revisions: Sequence[int] = (),
    counted: Sequence[Sequence[DatasetCount]] = (),
    tags: Mapping[str, bytes] = MappingProxyType({}),
    **closing: Any,
) -> list[Path]:
    """An archive unpacked into a folder; the last volume is the closing one, and all are of revision 1 by default.

    `counted` are the counts that its volumes state, `tags` files of the closing volume beside its data. It is about a
    company, or with another profile about a person.
    """
    closing["subject_kind"] = subject_kind or ("tenant" if profile == "switch" else "user")
    zips = folder / "zips"
    zips.mkdir()
    sealed: list[SealedVolume] = []
    for number, members in enumerate(of_volumes, 1):
        revision = revisions[number - 1] if revisions else 1
        of = volumes.envelope(export, profile=profile, revision=revision, subject=subject)
        with (zips / f"{of.volume_name(number)}.zip").open("wb") as file:
            volume = Volume(of, number, file.write)
            for name, body, described in members:
                volume.add(name, [body], described)
            is_last = number == len(of_volumes)
            for name, body in tags.items() if is_last else ():
                volume.tag(name, [body])
            document = volumes.closing_document(of, number, sealed, **closing) if is_last else None
            counts = counted[number - 1] if counted else None
            sealed.append(volume.seal(volumes.KEY, counted=counts, closing=document))
    return unpacked.unpacked(sorted(zips.iterdir()), folder / "in")

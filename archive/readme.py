"""README.html: the page that a person opens first, in English and Indonesian; no script, no request to anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from archive.parts import FORMAT, Envelope, Member
from archive.templates import render
from portability.api import JSON, Dataset

PATHS_SHOWN = 6
GAPS_SHOWN = 50


@dataclass(slots=True)
class Section:
    """One dataset's part of a volume, as the page shows it."""

    dataset: Dataset
    paths: list[str] = field(default_factory=list)
    more: int = 0
    """Files that are not named in `paths`."""
    truncated: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    """Records by media type: the formats hold the same ones."""

    @property
    def records(self) -> int:
        """Records in this volume, counted once."""
        return max(self.counted.values(), default=0)


def readme(
    envelope: Envelope,
    number: int,
    members: Iterable[Member],
    closing: Mapping[str, JSON] | None = None,
    *,
    has_viewer: bool = False,
    has_notice: bool = False,
) -> bytes:
    """The page. `closing` is export.json, in the closing volume; beside a viewer and a notice the page leads there."""
    volumes = closing["volumes"] if closing else ()
    return render(
        "README.html",
        envelope=envelope,
        name=envelope.volume_name(number),
        number=number,
        closing=closing and {"gaps": (), "not_included": (), "withheld": (), **closing, "datasets": _lines(closing)},
        volumes=len(volumes) if isinstance(volumes, list | tuple) else 0,
        sections=_sections(members),
        has_viewer=has_viewer,
        has_notice=has_notice,
        gaps_shown=GAPS_SHOWN,
        format=FORMAT,
        jwks_url=f"{envelope.issuer.rstrip('/')}/.well-known/jwks.json",
    )


def _sections(members: Iterable[Member]) -> list[Section]:
    sections: dict[tuple[str, str], Section] = {}
    for member in members:
        content = member.content
        section = sections.setdefault((content.exporter, content.dataset.name), Section(content.dataset))
        if len(section.paths) < PATHS_SHOWN:
            section.paths.append(member.path)
        else:
            section.more += 1
        section.truncated += content.state == "truncated"
        section.counted[content.media_type] += content.records or 0
    return list(sections.values())


def _lines(closing: Mapping[str, JSON]) -> list[Mapping[str, JSON]]:
    lines = closing["datasets"]
    known = [line for line in lines if isinstance(line, Mapping)] if isinstance(lines, list | tuple) else []
    return [{"reason": None, "tenants": (), **line} for line in known]

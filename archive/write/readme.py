"""README.html: the page that a person opens first, in every language; no script, no request to anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from archive.parts import FORMAT, REFUSED, Member, VolumeMetadata
from archive.summary.feed import sentence
from archive.summary.words import ArchiveSummary
from archive.waiting import records_by_dataset
from archive.write.templates import render
from portability.api import JSON, Dataset
from portability.locale.translations import of_dataset

PATHS_SHOWN = 6
GAPS_SHOWN = 50
OPTIONAL = ("gaps", "reviews", "referrals", "not_included", "withheld", "coverage")
"""Lists of export.json that an archive may lack."""


@dataclass(slots=True)
class Section:
    """One dataset's part of a volume, as the page shows it."""

    exporter: str
    dataset: Dataset
    paths: list[str] = field(default_factory=list)
    more: int = 0
    """Files that are not named in `paths`."""
    truncated: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    """Records by media type: all formats have the same records."""
    corrected: Counter[str] = field(default_factory=Counter)
    """Records by media type that replace records of earlier volumes."""

    @property
    def texts(self) -> Mapping[str, JSON]:
        """Title and description with their translations."""
        translations = {**of_dataset(self.exporter, self.dataset)}
        return {"title": self.dataset.title, "description": self.dataset.description, "translations": translations}

    @property
    def records(self) -> int:
        """Records in this volume, counted once, without corrections."""
        return max(self.counted.values(), default=0)

    @property
    def corrections(self) -> int:
        """Records in this volume that replace earlier records, counted once."""
        return max(self.corrected.values(), default=0)


@dataclass(slots=True)
class Form:
    """One form of a volume's records, as the page shows it."""

    name: str
    path: str
    """Of its first file."""
    losses: Mapping[str, int]
    files: int = 0

    @property
    def is_refused(self) -> bool:
        """Whether the file only says that the form could not be made."""
        return REFUSED in self.losses


def readme(
    envelope: VolumeMetadata,
    number: int,
    members: Sequence[Member],
    closing: Mapping[str, JSON] | None = None,
    *,
    summary: ArchiveSummary | None = None,
    has_viewer: bool = False,
    has_notice: bool = False,
    has_programs: bool = False,
) -> bytes:
    """Write the page of a volume.

    Args:
        envelope: of the volume.
        number: of the volume, from 1.
        members: the payload files of the volume.
        closing: export.json, in the closing volume.
        summary: what the closing volume shows first.
        has_viewer: whether index.html lies beside the page, which then leads there.
        has_notice: whether notice.html does.
        has_programs: whether programs that load the tables do.
    """
    volumes = closing["volumes"] if closing else ()
    return render(
        "README.html",
        accent=envelope.brand.style,
        envelope=envelope,
        feed_sentence=sentence,
        name=envelope.volume_name(number),
        volume=number,
        summary=summary,
        closing=closing and {**dict.fromkeys(OPTIONAL, ()), **closing, "datasets": _lines(closing)},
        waiting=records_by_dataset(closing) if closing else (),
        volumes=len(volumes) if isinstance(volumes, list | tuple) else 0,
        sections=_sections(member for member in members if not member.content.form),
        forms_of_volume=_forms(members),
        has_viewer=has_viewer,
        has_notice=has_notice,
        has_programs=has_programs,
        gaps_shown=GAPS_SHOWN,
        format=FORMAT,
        jwks_url=f"{envelope.issuer.rstrip('/')}/.well-known/jwks.json",
    )


def _forms(members: Iterable[Member]) -> list[Form]:
    forms: dict[str, Form] = {}
    for member in members:
        if (name := member.content.form) is not None:
            form = forms.setdefault(name, Form(name, member.path, member.content.losses))
            form.files += 1
    return list(forms.values())


def _sections(members: Iterable[Member]) -> list[Section]:
    sections: dict[tuple[str, str], Section] = {}
    for member in members:
        content = member.content
        section = sections.setdefault(
            (content.exporter, content.dataset.name), Section(content.exporter, content.dataset)
        )
        if len(section.paths) < PATHS_SHOWN:
            section.paths.append(member.path)
        else:
            section.more += 1
        section.truncated += content.state == "truncated"
        counted = section.corrected if content.corrects else section.counted
        counted[content.media_type] += content.records or 0
    return list(sections.values())


def _lines(closing: Mapping[str, JSON]) -> list[Mapping[str, JSON]]:
    lines = closing["datasets"]
    known = [line for line in lines if isinstance(line, Mapping)] if isinstance(lines, list | tuple) else []
    return [{"reason": None, "tenants": (), "remarks": None, **line} for line in known]

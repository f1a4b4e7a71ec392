"""README.html: the page that a person opens first, in English and Indonesian; no script, no request to anywhere."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from archive.parts import FORMAT, Envelope, Member
from portability.api import JSON, Dataset

PATHS_SHOWN = 6
GAPS_SHOWN = 50
_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (_TEMPLATES / "readme.css").read_text("utf-8")
_STYLE_HASH = "sha256-" + b64encode(sha256(_STYLE.encode()).digest()).decode()
_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


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
) -> bytes:
    """The page. `closing` is export.json, in the closing volume; beside a viewer the page leads to it."""
    volumes = closing["volumes"] if closing else ()
    page = _environment.get_template("README.html").render(
        envelope=envelope,
        name=envelope.volume_name(number),
        number=number,
        closing=closing and {"gaps": (), "not_included": (), "withheld": (), **closing, "datasets": _lines(closing)},
        volumes=len(volumes) if isinstance(volumes, list | tuple) else 0,
        sections=_sections(members),
        has_viewer=has_viewer,
        gaps_shown=GAPS_SHOWN,
        format=FORMAT,
        jwks_url=f"{envelope.issuer.rstrip('/')}/.well-known/jwks.json",
        # Ours, from the folder beside this module: escaping would break its quotes, and the policy's hash with them.
        style=Markup(_STYLE),  # noqa: S704  # as said above
        style_hash=_STYLE_HASH,
    )
    return page.encode()


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

"""The files of the viewer: `index.html`, and below `viewer/` its scripts, its style, and the data as script files."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from archive.names import MemberNames
from archive.parts import VolumeMetadata
from archive.summary.feed import sentence
from archive.summary.pdf import PATH as PDF_PATH
from archive.summary.words import ArchiveSummary
from archive.viewer.catalogue import catalogue
from archive.viewer.index import ViewerIndex
from archive.viewer.lists import ViewerLists, pointer
from archive.viewer.parts import Excerpt
from archive.viewer.script import call
from archive.waiting import records_by_dataset
from portability import design
from portability.api import JSON, Dataset
from portability.locale import SOURCE, languages, text, translations

INDEX = "index.html"
SCRIPTS = (
    *("registry.js", "shards.js", "records.js", "page.js", "values.js", "charts.js", "table.js"),
    *(
        "talks.js",
        "subtitles.js",
        "talk.js",
        "group.js",
        "waiting.js",
        "summary.js",
        "overview.js",
        "search.js",
        "app.js",
    ),
)
"""In the order of loading: each uses only what stands before it. The catalogue stands behind the first."""
FEED_SCRIPT = "feed.js"
"""Before the last script, in archives of feeds alone."""
CATALOGUE = "viewer/catalogue.js"
GAPS_MAX = 2_000
VOLUMES_MAX = 1_000
_STATIC = Path(__file__).parent / "static"
_environment = Environment(loader=FileSystemLoader(_STATIC), autoescape=True, undefined=StrictUndefined)


def pages(
    envelope: VolumeMetadata,
    export: Mapping[str, JSON],
    excerpts: Iterable[Excerpt],
    index: ViewerIndex | None = None,
    *,
    summary: ArchiveSummary | None = None,
    has_notice: bool = False,
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield the viewer's files as (path in the closing volume, blocks), to be written in this order.

    Args:
        envelope: of the closing volume.
        export: the document `export.json`; the last of its `volumes` is the closing volume.
        excerpts: one for each dataset that the export looked for, in the order of the ledger.
        index: of all records of the archive; None: the viewer shows the excerpts.
        summary: what the first page shows at a glance.
        has_notice: whether notice.html lies beside the page, which then leads there.
    """
    here = _closing_volume(export)
    names = MemberNames()
    data = {names.claim(f"viewer/data/{e.exporter}.{e.dataset.name}.js"): e for e in excerpts}
    about = names.claim("viewer/data/export.js")
    scripts = (*SCRIPTS[:-1], FEED_SCRIPT, *SCRIPTS[-1:]) if envelope.feed else SCRIPTS
    code = [f"viewer/{name}" for name in scripts]
    yield INDEX, [_index([code[0], CATALOGUE, *code[1:], about, *data])]
    yield CATALOGUE, [catalogue()]
    for path in code:
        yield path, [(_STATIC / Path(path).name).read_bytes()]
    style = (_STATIC / "style.css").read_bytes()
    yield "viewer/style.css", [design.STYLE.encode(), style, envelope.brand.style.encode()]
    lists = ViewerLists(index, here)
    yield from lists.write(data.values())
    further = {"summary": _summary(summary) if summary else None, "notice": has_notice, "talks": lists.talks()}
    yield about, call("begin", {**_about(envelope, export, here), **further})
    for script_path, excerpt in data.items():
        found = lists.of(excerpt.exporter, excerpt.dataset.name)
        yield script_path, call("add", {**_described(excerpt, here), **found}, excerpt.lines)


def _index(scripts: Sequence[str]) -> bytes:
    # A nonce, because browsers disagree on what 'self' means for file:, and refuse the integrity checks there that
    # hashes need. It is new in each archive, and the page's own markup contains no data.
    nonce = secrets.token_urlsafe(16)
    data, readme = Markup("<code>data/</code>"), Markup('<a href="README.html">README.html</a>')
    plain = {
        language: (text(language, "viewer.yourData"), escape(text(language, "viewer.noScript")))
        for language in languages()
    }
    without = {language: (title, said.format(folder=data, readme=readme)) for language, (title, said) in plain.items()}
    alone = [(language, title, text(language, "viewer.alone")) for language, (title, _said) in plain.items()]
    page = _environment.get_template(INDEX)
    return page.render(scripts=scripts, nonce=nonce, without=without, alone=alone, source=SOURCE).encode()


def _closing_volume(export: Mapping[str, JSON]) -> str:
    volumes = export["volumes"]
    last = volumes[-1] if isinstance(volumes, list | tuple) and volumes else {}
    return str(last.get("name", "")) if isinstance(last, Mapping) else ""


def _about(envelope: VolumeMetadata, export: Mapping[str, JSON], here: str) -> dict[str, JSON]:
    """Return the export for the first page; long lists are cut, `export.json` beside it has them whole."""
    shown = dict(export)
    for name, most in (("gaps", GAPS_MAX), ("volumes", VOLUMES_MAX)):
        values = export.get(name)
        rows = list(values) if isinstance(values, list | tuple) else []
        shown[name] = rows[:most] if name == "gaps" else [_without_counts(row) for row in rows[-most:]]
        shown[f"{name}_total"] = len(rows)
    if envelope.feed is not None:
        said = {language: sentence(envelope.feed, language) for language in languages()}
        of_feed: dict[str, JSON] = {"text": said[SOURCE], "translations": {"text": said}}
        shown["feed"] = of_feed
    return shown | {
        "waiting": records_by_dataset(export),
        "issuer": envelope.issuer,
        "brand": envelope.brand.name,
        "contact": envelope.contact,
        "produced_at": envelope.produced_at.isoformat().replace("+00:00", "Z"),
        "name": here,
    }


def _summary(summary: ArchiveSummary) -> JSON:
    pdf = {"path": PDF_PATH, "language": summary.pdf_language} if summary.pdf else None
    texts: dict[str, JSON] = {language: one.to_json() for language, one in summary.texts.items()}
    return {"texts": texts, "records": summary.records, "pdf": pdf}


def _without_counts(volume: JSON) -> JSON:
    """Return a volume without its counts: the page compares those of the pieces."""
    return (
        {name: value for name, value in volume.items() if name != "counts"} if isinstance(volume, Mapping) else volume
    )


def _described(excerpt: Excerpt, here: str) -> dict[str, JSON]:
    dataset = excerpt.dataset
    pieces = [member for member in excerpt.members if member.records is not None]
    return {
        "exporter": excerpt.exporter,
        **_meaning(excerpt.exporter, dataset),
        "cuts": [[cut.row, cut.field, cut.characters] for cut in excerpt.cuts],
        "pieces": [pointer(member, here) for member in pieces],
        "files": [pointer(member, here) for member in excerpt.members if member not in pieces],
        "more": excerpt.more_members,
    }


def _meaning(exporter: str, dataset: Dataset) -> dict[str, JSON]:
    return {
        "dataset": dataset.name,
        "title": dataset.title,
        "description": dataset.description,
        "translations": {**translations.of_dataset(exporter, dataset)},
        "provenance": dataset.provenance,
        "role": dataset.role,
        "key": list(dataset.key),
        "fields": [
            {
                "name": field.name,
                "type": field.type,
                "description": field.description,
                "translations": {**translations.of_field(exporter, dataset, field)},
                "labels": {one.value: translations.of_value(exporter, dataset, field, one) for one in field.values},
                "provenance": field.provenance,
                "third_party": field.third_party,
            }
            for field in dataset.fields
        ],
    }

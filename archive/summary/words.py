"""The summary in one language: plain texts, for README.html, the PDF and the viewer alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any

from babel import Locale

from archive.parts import VolumeMetadata
from archive.summary.chart import Axis, axis, extent, heights
from archive.summary.figures import COMPANY, Counted, Grounded, KindFigures, Months, Summary, joined
from portability.api import JSON
from portability.law.omissions import explanation
from portability.locale import find, text, values
from portability.locale.translations import label

LIST_CHARS = 120
"""Of the datasets that a group names: the rest is counted."""
TEXT_CHARS = 60
"""Of a text of the data, such as a name."""
KINDS_SHOWN = 16
GROUPS_SHOWN = 7
"""What fits on two pages with the texts above."""
HEADS = ("summary.kind", "readme.records", "readme.files", "summary.period", "summary.by_month")
TITLES = (
    *("kinds", "missing", "nothing_missing", "undelivered", "nothing_undelivered"),
    *("figures", "when", "pdf"),
)
_DASH = "\N{EN DASH}"
_HIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Controls, and characters that change the direction of what follows or show nothing, as in the viewer's page.js."""


@dataclass(frozen=True, slots=True)
class KindRow:
    """One exporter's part of the archive."""

    exporter: str
    """Empty for a row of several."""
    title: str
    records: str
    files: str
    period: str
    bars: Sequence[float]
    """Heights from 0 to 1 on the axis of the chart; empty without a chart."""


@dataclass(frozen=True, slots=True)
class GroupText:
    """What is absent for one reason."""

    why: str
    what: str


@dataclass(frozen=True, slots=True)
class ChartText:
    """The chart of all records."""

    title: str
    note: str
    alternative: str
    """The chart in words, for readers who do not see it."""
    bars: Sequence[float]
    names: Sequence[str]
    """The time of each bar."""
    counts: Sequence[str]
    outside: str
    """A sentence about records that are not on the axis; empty if all are."""


@dataclass(frozen=True, slots=True)
class SummaryText:
    """Everything that the summary shows, in one language."""

    language: str
    direction: str
    heading: str
    titles: Mapping[str, str]
    """Headings and sentences by the end of their code."""
    heads: Sequence[str]
    """Of the columns of `kinds`."""
    name: str
    about: str
    period: str
    """Of the records that have a date; empty without one."""
    facts: Sequence[tuple[str, str]]
    """What it says first: period and totals, each with its name."""
    outcome: str
    is_partial: bool
    kinds: Sequence[KindRow]
    chart: ChartText | None
    missing: Sequence[GroupText]
    undelivered: Sequence[GroupText]

    def to_json(self) -> dict[str, JSON]:
        """Return everything as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ArchiveSummary:
    """The summary as the closing volume has it."""

    texts: Mapping[str, SummaryText]
    """By language."""
    records: int
    pdf: bytes | None
    """None: it could not be made."""
    pdf_language: str


def worded(summary: Summary, export: Mapping[str, Any], envelope: VolumeMetadata, language: str) -> SummaryText:
    """Return the summary in a language; `export` is the document export.json."""
    time_axis = axis(summary.months)
    between = extent(summary.months)
    period = _period(between, language) if between else ""
    own = text(language, "viewer.companyData" if export["subject_kind"] == COMPANY else "viewer.yourData")
    return SummaryText(
        language,
        str(Locale.parse(language, sep="-").text_direction),
        f"{own}: {text(language, 'archive.summary.title')}",
        {name: text(language, f"archive.summary.{name}") for name in TITLES},
        [text(language, f"archive.{code}") for code in HEADS],
        readable(summary.name) if summary.name else own,
        text(language, f"archive.profiles.{envelope.profile}"),
        period,
        _facts(summary, period, language),
        _outcome(export, language),
        export["outcome"]["own"] == "partial",
        _kinds(summary.kinds, _sources(export, language), time_axis, language),
        _chart(summary.months, time_axis, language) if time_axis else None,
        _missing(summary, export, language),
        _undelivered(summary, language),
    )


def readable(value: str, characters: int = TEXT_CHARS) -> str:
    """Return a text of the data so that it can be seen: hidden characters as codes, and only its beginning."""
    shown = value if len(value) <= characters else f"{value[:characters].rstrip()}…"
    return _HIDDEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", shown)


def _facts(summary: Summary, period: str, language: str) -> list[tuple[str, str]]:
    facts = [(text(language, "archive.summary.period"), period)] if period else []
    facts.append((text(language, "archive.readme.records"), values.number(language, summary.records)))
    if summary.files:
        facts.append((text(language, "archive.readme.files"), values.number(language, summary.files)))
    return [*facts, (text(language, "viewer.size"), values.size(language, summary.bytes))]


def _period(between: tuple[str, str], language: str) -> str:
    first, last = (values.month(language, at) for at in between)
    return first if first == last else f"{first} {_DASH} {last}"


def _outcome(export: Mapping[str, Any], language: str) -> str:
    own = export["outcome"]["own"]
    if own in {"complete", "with_remarks"} and export["outcome"]["processor"] in {"referred", "refused"}:
        return text(language, "viewer.completeAsk")
    return find(language, f"archive.summary.outcome_{own}") or text(language, "archive.summary.outcome_partial")


def _sources(export: Mapping[str, Any], language: str) -> Mapping[str, str]:
    """Return the titles of the sources that have one, by name."""
    return {one["exporter"]: _read(one, "title", language) for one in export.get("sources") or ()}


def _kinds(
    kinds: Sequence[KindFigures], titles: Mapping[str, str], time_axis: Axis | None, language: str
) -> list[KindRow]:
    """Return a row for each kind, in their order; if they are too many, those with fewest records share a row."""
    kept = sorted(kinds, key=lambda kind: kind.records, reverse=True)[:KINDS_SHOWN]
    rows = [_kind(kind, titles, time_axis, language) for kind in kinds if kind in kept]
    if rest := [kind for kind in kinds if kind not in kept]:
        records, files = sum(kind.records for kind in rest), sum(kind.files for kind in rest)
        together = KindFigures("", records, files, joined(kind.months for kind in rest))
        title = text(language, "archive.summary.more", count=values.number(language, len(rest)))
        rows.append(replace(_kind(together, titles, time_axis, language), title=title))
    return rows


def _kind(kind: KindFigures, titles: Mapping[str, str], time_axis: Axis | None, language: str) -> KindRow:
    between = extent(kind.months)
    return KindRow(
        kind.exporter,
        titles.get(kind.exporter) or readable(label(kind.exporter)),
        values.number(language, kind.records),
        values.number(language, kind.files) if kind.files else _DASH,
        _period(between, language) if between else _DASH,
        heights(time_axis.bars(kind.months)) if time_axis else [],
    )


def _chart(months: Months, time_axis: Axis, language: str) -> ChartText:
    bars = time_axis.bars(months)
    names = [values.month(language, time_axis.name(place)) for place in range(time_axis.count)]
    note = text(language, "viewer.whenLong", unit=text(language, f"viewer.{time_axis.unit}"))
    most = text(language, "viewer.most", n=values.number(language, max(bars)))
    title, span = text(language, "viewer.when"), f"{names[0]} {_DASH} {names[-1]}"
    outside = sum(months.values()) - sum(bars)
    return ChartText(
        title,
        note,
        f"{title}. {note}: {span}. {most}",
        heights(bars),
        names,
        [values.number(language, n) for n in bars],
        text(language, "archive.summary.outside", count=values.number(language, outside)) if outside else "",
    )


def _missing(summary: Summary, export: Mapping[str, Any], language: str) -> list[GroupText]:
    """Return what is missing: gaps by reason, then the companies that decide over data."""
    groups = [_group(explanation(one.code, language) or one.code, one, language) for one in summary.missing]
    companies = [_company(one, language) for one in export.get("referrals") or ()]
    if companies:
        groups.append(GroupText(text(language, "archive.summary.companies"), _listed(companies, language)))
    return _first(groups, language)


def _company(one: Mapping[str, Any], language: str) -> str:
    """Return who decides, how to reach the company, and what it answered."""
    contact = f" ({readable(one['contact'])})" if one["contact"] else ""
    answer = text(language, f"archive.referrals.{one['answer']}")
    return f"{readable(one['name'] or one['tenant'])}{contact}: {answer}"


def _undelivered(summary: Summary, language: str) -> list[GroupText]:
    """Return what is not delivered: replaced values, examined records, datasets by rule, and what is withheld."""
    groups: list[GroupText] = []
    if summary.replaced:
        groups.append(GroupText(text(language, "archive.summary.replaced"), _replaced(summary.replaced, language)))
    for one in summary.examined:
        why = f"{explanation('not_theirs', language)} {text(language, f'archive.reviews.{one.code}')}"
        groups.append(_group(why, one, language))
    groups += [_group(explanation(one.code, language) or one.code, one, language) for one in summary.left_out]
    for one in summary.withheld:
        why = find(language, f"archive.summary.withheld_{one.code}") or one.code
        groups.append(_group(why, one, language, "what"))
    return _first(groups, language)


def _first(groups: Sequence[GroupText], language: str) -> list[GroupText]:
    """Return the first groups, and how many more there are."""
    more = len(groups) - GROUPS_SHOWN
    tail = [text(language, "archive.summary.more", count=values.number(language, more))] if more > 0 else []
    return [*groups[:GROUPS_SHOWN], *(GroupText(one, "") for one in tail)]


def _replaced(rules: Mapping[str, int], language: str) -> str:
    """Return a phrase for each rule; those for secrets of software are one, as in the viewer."""
    counted: dict[str, int] = {}
    for rule, n in rules.items():
        code = rule if find(language, f"archive.redactions.{rule}") else "secret"
        counted[code] = counted.get(code, 0) + n
    phrases = (
        text(language, f"archive.redactions.{code}", count=values.number(language, n)) for code, n in counted.items()
    )
    return "; ".join(phrases)


def _group(why: str, one: Grounded, language: str, name: str = "title") -> GroupText:
    return GroupText(why, _listed(_titles(one.lines, name, language), language))


def _titles(lines: Counted, name: str, language: str) -> list[str]:
    """Return the texts of lines in a language, each with its number."""
    titles = []
    for line, n in lines:
        title = _read(line, name, language)
        titles.append(f"{title} ({values.number(language, n)})" if n else title)
    return titles


def _read(line: Mapping[str, Any], name: str, language: str) -> str:
    """Return a text of a line of export.json in a language, else as it was written."""
    translated = (line.get("translations") or {}).get(name, {}).get(language)
    return readable(str(translated or line.get(name) or f"{line['exporter']}/{line['dataset']}"))


def _listed(titles: Iterable[str], language: str) -> str:
    """Return the first titles as a list, and how many more there are."""
    every = [*titles]
    lengths = accumulate(len(title) + 2 for title in every)
    shown = max(sum(length <= LIST_CHARS for length in lengths), 1)
    more = len(every) - shown
    tail = [text(language, "archive.summary.more", count=values.number(language, more))] if more > 0 else []
    return ", ".join(every[:shown] + tail)

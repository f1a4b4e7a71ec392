"""The notice of one archive: the register joined with what was exported for this subject (docs/notice.md).

`notice.json` is for programs and `notice.html` for people. GDPR Art. 15(1)(a)-(h), 15(2); UU PDP Art. 21, 32; of a
company that switches Data Act Art. 25(2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from archive import bag, phrases
from archive.parts import FORMAT, Envelope
from archive.templates import render
from portability.api import JSON, Dataset, Withheld
from portability.notice import PREFIXES, DatasetEntry, Register, Right

SCHEMA = (Path(__file__).parent / "notice.schema.json").read_bytes()
"""JSON Schema 2020-12 of notice.json; it lies beside it in every archive."""
LAWS: Mapping[str, Sequence[str]] = {
    "access": ("GDPR Art. 15(1)(a)-(h), 15(2)", "UU PDP Art. 7, 21, 32"),
    "portability": ("GDPR Art. 13, 20", "UU PDP Art. 13, 21"),
    "switch": ("Data Act Art. 25(2), 29, 30",),
}
SWITCH = "switch"
SAME = ("category", "role", "companies", "purposes", "recipients", "retention", "sources", "decisions", "described")
"""Datasets in which all of these are alike stand in one row of the page."""
COUNTED = ("state", "records", "files", "gaps")
MORE = ("reason", "redactions")


@dataclass(frozen=True, slots=True)
class Held:
    """A line of the ledger, as the notice tells it."""

    dataset: Dataset
    companies: tuple[str, ...] = ()
    """Ids of the companies that decide over it, where the platform is their processor."""


def document(
    envelope: Envelope, closing: Mapping[str, JSON], register: Register, held: Sequence[Held]
) -> dict[str, JSON]:
    """The content of notice.json; `held` are the lines of the ledger in its order."""
    lines = _rows(closing, "datasets")
    datasets = [_dataset(register, line, one) for line, one in zip(lines, held, strict=True)]
    entries = [entry for line in lines if (entry := register.entry(str(line["exporter"]), str(line["dataset"])))]
    is_switch = envelope.profile == SWITCH
    contact = envelope.contact or register.controller.contact
    return {
        "format": FORMAT,
        "register": {"version": register.version, "valid_from": register.valid_from.isoformat()},
        "prefixes": dict(PREFIXES),
        "laws": list(LAWS.get(envelope.profile, ())),
        **{name: closing.get(name) for name in ("export", "profile", "subject", "subject_kind", "revision")},
        "made_at": envelope.produced_at.isoformat().replace("+00:00", "Z"),
        "contact": contact,
        "controller": _plain(register.controller),
        "authorities": [_plain(one) for one in register.authorities.values()],
        "datasets": datasets,
        "not_included": [_left_out(line) for line in _rows(closing, "not_included")],
        "withheld": [*_withheld(lines, held, whole=is_switch)],
        **_named(register, entries),
        "rights": [] if is_switch else [_right(one, contact) for one in register.rights.values()],
        "switching": _switching(register, lines) if is_switch else None,
    }


def page(envelope: Envelope, notice: Mapping[str, JSON]) -> bytes:
    """notice.html: no script, no request to anywhere; everything in it is escaped."""
    return render(
        "notice.html",
        envelope=envelope,
        notice=notice,
        name=envelope.group,
        format=FORMAT,
        alike=_grouped(_rows(notice, "datasets"), lambda one: {name: one.get(name) for name in SAME}),
        reasons=_grouped(_rows(notice, "not_included"), lambda one: one["reason"]),
    )


def notice_files(envelope: Envelope, notice: Mapping[str, JSON]) -> dict[str, bytes]:
    """The files of a closing volume that a notice becomes, by path."""
    return {
        bag.NOTICE: orjson.dumps(notice, option=orjson.OPT_INDENT_2),
        bag.NOTICE_PAGE: page(envelope, notice),
        bag.NOTICE_SCHEMA: SCHEMA,
    }


def _grouped(
    rows: Iterable[Mapping[str, Any]], key: Callable[[Mapping[str, Any]], JSON]
) -> list[list[Mapping[str, Any]]]:
    """Rows with the same key together: forty datasets have a dozen entries."""
    found: dict[bytes, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(orjson.dumps(key(row)), []).append(row)
    return [*found.values()]


def _dataset(register: Register, line: Mapping[str, Any], held: Held) -> dict[str, JSON]:
    dataset, entry = held.dataset, register.entry(line["exporter"], line["dataset"])
    return {
        **{name: line[name] for name in ("exporter", "dataset")},
        "title": _both(dataset, "title"),
        "description": _both(dataset, "description"),
        "provenance": dataset.provenance,
        "role": dataset.role,
        "companies": list(held.companies),
        "key": list(dataset.key),
        **{name: line[name] for name in COUNTED},
        **{name: line[name] for name in MORE if line.get(name) is not None},
        "described": entry is not None,
        **(_said(entry) if entry else {}),
    }


def _said(entry: DatasetEntry) -> dict[str, JSON]:
    return {
        "category": entry.category,
        "purposes": [{"purpose": purpose, "basis": basis} for purpose, basis in entry.purposes.items()],
        "recipients": list(entry.recipients),
        "retention": entry.retention,
        "sources": list(entry.sources),
        "decisions": list(entry.decisions),
    }


def _named(register: Register, entries: Sequence[DatasetEntry]) -> dict[str, JSON]:
    """What the entries name, and nothing else of the register."""
    recipients = _of(register.recipients, (name for entry in entries for name in entry.recipients))
    parties = [register.controller.safeguard, *(register.recipients[name].safeguard for name in recipients)]
    return {
        "categories": _of(register.categories, (entry.category for entry in entries)),
        "purposes": _of(register.purposes, (name for entry in entries for name in entry.purposes)),
        "bases": _of(register.bases, (name for entry in entries for name in entry.purposes.values())),
        "recipients": recipients,
        "safeguards": _of(register.safeguards, (name for name in parties if name)),
        "retention": _of(register.retention, (entry.retention for entry in entries)),
        "sources": _of(register.sources, (name for entry in entries for name in entry.sources)),
        "decisions": _of(register.decisions, (name for entry in entries for name in entry.decisions)),
    }


def _of(known: Mapping[str, BaseModel], names: Iterable[str]) -> dict[str, JSON]:
    """Those of the known ones that are named, in the order of the register."""
    wanted = set(names)
    return {name: _plain(one) for name, one in known.items() if name in wanted}


def _switching(register: Register, lines: Sequence[Mapping[str, Any]]) -> dict[str, JSON]:
    """What Data Act Art. 25(2) wants told: terms, and the digital assets among what is handed over."""
    named = [
        (f"{line['exporter']}/{line['dataset']}", register.entry(line["exporter"], line["dataset"])) for line in lines
    ]
    assets = [name for name, entry in named if entry and register.categories[entry.category].digital_asset]
    terms: dict[str, JSON] = {name: _plain(term) for name, term in dict(register.switching).items()}
    return {**terms, "digital_assets": [*assets]}


def _right(right: Right, contact: str) -> dict[str, JSON]:
    return {**_plain(right), "how": {language: right.told(language, contact) for language in phrases.LANGUAGES}}


def _left_out(line: Mapping[str, Any]) -> dict[str, JSON]:
    reason = str(line["reason"])
    return {
        **{name: line[name] for name in ("exporter", "dataset")},
        "title": {language: phrases.told(line, "title", language) or line["dataset"] for language in phrases.LANGUAGES},
        "reason": {language: phrases.reason(language, reason) for language in phrases.LANGUAGES},
    }


def _withheld(lines: Sequence[Mapping[str, Any]], held: Sequence[Held], *, whole: bool) -> Iterator[JSON]:
    """What stays: beside records that are there, and for a company all that could be (Data Act Art. 25(2)(f))."""
    found = {
        (line["exporter"], line["dataset"]): each.dataset
        for line, each in zip(lines, held, strict=True)
        if whole or line["records"] or line["files"]
    }
    for (exporter, name), dataset in found.items():
        for one in dataset.withheld:
            where: dict[str, JSON] = {"exporter": exporter, "dataset": name}
            yield {**where, "what": _both(one, "what"), "reason": _both(one, "reason"), "kind": one.kind}


def _both(about: Dataset | Withheld, name: str) -> dict[str, JSON]:
    return {language: phrases.told(about, name, language) or "" for language in phrases.LANGUAGES}


def _plain(entry: BaseModel) -> dict[str, JSON]:
    return {name: value for name, value in entry.model_dump(mode="json").items() if value is not None}


def _rows(closing: Mapping[str, JSON], name: str) -> Sequence[Mapping[str, Any]]:
    rows = closing.get(name)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []

"""The notice of one archive: the register joined with what was exported for this subject (docs/notice.md).

`notice.json` is for programs and `notice.html` for people. GDPR Art. 15(1)(a)-(h), 15(2); UU PDP Art. 21, 32; of a
company that switches Data Act Art. 25(2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from archive import bag
from archive.parts import FORMAT, VolumeMetadata
from archive.recipients import RecipientTally, together
from archive.write import notice_rights
from archive.write.templates import render
from portability.api import JSON, Dataset
from portability.law.notice import PREFIXES, DatasetEntry, Register
from portability.law.omissions import explanations
from portability.law.regime import Regime
from portability.locale import SOURCE
from portability.locale.translations import of_dataset, of_withheld

SCHEMA = (Path(__file__).parent / "notice.schema.json").read_bytes()
"""JSON Schema 2020-12 of notice.json; it lies beside it in every archive."""
SWITCH = "switch"
SAME = ("category", "role", "companies", "purposes", "recipients", "retention", "sources", "decisions", "described")
"""Datasets in which all of these are alike stand in one row of the page."""
NAMES_SHOWN = 5
"""Number of recipients on the first screen of the page; the details have all."""
READ_TO_ITS_END = frozenset({"complete", "with_remarks", "empty"})
"""States of datasets of which nothing is missing."""
COUNTED = ("state", "records", "files", "gaps")
MORE = ("reason", "redactions")


@dataclass(frozen=True, slots=True)
class NoticeLine:
    """A line of the ledger, as the notice shows it."""

    dataset: Dataset
    companies: tuple[str, ...] = ()
    """Ids of the companies that decide over it, where the platform is their processor."""
    recipients: RecipientTally = field(default_factory=RecipientTally)
    """To whom its records say that data was disclosed."""


def document(
    envelope: VolumeMetadata,
    closing: Mapping[str, JSON],
    register: Register,
    held: Sequence[NoticeLine],
    regimes: Sequence[Regime],
) -> dict[str, JSON]:
    """Make the content of notice.json; `held` are the lines of the ledger, `regimes` the laws that give rights.

    For a person it is about the datasets that concern this person: those with data, and those whose data is missing or
    referred to a company. For a company that switches it is about all datasets (Data Act Art. 25(2)).
    """
    is_switch = envelope.profile == SWITCH
    all_pairs = [*zip(_rows(closing, "datasets"), held, strict=True)]
    pairs = [(line, one) for line, one in all_pairs if is_switch or _concerns(line)]
    lines = [line for line, _ in pairs]
    datasets = [_dataset(register, line, one) for line, one in pairs]
    entries = [entry for line in lines if (entry := register.entry(str(line["exporter"]), str(line["dataset"])))]
    contact = envelope.contact or register.controller.contact
    return {
        "format": FORMAT,
        "register": {"version": register.version, "valid_from": register.valid_from.isoformat()},
        "prefixes": dict(PREFIXES),
        "laws": notice_rights.laws(envelope.profile, regimes),
        **{name: closing.get(name) for name in ("export", "profile", "subject", "subject_kind", "revision")},
        "made_at": envelope.produced_at.isoformat().replace("+00:00", "Z"),
        "contact": contact,
        "controller": _plain(register.controller),
        "authorities": notice_rights.authorities(register, regimes),
        "datasets": datasets,
        "disclosures": [*_disclosures(all_pairs, limited=bool(closing.get("since") or closing.get("until")))],
        "not_included": [_left_out(line) for line in _rows(closing, "not_included")],
        "withheld": [*_withheld(pairs, None if is_switch else _rows(closing, "withheld"))],
        **_named(register, entries),
        "rights": [] if is_switch else notice_rights.rights(register, regimes, contact),
        "rights_by_law": notice_rights.rights_by_law(regimes),
        "switching": _switching(register, lines) if is_switch else None,
    }


def page(envelope: VolumeMetadata, notice: Mapping[str, JSON]) -> bytes:
    """Write notice.html: without a script and without requests; everything in it is escaped."""
    return render(
        "notice.html",
        accent=envelope.brand.style,
        envelope=envelope,
        notice=notice,
        name=envelope.group,
        names_shown=NAMES_SHOWN,
        format=FORMAT,
        alike=_grouped(_rows(notice, "datasets"), lambda one: {name: one.get(name) for name in SAME}),
        reasons=_grouped(_rows(notice, "not_included"), lambda one: one["reason"]),
    )


def notice_files(envelope: VolumeMetadata, notice: Mapping[str, JSON]) -> dict[str, bytes]:
    """Return the files of a closing volume that a notice becomes, by path."""
    return {
        bag.NOTICE: orjson.dumps(notice, option=orjson.OPT_INDENT_2),
        bag.NOTICE_PAGE: page(envelope, notice),
        bag.NOTICE_SCHEMA: SCHEMA,
    }


def _grouped(
    rows: Iterable[Mapping[str, Any]], key: Callable[[Mapping[str, Any]], JSON]
) -> list[list[Mapping[str, Any]]]:
    """Group rows with the same key: forty datasets have a dozen entries."""
    found: dict[bytes, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(orjson.dumps(key(row)), []).append(row)
    return [*found.values()]


def _concerns(line: Mapping[str, Any]) -> bool:
    """Return whether a dataset has data of the subject, or may have it: an empty one says nothing about them."""
    return bool(line["records"] or line["files"] or line["gaps"]) or line["state"] not in {"complete", "empty"}


def _dataset(register: Register, line: Mapping[str, Any], held: NoticeLine) -> dict[str, JSON]:
    dataset, entry = held.dataset, register.entry(line["exporter"], line["dataset"])
    translations = of_dataset(line["exporter"], dataset)
    return {
        **{name: line[name] for name in ("exporter", "dataset")},
        "title": _by_language(dataset.title, translations.get("title")),
        "description": _by_language(dataset.description, translations.get("description")),
        "provenance": dataset.provenance,
        "role": dataset.role,
        "companies": list(held.companies),
        "key": list(dataset.key),
        **{name: line[name] for name in COUNTED},
        **{name: line[name] for name in MORE if line.get(name) is not None},
        "described": entry is not None,
        **(_said(entry) if entry else {}),
    }


def _disclosures(pairs: Sequence[tuple[Mapping[str, Any], NoticeLine]], *, limited: bool) -> Iterator[JSON]:
    """Yield for each dataset that can name recipients the recipients that its records name (GDPR Art. 15(1)(c)).

    A dataset without records says that no disclosure was recorded; one that is not complete, or `limited` to a part of
    the time, may lack names.
    """
    found: dict[tuple[str, str], list[tuple[Mapping[str, Any], NoticeLine]]] = {}
    for line, one in pairs:
        if one.dataset.disclosures is not None:
            found.setdefault((line["exporter"], line["dataset"]), []).append((line, one))
    for (exporter, name), lines in found.items():
        tally = together(one.recipients for _, one in lines)
        dataset = lines[0][1].dataset
        yield {
            "exporter": exporter,
            "dataset": name,
            "title": _by_language(dataset.title, of_dataset(exporter, dataset).get("title")),
            "complete": not limited and _has_recipient(dataset) and all(map(_is_whole, lines)),
            "recipients": [*tally.listed()],
            "more": tally.more,
        }


def _is_whole(pair: tuple[Mapping[str, Any], NoticeLine]) -> bool:
    return pair[0]["state"] in READ_TO_ITS_END


def _has_recipient(dataset: Dataset) -> bool:
    """Return whether the profile took the field that names recipients."""
    return dataset.disclosures is not None and dataset.disclosures.recipient in {one.name for one in dataset.fields}


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
    """Return the parts of the register that the entries name."""
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
    """Return the known entries that are named, in the order of the register."""
    wanted = set(names)
    return {name: _plain(one) for name, one in known.items() if name in wanted}


def _switching(register: Register, lines: Sequence[Mapping[str, Any]]) -> dict[str, JSON]:
    """Return what Data Act Art. 25(2) requires: the terms, and the digital assets among the datasets."""
    named = [
        (f"{line['exporter']}/{line['dataset']}", register.entry(line["exporter"], line["dataset"])) for line in lines
    ]
    assets = [name for name, entry in named if entry and register.categories[entry.category].digital_asset]
    terms: dict[str, JSON] = {name: _plain(term) for name, term in dict(register.switching).items()}
    return {**terms, "digital_assets": [*assets]}


def _left_out(line: Mapping[str, Any]) -> dict[str, JSON]:
    reason = str(line["reason"])
    return {
        **{name: line[name] for name in ("exporter", "dataset")},
        "title": _by_language(line.get("title") or line["dataset"], line.get("translations", {}).get("title")),
        "reason": reason,
        "explanation": {**explanations(reason)},
    }


def _withheld(
    pairs: Sequence[tuple[Mapping[str, Any], NoticeLine]], stored: Sequence[Mapping[str, Any]] | None
) -> Iterator[JSON]:
    """Yield the withheld values that export.json lists in `stored`; without a list all (Data Act Art. 25(2)(f))."""
    stored_names = {(value["exporter"], value["dataset"], value["name"]) for value in stored or ()}
    found = {(line["exporter"], line["dataset"]): each.dataset for line, each in pairs}
    for (exporter, name), dataset in found.items():
        for value in dataset.withheld:
            if stored is not None and (exporter, name, value.name) not in stored_names:
                continue
            translations = of_withheld(exporter, dataset, value)
            yield {
                "exporter": exporter,
                "dataset": name,
                "name": value.name,
                "what": _by_language(value.what, translations.get("what")),
                "reason": _by_language(value.reason, translations.get("reason")),
                "kind": value.kind,
            }


def _by_language(source: str, translations: Mapping[str, str] | None) -> dict[str, JSON]:
    return {SOURCE: source, **(translations or {})}


def _plain(entry: BaseModel) -> dict[str, JSON]:
    return {name: value for name, value in entry.model_dump(mode="json").items() if value is not None}


def _rows(closing: Mapping[str, JSON], name: str) -> Sequence[Mapping[str, Any]]:
    rows = closing.get(name)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []

"""Notices made for tests: a few datasets with the names of built-in datasets, in each profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from volumes import CALLS, closing_document, envelope

from archive.parts import VolumeMetadata
from archive.recipients import Disclosed, RecipientTally
from archive.write import notice
from archive.write.notice import NoticeLine
from portability.api import JSON, Dataset, DisclosureFields, Field, FieldType, Provenance, Role, Withheld, WithheldKind
from portability.law.notice import load
from portability.law.regime import Regime, SubjectFacts
from portability.law.regimes import DEFAULT_REGIMES, giving_rights
from portability.locale import SOURCE, languages
from portability.locale.translations import of_dataset

COMPANY = ("ten_1",)


def dataset(name: str, title: str, provenance: Provenance, role: Role) -> Dataset:
    fields = (Field("id", FieldType.STRING, "Identifier.", provenance),)
    return Dataset(name, title, f"Your {title.lower()}.", fields, provenance, role, ("id",))


PROFILE = replace(
    dataset("profile", "Account profile", Provenance.PROVIDED, Role.CONTROLLER),
    withheld=(
        Withheld("password_hash", "a bcrypt hash of your password", "it protects your account", WithheldKind.SECRET),
    ),
)
CONSENTS = dataset("consents", "Consents", Provenance.PROVIDED, Role.CONTROLLER)
SCORES = dataset("routing_scores", "Routing scores", Provenance.DERIVED, Role.BOTH)
AGENTS = dataset("agents", "AI agents", Provenance.PROVIDED, Role.PROCESSOR)
TRAIL = replace(
    dataset("processing_trail", "Processing trail", Provenance.OBSERVED, Role.CONTROLLER),
    disclosures=DisclosureFields("id"),
)
DISCLOSED = RecipientTally(
    {"Court of Bremen": Disclosed(1), "Parcel Service Ltd.": Disclosed(3, "2025-12-31", "2026-03-02")}, more=2
)
THINGS = dataset("things", "Things of a stranger", Provenance.PROVIDED, Role.CONTROLLER)

LEDGERS: Mapping[str, Sequence[tuple[str, NoticeLine, Mapping[str, JSON]]]] = {
    "access": [
        ("account", NoticeLine(PROFILE), {"records": 1}),
        ("calls", NoticeLine(CALLS, COMPANY), {"records": 7, "files": 2, "gaps": 1, "state": "partial"}),
        (
            "interactions",
            NoticeLine(SCORES, COMPANY),
            {"records": 3, "state": "with_remarks", "redactions": {"other-person": 2}},
        ),
        ("marketing", NoticeLine(CONSENTS), {"state": "empty"}),
        ("trail", NoticeLine(TRAIL, recipients=DISCLOSED), {"records": 6}),
        (
            "calls",
            NoticeLine(CALLS, ("ten_2",)),
            {
                "state": "needs_instruction",
                "reason": "not_ordered",
            },
        ),
    ],
    "portability": [
        ("account", NoticeLine(PROFILE), {"records": 1}),
        ("calls", NoticeLine(CALLS, COMPANY), {"records": 7}),
    ],
    "switch": [
        ("calls", NoticeLine(CALLS, COMPANY), {"records": 70}),
        ("configuration", NoticeLine(AGENTS, COMPANY), {"records": 2}),
    ],
}
LEFT_OUT: Mapping[str, Sequence[tuple[str, Dataset, str]]] = {
    "access": [("configuration", AGENTS, "not_about_a_user")],
    "portability": [
        ("interactions", SCORES, "derived"),
        (
            "marketing",
            CONSENTS,
            "no_consent_or_contract",
        ),
    ],
    "switch": [
        ("marketing", CONSENTS, "each_person_asks"),
        ("account", PROFILE, "each_person_asks"),
    ],
}


def closing(of: VolumeMetadata, *more: tuple[str, NoticeLine, Mapping[str, JSON]]) -> dict[str, JSON]:
    """export.json of a made-up export in the envelope's profile."""
    lines: list[JSON] = [
        {
            "exporter": exporter,
            "dataset": held.dataset.name,
            "title": held.dataset.title,
            "state": "complete",
            **dict.fromkeys(("records", "files", "bytes", "gaps"), 0),
            **ending,
        }
        for exporter, held, ending in (*LEDGERS[of.profile], *more)
    ]
    left: list[JSON] = [
        {
            "exporter": exporter,
            "dataset": one.name,
            "title": one.title,
            "translations": {**of_dataset(exporter, one)},
            "reason": reason,
        }
        for exporter, one, reason in LEFT_OUT[of.profile]
    ]
    kind = "tenant" if of.profile == "switch" else "user"
    stored: list[JSON] = [
        {"exporter": exporter, "dataset": held.dataset.name, "name": one.name, "records": 1}
        for exporter, held, ending in (*LEDGERS[of.profile], *more)
        for one in held.dataset.withheld
        if ending.get("records")
    ]
    return closing_document(of, 1, datasets=lines, not_included=left, subject_kind=kind, withheld=stored)


def laws_of(profile: str, *regimes: str) -> Sequence[Regime]:
    """The regimes that give rights to a subject of whom nothing is known; by default the platform's own."""
    return giving_rights(regimes or DEFAULT_REGIMES, profile, SubjectFacts())


def made_notice(
    profile: str,
    *more: tuple[str, NoticeLine, Mapping[str, JSON]],
    contact: str | None = None,
    regimes: Sequence[str] = (),
) -> dict[str, JSON]:
    """notice.json of a made-up export."""
    of = replace(envelope(profile=profile), contact=contact)
    held = [held for _, held, _ in (*LEDGERS[profile], *more)]
    return notice.document(of, closing(of, *more), load(), held, laws_of(profile, *regimes))


def in_source(value: JSON) -> JSON:
    """Return a document whose texts by language have SOURCE alone, so that a new language changes no golden file."""
    if isinstance(value, Mapping):
        if value and value.keys() <= set(languages()):
            return {SOURCE: value[SOURCE]} if SOURCE in value else {}
        return {name: in_source(part) for name, part in value.items()}
    return [in_source(part) for part in value] if isinstance(value, list) else value

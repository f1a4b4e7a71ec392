"""Notices made for tests: a few datasets with the names of built-in ones, in each profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from volumes import CALLS, closing_document, envelope

from archive import notice
from archive.notice import Held
from archive.parts import Envelope
from portability.api import JSON, Dataset, Field, FieldType, Provenance, Role, Withheld, WithheldKind
from portability.notice import load

COMPANY = ("ten_1",)


def dataset(name: str, title: str, title_id: str, provenance: Provenance, role: Role) -> Dataset:
    fields = (Field("id", FieldType.STRING, "Identifier.", provenance, description_id="Pengenal."),)
    made = Dataset(name, title, f"Your {title.lower()}.", fields, provenance, role, ("id",))
    return replace(made, title_id=title_id, description_id=f"{title_id} Anda.")


PROFILE = replace(
    dataset("profile", "Account profile", "Profil akun", Provenance.PROVIDED, Role.CONTROLLER),
    withheld=(
        Withheld(
            *("a bcrypt hash of your password", "it protects your account", WithheldKind.SECRET),
            what_id="hash bcrypt kata sandi Anda",
            reason_id="melindungi akun Anda",
        ),
    ),
)
CONSENTS = dataset("consents", "Consents", "Persetujuan", Provenance.PROVIDED, Role.CONTROLLER)
SCORES = dataset("routing_scores", "Routing scores", "Skor penyaluran", Provenance.DERIVED, Role.BOTH)
AGENTS = dataset("agents", "AI agents", "Agen AI", Provenance.PROVIDED, Role.PROCESSOR)
THINGS = dataset("things", "Things of a stranger", "Benda", Provenance.PROVIDED, Role.CONTROLLER)

LEDGERS: Mapping[str, Sequence[tuple[str, Held, Mapping[str, JSON]]]] = {
    "access": [
        ("account", Held(PROFILE), {"records": 1}),
        ("calls", Held(CALLS, COMPANY), {"records": 7, "files": 2, "gaps": 1, "state": "partial"}),
        ("interactions", Held(SCORES, COMPANY), {"records": 3, "state": "redacted", "redactions": {"other-person": 2}}),
        ("marketing", Held(CONSENTS), {"state": "empty"}),
        (
            "calls",
            Held(CALLS, ("ten_2",)),
            {
                "state": "needs_instruction",
                "reason": "held for a tenant that has not ordered its export: ask the tenant",
            },
        ),
    ],
    "portability": [("account", Held(PROFILE), {"records": 1}), ("calls", Held(CALLS, COMPANY), {"records": 7})],
    "switch": [
        ("calls", Held(CALLS, COMPANY), {"records": 70}),
        ("configuration", Held(AGENTS, COMPANY), {"records": 2}),
    ],
}
LEFT_OUT: Mapping[str, Sequence[tuple[str, Dataset, str]]] = {
    "access": [("configuration", AGENTS, "is not about a user")],
    "portability": [
        ("interactions", SCORES, "derived data is not part of portability (GDPR Art. 20; WP242 rev.01)"),
        (
            "marketing",
            CONSENTS,
            "not held on consent or contract, so not part of portability (GDPR Art. 20(1)(a)): ask for access",
        ),
    ],
    "switch": [
        ("marketing", CONSENTS, "available to each person by a request of their own (profile access)"),
        ("account", PROFILE, "available to each person by a request of their own (profile access)"),
    ],
}


def closing(of: Envelope, *more: tuple[str, Held, Mapping[str, JSON]]) -> dict[str, JSON]:
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
        {"exporter": exporter, "dataset": one.name, "title": one.title, "title_id": one.title_id, "reason": reason}
        for exporter, one, reason in LEFT_OUT[of.profile]
    ]
    kind = "tenant" if of.profile == "switch" else "user"
    return closing_document(of, 1, datasets=lines, not_included=left, subject_kind=kind)


def made(profile: str, *more: tuple[str, Held, Mapping[str, JSON]], contact: str | None = None) -> dict[str, JSON]:
    """notice.json of a made-up export."""
    of = replace(envelope(profile=profile), contact=contact)
    held = [held for _, held, _ in (*LEDGERS[profile], *more)]
    return notice.document(of, closing(of, *more), load(), held)

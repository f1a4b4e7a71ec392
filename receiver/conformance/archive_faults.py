"""Faults of archives: what a fault is called, which rule it breaks, and what verification says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from archive.verify.faults import FaultCode
from receiver.conformance.drafts import PROFILE, DraftVolume, Files, KitIssuer, MadeVolume, made
from receiver.conformance.signers import KitKey

FORMAT_PAGE = "docs/archive-format.md"
NAMES, THE_ZIP, SIGNATURE = f"{FORMAT_PAGE}#names", f"{FORMAT_PAGE}#the-zip", f"{FORMAT_PAGE}#signaturejwt"
CHECKING, COUNTS, EXPORT = f"{FORMAT_PAGE}#checking", f"{FORMAT_PAGE}#countsjson", f"{FORMAT_PAGE}#exportjson"
A_VOLUME, BAG_INFO = f"{FORMAT_PAGE}#a-volume", f"{FORMAT_PAGE}#bag-infotxt"
TEXT = "data/account/note.txt"
"""A payload file beside the table, for faults of files."""
REFUSED, TOO_LARGE = "archive_refused", "archive_too_large"
EITHER = (REFUSED, TOO_LARGE)
"""A receiver may find sizes before it verifies."""


@dataclass(frozen=True, slots=True)
class KitParty:
    """The issuer of a run, and the keys that are not valid: of a stranger, a revoked and a retired key."""

    issuer: KitIssuer
    transfer_key: KitKey
    stranger: KitKey
    revoked: KitKey
    retired: KitKey


Make = Callable[[KitParty], Sequence[MadeVolume]]


@dataclass(frozen=True, slots=True)
class ArchiveFaultCase:
    """A bad archive."""

    rule: str
    section: str
    code: FaultCode
    """What `portability verify` says, or `portability receive` when it unpacks."""
    make: Make
    receipts: Sequence[str] = (REFUSED,)
    """The codes that a receipt may have."""


Cases = Mapping[str, ArchiveFaultCase]


def good(party: KitParty) -> MadeVolume:
    """Return the volume that most faults are made from."""
    return made(draft(party))


def draft(party: KitParty, **more: object) -> DraftVolume:
    """Return that volume before it is written, with changes."""
    payload: Files = {**PROFILE, TEXT: b"a note\n"}
    return DraftVolume(party.issuer, **{"payload": payload, **more})  # type: ignore[arg-type]  # names and types are those of its fields


def with_file(party: KitParty, path: str, body: bytes = b"extra\n") -> list[MadeVolume]:
    """Return a volume with one more payload file that manifest and signature have."""
    return [made(draft(party, payload={**PROFILE, TEXT: b"a note\n", path: body}))]

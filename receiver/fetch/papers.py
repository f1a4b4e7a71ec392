"""The papers of a transfer in the target folder: they allow to send the receipt also when the link has ended.

`transfer.jwt` and `volumes.json` as they were received, `offer.json` with the addresses for keys and receipt (not the
link, which is a secret), and `proofs/`: what the receipt needs of each encrypted file, which is deleted before.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import orjson

from receiver.fetch import receipt, statement
from receiver.fetch.download import FetchPatience, sha256_of
from receiver.fetch.sender import Sender, TransferLinks
from receiver.fetch.statement import Parcel, Statement

STATEMENT, LIST, OFFER, PROOFS = "transfer.jwt", "volumes.json", "offer.json", "proofs"
RECEIPT_ID = "receipt.id"
"""Kept until the sender has answered the receipt."""
LATE = timedelta(days=30)
"""How long after the offer a sender accepts a receipt."""


@dataclass(frozen=True, slots=True)
class TransferPapers:
    """The statement of a transfer as it was fetched, or as an earlier run has kept it."""

    links: TransferLinks
    token: str
    late: timedelta = timedelta()
    """How long after its end the statement is still taken."""


def fetched(sender: Sender, links: TransferLinks) -> TransferPapers:
    """Fetch the statement. Raises SenderRefused, SenderUnavailable, BadStatement."""
    return TransferPapers(links, sender.statement(links))


def kept(target: Path, sender: Sender) -> TransferPapers | None:
    """Return the papers of an earlier run in this folder whose receipt is to be sent; None without complete papers."""
    try:
        offer = orjson.loads((target / OFFER).read_bytes())
        identifier, receipt_url, jwks_url = (str(offer[name]) for name in ("id", "receipt_url", "jwks_url"))
        token = (target / STATEMENT).read_text()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return TransferPapers(TransferLinks(identifier, "", sender.own(receipt_url), sender.own(jwks_url)), token, LATE)


def is_of(target: Path, transfer: object) -> bool:
    """Return whether a folder has the papers of this transfer."""
    try:
        return bool(orjson.loads((target / OFFER).read_bytes())["id"] == transfer)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def statement_in(target: Path) -> str:
    """Return the statement of the transfer that a folder is for; empty: none."""
    path = target / STATEMENT
    return path.read_text() if path.exists() else ""


def remember(target: Path, papers: TransferPapers) -> None:
    """Store the statement and the addresses of a transfer in its folder."""
    path, links = target / STATEMENT, papers.links
    addresses = {"id": links.id, "receipt_url": links.receipt_url, "jwks_url": links.jwks_url}
    write(target / OFFER, orjson.dumps(addresses))
    if not path.exists():
        write(path, papers.token.encode())


def complete(target: Path, sender: Sender, links: TransferLinks, said: Statement) -> Statement:
    """Return the statement with its volumes: from the list in the folder, or fetched.

    Raises: WrongList, SenderRefused, SenderUnavailable.
    """
    if not said.listed:
        return said
    path = target / LIST
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == said.listed.sha256:
        return statement.with_volumes(said, path.read_bytes())
    document = sender.volume_list(links, said.listed.size)
    whole = statement.with_volumes(said, document)
    write(path, document)
    return whole


def is_proven(target: Path, parcel: Parcel, nonce: bytes | None) -> bool:
    """Return whether there is a proof for a volume, or none is needed."""
    return not nonce or _proof(target, parcel).is_file()


def keep_proof(target: Path, parcel: Parcel, sent: Path, nonce: bytes | None, patience: FetchPatience) -> None:
    """Store the proof of an encrypted file before it is deleted. Raises Stopped, OSError."""
    if nonce is not None:
        (target / PROOFS).mkdir(mode=0o700, exist_ok=True)
        write(_proof(target, parcel), sha256_of(sent, patience, nonce).encode())


def possession(target: Path, parcels: Sequence[Parcel], nonce: bytes | None) -> str | None:
    """Return the digest that a receipt contains: SHA-256 over the proofs in the order of the list."""
    if not nonce:
        return None
    proofs = (bytes.fromhex(_proof(target, parcel).read_text()) for parcel in parcels)
    return hashlib.sha256(b"".join(proofs)).hexdigest()


def receipt_id(target: Path) -> str:
    """Return the id of the receipt that an earlier run may have sent, or a new id, which is kept. Raises OSError."""
    path = target / RECEIPT_ID
    kept = path.read_text(errors="replace") if path.is_file() else ""
    if re.fullmatch(r"[A-Za-z0-9_-]{32}", kept):
        return kept
    made = receipt.new_id()
    write(path, made.encode())
    return made


def forget_receipt_id(target: Path) -> None:
    """Forget the id of a receipt that the sender has answered."""
    (target / RECEIPT_ID).unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    part.rename(path)


def _proof(target: Path, parcel: Parcel) -> Path:
    return target / PROOFS / f"{parcel.plain.name}.sha256"

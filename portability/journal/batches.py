"""Batches: signed objects of the journal, each with events of the audit log and the images that belong to them.

A batch is a JWS with the key of audit heads. Its key is `journal/<deployment>/<writer>/<number>-<event>-<hash>.jws`,
with id and hash of its last event. Because each event contains the hash of the one before, a database that has the last
event has all of them: a listing is enough to find out whether it lacks any. A writer is a process on one day; its
batches are a chain. The day is that of the events, by the clock of the database: clocks of processes may be wrong.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from portability.api import JSON
from portability.api.errors import BadInput
from portability.api.storages import Storage
from portability.trust import keys
from portability.trust.signing import JOURNAL_TYPE, DatedKey, Jwks, PublicKey, check, sign

FOLDER = "journal"
KEPT_DAYS = 90
"""How long batches are kept: a backup that is older cannot be completed."""
NAME = re.compile(rf"{FOLDER}/[0-9a-f]{{32}}/((\d{{8}})-[0-9a-f]{{16}})/(\d{{6,}})-(\d+)-([0-9a-f]{{16}})\.jws")
HASH_DIGITS = 16
KID = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class BatchName:
    """What the key of a batch says."""

    key: str
    writer: str
    day: date
    number: int
    """From 1 for each writer."""
    event_id: int
    """Of its last event."""
    hash: str
    """The first 16 digits of that event's hash."""

    @classmethod
    def parse(cls, key: str) -> BatchName | None:
        """Parse a key; None for another object."""
        match = NAME.fullmatch(key)
        if not match:
            return None
        writer, day, number, event_id, hashed = match.groups()
        return cls(key, writer, datetime.strptime(day, "%Y%m%d").date(), int(number), int(event_id), hashed)  # noqa: DTZ007  # a day


def new_writer(day: date) -> str:
    """Return a name for a new chain: its day and 64 random bits."""
    return f"{day:%Y%m%d}-{secrets.token_hex(8)}"


def is_of_day(writer: str, day: date) -> bool:
    """Return whether a chain is that of a day: for the next day its process begins another chain."""
    return writer.startswith(f"{day:%Y%m%d}-")


def key_of(deployment: str, writer: str, number: int, last: Mapping[Any, Any]) -> str:
    """Return the key of a batch, given its last event."""
    return f"{FOLDER}/{deployment}/{writer}/{number:06}-{last['id']}-{last['hash'][:HASH_DIGITS]}.jws"


def signed(
    writer: str,
    number: int,
    previous: str,
    events: Sequence[Mapping[str, JSON]],
    images: Mapping[str, JSON],
    *,
    issuer: str,
    key: DatedKey,
) -> bytes:
    """Return a batch as it is stored.

    Args:
        writer: the chain.
        number: the batch's place in it.
        previous: SHA-256 of the batch before it; empty for the first.
        events: as `audit.view` gives them.
        images: what `Seals.seal` returned, by scope.
        issuer: the deployment.
        key: its key for audit heads.
    """
    claims: dict[str, JSON] = {
        "iss": issuer,
        "iat": key.iat,
        "writer": writer,
        "number": number,
        "previous": previous,
        "events": list(events),
        "images": dict(images),
    }
    return sign(claims, key.key, typ=JOURNAL_TYPE).encode()


def digest(body: bytes) -> str:
    """Return the SHA-256 of a stored batch, which the next batch of its chain contains."""
    return hashlib.sha256(body).hexdigest()


def listed(storage: Storage, deployment: str, since: date, until: date) -> Iterator[BatchName]:
    """Yield the batches of all writers of a deployment from a day to another, by listing only. Raises StorageError."""
    for day in range((until - since).days + 1):
        prefix = f"{FOLDER}/{deployment}/{since + timedelta(days=day):%Y%m%d}-"
        yield from filter(None, (BatchName.parse(found.key) for found in storage.list(prefix)))


def read(storage: Storage, name: BatchName, keys_folder: Path) -> tuple[Mapping[str, Any], str]:
    """Return the claims of a batch and its digest, checked with the key files of this machine.

    A restored database may lack the key. Raises: SignatureFault; BadInput if it is not the batch that its name says;
    StorageError.
    """
    body = b"".join(storage.read(name.key))
    claims = check(body.decode(errors="replace"), _known(keys_folder), typ=JOURNAL_TYPE)
    last = claims["events"][-1]
    stated = (claims["writer"], claims["number"], last["id"], last["hash"][:HASH_DIGITS])
    if stated != (name.writer, name.number, name.event_id, name.hash):
        raise BadInput(f"the batch {name.key} of the journal differs from what its name says")
    return claims, digest(body)


def _known(keys_folder: Path) -> Jwks:
    """Return the keys that may have signed a batch: files on this machine, which write access to storage cannot add."""
    found = (kid for kid in keys.kids(keys_folder, "audit") if KID.fullmatch(kid))
    return Jwks({kid: PublicKey(keys.known(keys_folder, kid), None, None) for kid in found})

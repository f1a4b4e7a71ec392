"""Pulls as files that only their owner can read: what was asked of another provider, with its key and tokens."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from portability.api import JSON
from portability.api.errors import BadInput
from portability.files import naming
from receiver.faults import UnknownRequest
from receiver.pulls.metadata import PullServer

ID = re.compile(r"ask_[0-9a-f]{20}")
ROOM_BYTES = 1 << 16
"""More than a record has: its file is filled up with spaces."""
VIEWED = ("provider", "asked", "allowed", "until", "fetched", "copy", "created_at", "ended_at")


@dataclass(frozen=True, slots=True)
class GrantedAccess:
    """The tokens of a consent."""

    access: str = field(repr=False)
    expires_at: float
    """When the access token ends, in seconds since 1970."""
    refresh: str | None = field(repr=False)
    """None: the consent is for one copy."""
    datasets: Sequence[str]
    """What the person has allowed."""


@dataclass(frozen=True, slots=True)
class PullRecord:
    """A request to a person at another provider, and what came of it."""

    id: str
    server: PullServer
    client_id: str
    redirect_uri: str
    datasets: Sequence[str]
    until: str | None
    """RFC 3339: until when it may fetch again; None: one copy."""
    created_at: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)
    key: Mapping[str, Any] = field(repr=False)
    """The private JWK that its tokens are bound to."""
    code: str = field(default="", repr=False)
    """What the person came back with, while it is exchanged for tokens."""
    granted: GrantedAccess | None = None
    copy: str | None = None
    """The copy that is being fetched."""
    fetched: int = 0
    """How many copies were fetched."""
    last: str | None = None
    """The last of them."""
    ended_at: str | None = None
    lapsed: bool = False
    """Whether the provider has refused the refresh token for ever."""

    @property
    def standing(self) -> str:
        """Return what came of the request; `expired`: its tokens or its consent have ended."""
        if self.ended_at:
            return "ended"
        if not self.granted:
            return "asked"
        present = time.time()
        is_over = self.until and datetime.fromisoformat(self.until).timestamp() <= present
        is_last = not self.granted.refresh and self.granted.expires_at <= present
        return "expired" if self.lapsed or is_over or is_last else "allowed"

    def view(self) -> dict[str, JSON]:
        """Return the record as JSON, without secrets."""
        allowed = None if self.granted is None else list(self.granted.datasets)
        return {
            "id": self.id,
            "provider": self.server.domain,
            "state": self.standing,
            "asked": list(self.datasets),
            "allowed": allowed,
            "until": self.until,
            "fetched": self.fetched,
            "copy": self.copy,
            "created_at": self.created_at,
            "ended_at": self.ended_at,
        }


def save(folder: Path, record: PullRecord) -> None:
    """Write a record, whole or not at all. Raises OSError."""
    with reserved(folder, record.id) as store:
        store(record)


@contextmanager
def reserved(folder: Path, identifier: str) -> Iterator[Callable[[PullRecord], None]]:
    """Reserve room on the disk for the next form of a record; yields the function that stores it there.

    Tokens are answered once: a disk that is full is found before they are asked for. What is stored is on the disk when
    the function returns, whole or not at all. Raises OSError, UnknownRequest.
    """
    path = _path(folder, identifier)
    part = path.with_name(f"{path.name}.part")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:

        def write(content: bytes) -> None:
            with naming(folder):
                file.write(content)
                file.flush()
                os.fsync(handle)

        def store(record: PullRecord) -> None:
            content = orjson.dumps(asdict(record))
            file.seek(0)
            write(content + b" " * (ROOM_BYTES - len(content)))
            part.rename(path)

        try:
            write(b" " * ROOM_BYTES)
            yield store
        finally:
            part.unlink(missing_ok=True)


def load(folder: Path, identifier: str) -> PullRecord:
    """Read a record. Raises UnknownRequest; BadInput if its file is damaged."""
    path = _path(folder, identifier)
    if not path.is_file():
        raise UnknownRequest(f"no request to another provider has the id {identifier!r}")
    try:
        known = orjson.loads(path.read_bytes())
        granted = known["granted"] and GrantedAccess(**known["granted"])
        return PullRecord(**{**known, "server": PullServer(**known["server"]), "granted": granted})
    except (orjson.JSONDecodeError, KeyError, TypeError):
        hint = f"delete {path}, and begin a new request; the person can withdraw a consent at the provider"
        raise BadInput(f"the file of the request {identifier} is damaged", hint=hint) from None


def views(folder: Path) -> Sequence[Mapping[str, JSON]]:
    """Return all records as JSON, the oldest first; of one whose file is damaged only its id is known.

    Raises: OSError if the folder cannot be read.
    """
    try:
        names = [path.stem for path in folder.iterdir() if path.suffix == ".json" and ID.fullmatch(path.stem)]
    except FileNotFoundError:
        return ()
    seen = (_view(folder, name) for name in names)
    return sorted(seen, key=lambda view: (str(view["created_at"] or ""), str(view["id"])))


@contextmanager
def alone(folder: Path, identifier: str) -> Iterator[PullRecord]:
    """Read a record that no other process uses meanwhile: a refresh token counts once.

    Raises: UnknownRequest; BadInput if another process uses it.
    """
    record = load(folder, identifier)
    handle = os.open(folder / f"{record.id}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"another run uses the request {identifier}", hint="wait until it ends") from None
        yield load(folder, identifier)
    finally:
        os.close(handle)


def ended(record: PullRecord, at: str) -> PullRecord:
    """Return the record of a consent that has ended, without any secret."""
    return replace(record, granted=None, key={}, state="", verifier="", code="", copy=None, ended_at=at)


def _view(folder: Path, identifier: str) -> dict[str, JSON]:
    try:
        return load(folder, identifier).view()
    except BadInput:
        return {"id": identifier, "state": "damaged", **dict.fromkeys(VIEWED)}


def _path(folder: Path, identifier: str) -> Path:
    if not ID.fullmatch(identifier):
        raise UnknownRequest(f"no request to another provider has the id {identifier!r}")
    return folder / f"{identifier}.json"

"""Sources and subjects for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from portability.api import FileStore, Identity, Rate, SharedState, Subject, SubjectKind
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.api.nouns import first_identity

if TYPE_CHECKING:
    from sqlalchemy import Engine

BLOCK_BYTES = 4096
UNKNOWN = "nobody-0000000000000000"


class MemoryState:
    """A `SharedState` for one process: it counts calls, and keeps secrets in memory."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self._calls: dict[str, list[float]] = {}
        self._paused_until: dict[str, float] = {}
        self._lock = threading.RLock()

    def take(self, rates: Sequence[Rate]) -> float:
        with self._lock:
            now = time.monotonic()
            waits = [self._paused_until.get(rate.bucket, 0.0) - now for rate in rates]
            waits += [self._full_for(rate, now) for rate in rates]
            if (longest := max(waits, default=0.0)) > 0:
                return longest
            for rate in rates:
                self._calls.setdefault(rate.bucket, []).append(now)
            return 0.0

    def _full_for(self, rate: Rate, now: float) -> float:
        recent = [at for at in self._calls.get(rate.bucket, ()) if at > now - rate.seconds]
        return recent[-rate.calls] + rate.seconds - now if len(recent) >= rate.calls else 0.0

    def pause(self, bucket: str, seconds: float) -> None:
        with self._lock:
            until = time.monotonic() + seconds
            self._paused_until[bucket] = max(until, self._paused_until.get(bucket, 0.0))

    def secret(self, name: str, is_current: Callable[[str], bool], renew: Callable[[str | None], str]) -> str:
        with self._lock:
            stored = self.secrets.get(name)
            if stored is None or not is_current(stored):
                self.secrets[name] = stored = renew(stored)
            return stored


@dataclass(frozen=True, slots=True)
class SampleSources:
    """`Sources` for a test: an engine and a file store of the test's own, and state of this process."""

    database: Engine
    files: FileStore
    shared: SharedState = field(default_factory=MemoryState)
    seconds: float = 300.0

    @property
    def control(self) -> Engine:
        """Return the test's engine."""
        return self.database


class MemoryFiles:
    """A `FileStore` in memory; tests may change its contents while it is read."""

    def __init__(self, contents: Mapping[str, bytes] | None = None) -> None:
        self.contents = dict(contents or {})

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        if key not in self.contents:
            raise SourceRefused("missing: the file does not exist", reason="missing")
        content = self.contents[key]
        if etag not in {None, _etag(content)}:
            raise SourceUnavailable("changed: the file has another version", reason="changed")
        for begin in range(offset, len(content), BLOCK_BYTES):
            yield content[begin : begin + BLOCK_BYTES]

    def stat(self, key: str) -> tuple[int, str] | None:
        content = self.contents.get(key)
        return None if content is None else (len(content), _etag(content))


def sample_subject(kind: SubjectKind, identifier: str, *identities: Identity, tenant: str | None = None) -> Subject:
    """Make a subject as the host does: with the identity that the request names, and the given identities."""
    tenant = identifier if kind is SubjectKind.TENANT else tenant
    return Subject(kind, tenant, "sub_sample", (first_identity(kind, identifier, tenant), *identities))


def other_subjects(subject: Subject) -> Iterator[tuple[str, Subject]]:
    """Yield subjects that resemble the given one, and for whom an exporter must find nothing."""
    identities = subject.identities
    yield "without identities", replace(subject, identities=())
    yield "with unknown identifiers", replace(subject, identities=tuple(replace(i, value=UNKNOWN) for i in identities))
    unverified = tuple(replace(i, verified=False) for i in identities)
    yield "with unverified identities only", replace(subject, identities=unverified)
    moved = tuple(replace(i, tenant=UNKNOWN) for i in identities if i.tenant is not None)
    yield "with identities at another tenant only", replace(subject, identities=moved)
    if subject.tenant is not None:
        yield "of another tenant", replace(subject, tenant=UNKNOWN, identities=moved)


def _etag(content: bytes) -> str:
    return sha256(content).hexdigest()

"""Sources and subjects for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from sqlalchemy import Engine

from portability.api import FileStore, Identity, Subject, SubjectKind
from portability.errors import SourceRefused, SourceUnavailable
from portability.subjects import first_identity

BLOCK_BYTES = 4096
UNKNOWN = "nobody-0000000000000000"


@dataclass(frozen=True, slots=True)
class SampleSources:
    """`Sources` for a test: an engine and a file store of the test's own."""

    database: Engine
    files: FileStore


class MemoryFiles:
    """A `FileStore` in memory; what it holds may be changed while it is read, to see what an exporter does."""

    def __init__(self, contents: Mapping[str, bytes] | None = None) -> None:
        self.contents = dict(contents or {})

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        if key not in self.contents:
            raise SourceRefused("missing: there is no such file")
        content = self.contents[key]
        if etag not in {None, _etag(content)}:
            raise SourceUnavailable("changed: the file is another version")
        for begin in range(offset, len(content), BLOCK_BYTES):
            yield content[begin : begin + BLOCK_BYTES]

    def stat(self, key: str) -> tuple[int, str] | None:
        content = self.contents.get(key)
        return None if content is None else (len(content), _etag(content))


def sample_subject(kind: SubjectKind, identifier: str, *identities: Identity, tenant: str | None = None) -> Subject:
    """A subject as the host makes it: with the identity that the request names, and the given ones."""
    tenant = identifier if kind is SubjectKind.TENANT else tenant
    return Subject(kind, tenant, "sub_sample", (first_identity(kind, identifier, tenant), *identities))


def strangers(subject: Subject) -> Iterator[tuple[str, Subject]]:
    """Subjects that resemble the given one, and of whom an exporter must find nothing."""
    identities = subject.identities
    yield "without identities", replace(subject, identities=())
    yield "with unknown identifiers", replace(subject, identities=tuple(replace(i, value=UNKNOWN) for i in identities))
    unverified = tuple(replace(i, verified=False) for i in identities)
    yield "with unverified identities only", replace(subject, identities=unverified)
    walled = tuple(replace(i, tenant=UNKNOWN) for i in identities if i.tenant is not None)
    yield "known to another tenant only", replace(subject, identities=walled)
    if subject.tenant is not None:
        yield "of another tenant", replace(subject, tenant=UNKNOWN, identities=walled)


def _etag(content: bytes) -> str:
    return sha256(content).hexdigest()

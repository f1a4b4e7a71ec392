"""The values that go into a volume and come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from portability.api import Dataset, Provenance, Role

if TYPE_CHECKING:  # to verify an archive, nobody reads a register
    from portability.notice import Register

FORMAT = "portability/1"
MemberState = Literal["complete", "truncated"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all volumes of an export have in common; times are aware UTC."""

    issuer: str
    """Who signs: the URL below which `/.well-known/jwks.json` lies."""
    export: str
    subject: str
    """Pairwise reference, opaque."""
    profile: str
    revision: int
    requested_at: datetime
    produced_at: datetime
    contact: str | None = None
    """Whom to ask: an address or URL of the issuer, never of the subject."""
    register: Register | None = None
    """What is said of the processing; None: nothing is told of it."""

    @property
    def group(self) -> str:
        """The name that all volumes begin with."""
        return f"vlint-export-{self.export}"

    def volume_name(self, number: int) -> str:
        """Of a volume: its folder inside the ZIP, and its file name without `.zip`."""
        return f"{self.group}-{number:03}"


@dataclass(frozen=True, slots=True)
class Content:
    """What a payload member is, for datapackage.json and README.html."""

    exporter: str
    dataset: Dataset
    media_type: str
    records: int | None = None
    """None where the member is neither a table nor the document of a record."""
    file: str | None = None
    """The File's own name as its exporter gave it, where the member is one or a piece of one."""
    state: MemberState = "complete"


@dataclass(frozen=True, slots=True)
class Member:
    """A payload file as it was written; `path` is relative to the volume's folder and begins with `data/`."""

    path: str
    bytes: int
    sha256: str
    content: Content


NO_DATA_PATH = "empty.txt"
NO_DATA_TEXT = b"This volume holds no data.\nVolume ini tidak berisi data.\n"
NO_DATA = Content(
    exporter="portability",
    dataset=Dataset(
        name="empty",
        title="No data",
        description="Stands in a volume without data: a bag has a payload (RFC 8493 section 2.1.2).",
        fields=(),
        provenance=Provenance.OBSERVED,
        role=Role.CONTROLLER,
        key=(),
    ),
    media_type="text/plain",
)


@dataclass(frozen=True, slots=True)
class SealedVolume:
    """A finished ZIP. `members` counts all its entries, `files` and `payload_bytes` those below `data/`."""

    number: int
    name: str
    bytes: int
    sha256: str
    """Of the whole ZIP, lower-case hex."""
    tagmanifest_sha256: str
    members: int
    files: int
    payload_bytes: int

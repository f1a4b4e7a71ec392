"""Values that a volume is written from, and those that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from portability.api import Dataset, Provenance, Role

if TYPE_CHECKING:  # verification does not need the register
    from portability.law.notice import Register

FORMAT = "portability/1"
MemberState = Literal["complete", "truncated"]


@dataclass(frozen=True, slots=True)
class ArchiveBrand:
    """How the issuer presents itself."""

    name: str | None = None
    """None: pages name the issuer's address alone."""
    prefix: str = "export"
    """What the names of volumes begin with."""
    style: str = ""
    """A rule with the issuer's colours for the pages of the archive (portability/brand.py)."""
    accent: str = ""
    """The issuer's colour on paper; empty: the usual colour."""


@dataclass(frozen=True, slots=True)
class ArchiveFeed:
    """The place of an archive in its feed."""

    number: int
    before: int | None
    """The number of the archive that it follows; None: it is the first, and contains everything."""
    before_at: datetime | None = None
    """When that archive was ready; None: unknown."""


@dataclass(frozen=True, slots=True)
class VolumeMetadata:
    """What all volumes of an export have in common; times are aware UTC."""

    issuer: str
    """The signer: the URL below which `/.well-known/jwks.json` lies."""
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
    """The notice register that describes the processing; None: without one."""
    brand: ArchiveBrand = ArchiveBrand()
    feed: ArchiveFeed | None = None
    """None: the archive belongs to no feed."""

    @property
    def sender(self) -> str:
        """Return the name on the pages of the archive: the brand with the issuer's address."""
        return f"{self.brand.name} ({self.issuer})" if self.brand.name else self.issuer

    @property
    def group(self) -> str:
        """Return the beginning of the names of all volumes."""
        return f"{self.brand.prefix}-{self.export}"

    def volume_name(self, number: int) -> str:
        """Return the name of a volume: of its folder inside the ZIP, and of its file without `.zip`."""
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
    """The name that the exporter gave the File, where the member is a File or a piece of a File."""
    state: MemberState = "complete"
    corrects: bool = False
    """True where its records replace records with the same key in earlier volumes."""
    form: str | None = None
    """The name of the form, where the member is a copy of records of this volume for a purpose."""
    losses: Mapping[str, int] = field(default_factory=dict)
    """How often something in a form is not as in the records, by code."""

    @property
    def has_dataset_records(self) -> bool:
        """Whether the member has the records of its dataset, and is neither a File nor a form."""
        return self.records is not None and not self.file and not self.form


@dataclass(frozen=True, slots=True)
class Member:
    """A payload file as it was written; `path` is relative to the volume's folder and begins with `data/`."""

    path: str
    bytes: int
    sha256: str
    content: Content


NO_DATA_PATH = "empty.txt"
NO_DATA = Content(
    exporter="portability",
    dataset=Dataset(
        name="empty",
        title="No data",
        description="The file of a volume without data: a bag has a payload (RFC 8493 section 2.1.2).",
        fields=(),
        provenance=Provenance.OBSERVED,
        role=Role.CONTROLLER,
        key=(),
    ),
    media_type="text/plain",
)
FORMS = (
    "portability",
    Dataset(
        name="forms",
        title="Other forms of the data",
        description="Copies of the records of this volume for a purpose, such as a workbook or an address book.",
        fields=(),
        provenance=Provenance.OBSERVED,
        role=Role.CONTROLLER,
        key=(),
    ),
)
"""What members in other forms belong to: they hold records of several datasets."""
REFUSED = "refused"
"""The loss of a form that a value made impossible: its file says so."""


@dataclass(frozen=True, slots=True)
class SealedVolume:
    """A finished ZIP. `members` counts all its entries, `files` and `payload_bytes` those below `data/`."""

    number: int
    name: str
    bytes: int
    sha256: str
    """Of the whole ZIP, lower-case hex."""
    tagmanifest_sha256: str
    kid: str
    """Of the key that signed it."""
    members: int
    files: int
    payload_bytes: int

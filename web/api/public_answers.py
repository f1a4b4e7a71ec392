"""Answers of the addresses without login, and of erasure holds, as OpenAPI documents them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from portability.api import FieldType, Person, Provenance, Role, SubjectKind, WithheldKind
from portability.coverage.state import CoverageState
from portability.law.notice.entries import LANGUAGE, BasisKind, PeriodStart
from portability.law.profiles import Profile
from portability.law.regime import EXTENSION, FigureOrigin, RegimeOrigin
from portability.retention.erasure_holds import HoldReason
from portability.trust.keys import PURPOSES
from web.api import texts
from web.api.texts import Country, Moment, PluginName, Prose

ByLanguage = Annotated[dict[str, Prose], texts.documented(propertyNames={"pattern": LANGUAGE})]
Translations = dict[str, ByLanguage]
"""By the name of the text, then by language."""
FigureNames = texts.documented(propertyNames={"enum": [*map(str, Profile), EXTENSION]})
Version = Annotated[str, Field(pattern=r"^portability/[0-9]+$")]
Duration = Annotated[str, Field(pattern=r"^P(\d+Y)?(\d+M)?(\d+D)?$")]
"""ISO 8601, in years, months or days."""
MediaType = Annotated[str, Field(pattern=r"^[!-~]+/[ -~]+$")]
Suffix = Annotated[str, Field(pattern=r"^\.[A-Za-z0-9._-]+$")]


KeyId = Annotated[str, Field(pattern=rf"^({'|'.join(PURPOSES)})-[0-9]{{8}}-[0-9a-f]{{8}}$")]


class HealthAnswer(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class PublicKeyAnswer(BaseModel):
    """A public key (RFC 7517), with two members of this software."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: texts.Base64Url
    y: texts.Base64Url
    kid: KeyId
    use: Literal["sig"]
    alg: Literal["ES256"]
    retired_at: Moment = texts.left_out()
    revoked_at: Moment = texts.left_out()


class KeySetAnswer(BaseModel):
    """The public keys that verify archives, retired keys too."""

    keys: list[PublicKeyAnswer]


class PeriodAnswer(BaseModel):
    """A length of time as a law states it: one of the numbers."""

    months: int = texts.left_out()
    days: int = texts.left_out()
    hours: int = texts.left_out()


class RegimeAnswer(BaseModel):
    """A law with a deadline (docs/regimes.md)."""

    name: texts.RegimeName
    title: Prose
    source: Prose | None = Field(description="The official text: an address, or what the deployment says of its own")
    checked: Prose | None
    described_by: RegimeOrigin
    profiles: list[Profile]
    period: PeriodAnswer
    extended_period: PeriodAnswer | None
    figures: Annotated[dict[str, FigureOrigin], FigureNames] = Field(description="By profile, and for `extension`")
    subject_kinds: list[SubjectKind]
    countries: list[Country]
    some_tenants_only: bool


class RegimeList(BaseModel):
    """The laws that apply to this deployment."""

    regimes: list[RegimeAnswer]


class HeldSubjectAnswer(BaseModel):
    """A subject whose data must not be erased now."""

    subject: texts.SubjectName
    tenant: texts.KnownTenant | None
    reasons: list[HoldReason]
    exports: list[texts.ExportId]


class HoldList(BaseModel):
    """The subjects whose data must not be erased now."""

    erasure_holds: list[HeldSubjectAnswer]


class VersionAnswer(BaseModel):
    """A version: the archive format, and the SHA-256 of the content."""

    format: Version
    sha256: texts.Sha256


class NoticeAnswer(BaseModel):
    """The version of the notice register."""

    version: Prose
    valid_from: date


class FormatAnswer(BaseModel):
    """A format of an archive's files."""

    name: PluginName
    suffix: Suffix
    media_type: MediaType


class FieldAnswer(BaseModel):
    """A field of a dataset."""

    name: Prose
    type: FieldType
    description: Prose
    translations: Translations
    provenance: Provenance
    third_party: bool
    person: Person | None


class WithheldAnswer(BaseModel):
    """What a dataset stores and an archive never contains."""

    name: Prose
    what: Prose
    reason: Prose
    translations: Translations
    kind: WithheldKind


class PurposeAnswer(BaseModel):
    """A purpose with its legal basis."""

    purpose: Prose
    basis: Prose
    kind: BasisKind


class RetentionAnswer(BaseModel):
    """How long data is kept."""

    name: Prose
    title: ByLanguage
    begins: PeriodStart = Field(json_schema_extra={"title": "PeriodStart"})
    shortest: Duration
    longest: Duration = texts.left_out("Without it: as the shortest")


class RegisteredDataset(BaseModel):
    """A dataset of the register (docs/register.md); what comes from the notice is left out without a notice."""

    exporter: PluginName
    dataset: PluginName
    title: Prose
    description: Prose
    translations: Translations
    provenance: Provenance
    role: Role
    subject_kinds: list[SubjectKind]
    key: list[Prose]
    documents: bool
    fields: list[FieldAnswer]
    withheld: list[WithheldAnswer]
    portable: bool
    category: Prose = texts.left_out()
    digital_asset: bool = texts.left_out()
    purposes: list[PurposeAnswer] = texts.left_out()
    retention: RetentionAnswer = texts.left_out()
    recipients: list[Prose] = texts.left_out()
    decisions: list[Prose] = texts.left_out()
    version: VersionAnswer


class CoverageAnswer(BaseModel):
    """The last check of a declared source (docs/coverage.md)."""

    source: PluginName
    state: CoverageState
    undecided: int = Field(ge=0)


class RegisterAnswer(BaseModel):
    """The dataset register."""

    version: VersionAnswer
    format: Version
    notice: NoticeAnswer
    standards: list[Prose]
    formats: list[FormatAnswer]
    datasets: list[RegisteredDataset]
    coverage: list[CoverageAnswer] = texts.left_out("Without it: no source is declared")

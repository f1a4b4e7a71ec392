"""Answers about exports, their links and the request log, as OpenAPI documents them; the engine makes them as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from portability.api import SubjectKind
from portability.delivery.links import Audience
from portability.law.deadlines import Alarm
from portability.law.profiles import Profile
from portability.law.regime import FigureOrigin
from portability.requests.approvals import Cause, DenialBasis
from portability.requests.ledger_lines import NOT_ORDERED, TENANT_REASONS
from portability.requests.outcome import OwnOutcome, ProcessorOutcome
from portability.requests.policy import ActorRole
from portability.requests.request_log import AnswerNature
from portability.requests.states import DatasetState, ExportState
from web.api import texts
from web.api.texts import Country, Moment, Prose, Pseudonym

AttestationId = Annotated[str, Field(pattern=r"^att_[0-9a-f]{20}$")]
ChannelUsed = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
DatasetReason = Annotated[str, texts.EnumOf("DatasetReason", lambda: (NOT_ORDERED, *TENANT_REASONS))]


class OutcomeAnswer(BaseModel):
    """What the archive answers: for the data that the deployment decides over, and for the data of companies."""

    own: OwnOutcome
    processor: ProcessorOutcome


class DueAnswer(BaseModel):
    """Which law set the due date, and whether its figure is the law's."""

    regime: texts.RegimeName
    figure: FigureOrigin


class ProgressAnswer(BaseModel):
    """How far an export is; callers who see the state only get the numbers of datasets."""

    datasets: int
    datasets_expected: int
    records: int = texts.left_out()
    files: int = texts.left_out()
    bytes: int = texts.left_out()
    records_expected: int | None = texts.left_out("null: an exporter cannot count")
    bytes_expected: int | None = texts.left_out("null: an exporter cannot count")
    slices: int = texts.left_out()
    slices_expected: int = texts.left_out()


class DatasetAnswer(BaseModel):
    """A dataset of an export."""

    exporter: texts.PluginName
    dataset: texts.PluginName
    state: DatasetState
    records: int
    files: int
    gaps: int
    reason: DatasetReason = texts.left_out("Why it is not in the export")
    explanation: Prose | None = texts.left_out("The reason as a sentence; null: it has none")
    tenants: list[Prose] = texts.left_out("The companies that decide over it")
    redactions: dict[str, int] = texts.left_out("Replaced values, by rule")
    findings: dict[str, int] = texts.left_out("Reported values, by rule")


class VolumeAnswer(BaseModel):
    """A file of the archive."""

    number: int
    name: texts.FileName
    bytes: int
    sha256: texts.Sha256


class AttestationAnswer(BaseModel):
    """The signed statement of a deletion (docs/retention.md)."""

    id: AttestationId
    issued_at: Moment
    token: texts.Jws


class ErrorAnswer(BaseModel):
    """Why an export failed."""

    code: texts.ErrorName
    message: Prose | None


class FailedRevisionAnswer(BaseModel):
    """A revision that was given up; the archive before it stays ready."""

    revision: int
    code: texts.ErrorName
    at: Moment


class LinkAnswer(BaseModel):
    """A download link, without its address."""

    id: texts.LinkId
    audience: Audience
    created_at: Moment
    expires_at: Moment
    revoked_at: Moment | None


class NewLinkAnswer(BaseModel):
    """A new download link with its address, which no other answer contains."""

    id: texts.LinkId
    audience: Audience
    expires_at: Moment
    url: texts.LinkUrl


class ShownExport(BaseModel):
    """An export; callers who see the state only get no datasets, volumes, attestations and links."""

    id: texts.ExportId
    state: ExportState
    complete: bool | None
    outcome: OutcomeAnswer | None
    profile: Profile
    subject: Pseudonym
    subject_kind: SubjectKind
    received_at: Moment
    due_at: Moment
    due_by: DueAnswer | None
    residence: Country | None
    notice_ends_at: Moment | None
    retrieval_ends_at: Moment | None
    alarm: Alarm
    review: list[Cause]
    began_at: Moment | None
    ended_at: Moment | None
    revision: int
    failed_revision: FailedRevisionAnswer | None
    cancel_requested: bool
    progress: ProgressAnswer
    datasets: list[DatasetAnswer] = texts.left_out()
    volumes: list[VolumeAnswer] = texts.left_out()
    erased_at: Moment | None
    attestations: list[AttestationAnswer] = texts.left_out()
    links: list[LinkAnswer] = texts.left_out()
    error: ErrorAnswer | None


class ListedExport(BaseModel):
    """An export in a list."""

    id: texts.ExportId
    state: ExportState
    complete: bool | None
    profile: Profile
    subject: Pseudonym
    subject_kind: SubjectKind
    error_code: texts.ErrorName | None
    received_at: Moment
    due_at: Moment
    ended_at: Moment | None


class ExportPage(BaseModel):
    """A page of exports."""

    exports: list[ListedExport]
    next: texts.Cursor | None


class LoggedRequest(BaseModel):
    """A request in the request log."""

    id: texts.ExportId
    state: ExportState
    complete: bool | None
    profile: Profile
    subject_kind: SubjectKind
    subject_ref: Pseudonym
    channel: ChannelUsed
    error_code: texts.ErrorName | None
    requested_by: ActorRole
    reason: Prose | None
    received_at: Moment
    due_at: Moment
    began_at: Moment | None
    ended_at: Moment | None
    responded_at: Moment | None
    response: AnswerNature | None
    basis: DenialBasis | None
    denial: Prose | None
    outcome_own: OwnOutcome | None
    outcome_processor: ProcessorOutcome | None


class RequestPage(BaseModel):
    """A page of the request log."""

    requests: list[LoggedRequest]
    next: texts.Cursor | None

"""Answers about received transfers, as OpenAPI documents them; the engine makes them as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from portability.api import SubjectKind
from portability.inbox.decisions import ConflictRule
from portability.inbox.differences import DifferenceKind
from portability.inbox.states import DeclineReason, ReceiptState, ReceivedState
from portability.law.profiles import Profile
from portability.messages.recipient_notices import NoticeKind
from web.api import texts
from web.api.texts import Label, Moment, Prose

SentId = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
COMPARISON = r"^[0-9a-f]{32}$"
Comparison = Annotated[str, Field(pattern=COMPARISON)]
ImportId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Count = Annotated[int, Field(ge=0)]
DatasetPath = Annotated[str, Field(max_length=250)]
Value = Annotated[str, Field(max_length=301)] | bool | None
"""A value as text, cut to 300 characters; `conflict` and `taken` are true or false."""


class SenderAnswer(BaseModel):
    """Who has sent a transfer."""

    id: texts.SenderId
    name: Label
    issuer: Annotated[str, Field(max_length=500)]


class DatasetChanges(BaseModel):
    """Records of a dataset, counted as in docs/importing.md#the-report."""

    exporter: texts.PluginName
    dataset: Label
    new: Count
    changed: Count
    same: Count
    kept: Count
    conflicts: Count
    refused: Count
    quarantined: Count
    not_imported: list[Label] = Field(description="Fields with values that are never imported without a mapping")


class LeftDataset(BaseModel):
    """A dataset that is not imported."""

    exporter: texts.PluginName
    dataset: Label
    reason: Prose


class ReportAnswer(BaseModel):
    """What an import changes or has changed."""

    datasets: list[DatasetChanges]
    left: list[LeftDataset]


class RowThatStays(BaseModel):
    """A row that was changed here after its import: these columns stay, or the whole row."""

    table: Label
    id: Label
    action: Annotated[str, Field(pattern=r"^(new|changed|seen|deleted)$")]
    fields: list[Label]


class UndoneAnswer(BaseModel):
    """What undoing an import has done."""

    removed: Count
    restored: Count
    files: Count
    conflicts: Count = Field(description="Rows that stay because of later changes")
    kept: Annotated[list[RowThatStays], Field(max_length=100, description="The first of them")]


class ReceivedAnswer(BaseModel):
    """A transfer that another provider has sent."""

    id: texts.ReceivedId
    state: ReceivedState
    sender: SenderAnswer
    transfer: SentId = Field(description="Its id at the sender")
    profile: Profile | None
    archive_kind: SubjectKind | None = Field(description="What kind of subject the archive is about")
    archive_subject: Label | None = Field(description="The sender's pseudonym of the subject")
    archive_export: Label | None
    revision: Count | None
    consent: Label | None = Field(description="The consent at the sender")
    volumes: Count | None
    files: Count | None
    bytes: Count | None
    subject: texts.SubjectName | None = Field(description="Whose data it is here; null: no officer has said it yet")
    tenant: texts.KnownTenant | None
    company: texts.KnownTenant | None
    on_conflict: ConflictRule | None
    comparison: Comparison | None = Field(description="Id of the difference; an import names it")
    import_id: ImportId | None
    reason: DeclineReason | None
    error_code: texts.ErrorName | None
    notice: NoticeKind | None = Field(description="The sender's notice about it; of several the one that asks most")
    receipt: ReceiptState | None
    report: ReportAnswer | None = Field(description="What an import changes or has changed")
    undone: UndoneAnswer | None = Field(description="What undoing the import has done; null: it was not undone")
    offer_ends_at: Moment
    created_at: Moment
    fetched_at: Moment | None
    decided_at: Moment | None
    ended_at: Moment | None
    noticed_at: Moment | None
    receipted_at: Moment | None


class ReceivedList(BaseModel):
    """A page of the received transfers, the newest first; those that await a decision come before the others."""

    received: list[ReceivedAnswer]
    next: texts.Cursor | None


class DifferenceRecord(BaseModel):
    """A record that an import would make or change, or that has no place."""

    number: Annotated[int, Field(ge=1)]
    dataset: DatasetPath
    what: DifferenceKind
    id: Prose | None
    reason: texts.ErrorName | None = None
    field: Label | None = None
    fields: dict[str, dict[str, Value]] = Field(description="By field: `base`, `ours`, `theirs`, `conflict`, `taken`")


class DifferenceAnswer(BaseModel):
    """A part of the difference."""

    differences: list[DifferenceRecord]
    after: Annotated[int, Field(ge=1)] | None = Field(
        description="Where the next part begins; null: this is the last part"
    )

"""Answers about recipients, authorisations and transfers, as OpenAPI documents them; the engine makes them as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from portability.api import SubjectKind
from portability.law.countries import Mechanism
from portability.messages.recipient_notices import NoticeKind, NoticeState
from portability.requests.states import TransferState
from portability.requests.transfer_ends import TransferEnd
from portability.transfers.recipients import RecipientState
from portability.transfers.sending import TransferStep
from web.api import texts
from web.api.texts import Country, Label, Moment, Prose, Pseudonym

NormalAgeKey = Annotated[str, Field(pattern=r"^age1[02-9ac-hj-np-z]{58}$")]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{4}( [0-9a-f]{4}){7}$")]
Domain = Annotated[str, Field(max_length=253), texts.documented(format="hostname")]
Acknowledgement = Annotated[str, Field(max_length=4096, pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}$")]
WebhookSecret = Annotated[str, Field(pattern=r"^whsec_[A-Za-z0-9+/]{43}=$")]


class RecipientAnswer(BaseModel):
    """A recipient: another provider that data may be sent to."""

    id: texts.RecipientId
    name: Label
    domain: Domain
    country: Country
    mechanism: Mechanism
    safeguard: Prose | None
    datasets: list[texts.ScopeName] | None = Field(description="What it may receive; null: everything")
    state: RecipientState
    age_key: NormalAgeKey
    jwks_url: texts.Address
    webhook_url: texts.Address
    redirect_uris: list[texts.Address] = Field(description="Where people return to after a consent that it asks for")
    fingerprint: Fingerprint
    created_at: Moment
    approved_at: Moment | None
    removed_at: Moment | None
    proven_at: Moment | None = Field(description="When it proved that its key, key set and webhook are its own")
    rotated_at: Moment | None = Field(description="When it got its present key")


class NewRecipientAnswer(RecipientAnswer):
    """A new recipient with its webhook secret, which no other answer contains."""

    webhook_secret: WebhookSecret
    proof_fault: texts.ErrorName | None = Field(description="Why it has not proved its keys yet; null: it has")


class RecipientList(BaseModel):
    """A page of the recipients, the oldest first."""

    recipients: list[RecipientAnswer]
    next: texts.Cursor | None


class AuthorisationAnswer(BaseModel):
    """What may be sent to which recipient, and until when."""

    id: texts.GivenId
    recipient_id: texts.RecipientId
    recipient: Label
    domain: Domain
    subject_kind: SubjectKind
    datasets: list[texts.ScopeName]
    once: bool
    evidence: Label | None
    stands: bool = Field(description="Whether it is in force now")
    confirmed: bool
    lapsed: bool = Field(description="Whether the recipient did not fetch in time: it has to ask the person again")
    pull: bool = Field(description="Whether the recipient asked for it, and fetches the data itself")
    subject: Pseudonym
    created_at: Moment
    countersigned_at: Moment | None = Field(description="When a second person saw the signed consent")
    expires_at: Moment | None
    used_at: Moment | None
    revoked_at: Moment | None


class AuthorisationList(BaseModel):
    """Authorisations, the newest first."""

    authorisations: list[AuthorisationAnswer]


class NamedRecipient(BaseModel):
    """The recipient of a transfer."""

    id: texts.RecipientId
    name: Label
    domain: Domain
    country: Country


class StepAnswer(BaseModel):
    """An event of a transfer."""

    what: TransferStep
    at: Moment


class RecipientNoticeAnswer(BaseModel):
    """A notice to the recipient about a change after the transfer."""

    id: texts.NoticeId
    export_id: texts.ExportId = Field(description="Whose archive was sent; its record may be deleted by now")
    transfer_id: texts.TransferId
    recipient_id: texts.RecipientId
    kind: NoticeKind
    revision: int = Field(description="Of the export, if its data was rectified; otherwise 0")
    state: NoticeState
    reason: texts.ErrorName | None = Field(description="Why it is not acknowledged, or not yet")
    attempts: int
    acknowledgement: Acknowledgement | None = Field(description="The JWS, signed by the recipient")
    created_at: Moment
    settled_at: Moment | None


class NoticeList(BaseModel):
    """A page of the notices, the oldest first."""

    notices: list[RecipientNoticeAnswer]
    next: texts.Cursor | None


class TransferAnswer(BaseModel):
    """A transfer with its timeline."""

    id: texts.TransferId
    export_id: texts.ExportId
    state: TransferState
    end: TransferEnd | None = Field(description="How it ended without a receipt: `failed` also if its archive was lost")
    revision: int | None
    error_code: texts.ErrorName | None
    recipient: NamedRecipient
    authorisation: texts.GivenId
    volumes: int
    bytes: int
    timeline: list[StepAnswer]
    notices: list[RecipientNoticeAnswer] = Field(description="To the recipient, about changes after the transfer")
    created_at: Moment
    offered_at: Moment | None
    expires_at: Moment | None
    ended_at: Moment | None


class TransferList(BaseModel):
    """The transfers of an export, the oldest first."""

    transfers: list[TransferAnswer]

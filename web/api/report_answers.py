"""The answer of `/v1/report`, as OpenAPI documents it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from portability.law.profiles import Profile
from portability.report.disclosure import ReportPrecision
from portability.report.questions import AgreementKind, AgreementStanding
from portability.requests.approvals import DenialBasis
from web.api.texts import Moment, PluginName, Word, documented

Month = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", examples=["2026-11"])]
ReportMonth = Annotated[str, Field(max_length=20), documented(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
"""As a request names it; the engine checks it."""
GroupValue = Annotated[str, Field(pattern=r"^[^\x00-\x1f]{0,64}$", description="Empty for `all`, and without a law")]
LawName = Annotated[str, Field(pattern=r"^[^\x00-\x1f]{0,64}$", description="Empty: no law has set a due date")]
TimeZone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,64}$", description="Of the IANA's database")]
Count = Annotated[int, Field(ge=0)]
PeopleCount = Annotated[Count | None, Field(description="In a rounded report null: one to four")]
Seconds = Annotated[Count | None, Field(description="Null: no answers, or too few for a rounded report")]


class StandingCounts(BaseModel):
    """Requests by what has become of them."""

    received: PeopleCount
    answered: PeopleCount
    answered_in_time: PeopleCount
    answered_late: PeopleCount
    open: PeopleCount
    overdue: PeopleCount
    withdrawn: PeopleCount
    closed: PeopleCount


class ReceivedRow(BaseModel):
    """Requests that were received in a month: all, of a profile, or of a regime."""

    month: Month
    by: Annotated[Word, Field(description="`all`, `profile` or `regime`")]
    value: GroupValue
    received: PeopleCount


class AnswersRow(StandingCounts):
    """Requests and the times until their answer: all, of a month, of a profile, or of a regime."""

    by: Annotated[Word, Field(description="`all`, `month`, `profile` or `regime`")]
    value: GroupValue
    median_seconds: Seconds
    percentile_95_seconds: Seconds


class RequestsRow(StandingCounts):
    """Requests of a month, a profile and a regime together."""

    month: Month
    profile: Profile
    regime: LawName


class RefusalsRow(BaseModel):
    """Refused requests, and refused transfers of ready archives, on a ground."""

    ground: DenialBasis
    refusals: Annotated[PeopleCount, Field(description="Refused requests, each once, by the month of the decision")]
    refused_transfers: Annotated[PeopleCount, Field(description="Of ready archives to recipients")]


class RecallsRow(BaseModel):
    """Breach records, by a law's deadline to notify."""

    regime: LawName
    opened: PeopleCount
    closed_in_time: PeopleCount
    closed_late: PeopleCount
    open: PeopleCount
    overdue: PeopleCount


class AgreementsRow(BaseModel):
    """Consents, mandates or recipients of a standing."""

    kind: AgreementKind
    standing: AgreementStanding
    recorded: PeopleCount
    recorded_ever: PeopleCount


class ReportSourceRow(BaseModel):
    """A source: what copies lack of it, and its last check."""

    source: PluginName
    copies_lacking: PeopleCount
    checked_at: Moment | None
    check_error: Word | None
    check_faults: Count | None
    undecided_columns: Count | None
    tenantless_columns: Count | None = Field(description="How many of them are columns by which rows name no company")


class OfficerReport(BaseModel):
    """The figures of a period."""

    first: Month
    last: Month
    time_zone: TimeZone
    counts: ReportPrecision
    counted_at: Moment
    received: list[ReceivedRow]
    answers: list[AnswersRow]
    requests: list[RequestsRow]
    refusals: list[RefusalsRow]
    recalls: list[RecallsRow]
    agreements: list[AgreementsRow]
    sources: list[ReportSourceRow]

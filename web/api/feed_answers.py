"""Answers about feeds, as OpenAPI documents them; the engine makes them as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from portability.api import SubjectKind
from portability.feeds.intake import DAYS_MAX
from portability.law.profiles import Profile
from web.api import texts
from web.api.texts import Moment


class FeedAnswer(BaseModel):
    """A feed: archives of one subject, of which each contains what has changed since the last."""

    id: texts.FeedId
    profile: Profile
    subject_kind: SubjectKind
    subject: texts.Pseudonym
    include: list[texts.PluginName] | None = Field(description="Exporters; null: all")
    formats: list[texts.FormatName]
    authorisation_id: texts.GivenId | None = Field(description="The consent that it serves, and with which it ends")
    every_days: Annotated[int, Field(ge=1, le=DAYS_MAX)] | None = Field(
        description="How often the clock requests an archive; null: on request only"
    )
    number: int = Field(ge=0, description="Of the last archive that became ready; 0: none")
    export_id: texts.ExportId | None = Field(description="The export of that archive")
    running: texts.ExportId | None = Field(description="The export of the archive that is being made")
    undelivered: texts.ExportId | None = Field(
        description="The export of the first archive that the recipient lacks: later archives wait for it"
    )
    created_at: Moment
    next_at: Moment | None = Field(description="When the clock requests the next archive")
    until: Moment | None = Field(description="When it ends by itself")
    ended_at: Moment | None


class RequestedFeedAnswer(FeedAnswer):
    """A feed whose next archive was requested."""

    requested: texts.ExportId = Field(description="The export of the next archive")


class FeedList(BaseModel):
    """Feeds, the newest first."""

    feeds: list[FeedAnswer]

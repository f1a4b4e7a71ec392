"""Types of the texts in requests and answers: OpenAPI documents of each what the server accepts or sends.

Most texts of a request are checked by the engine, whose errors say what is wrong and have a code. Such a type documents
the engine's rule, made from the engine's own constants, and does not check it a second time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema

from portability import plugins
from portability.api import ADDRESS_KINDS, JSON, SubjectKind
from portability.api.names import NAME
from portability.people import subjects
from portability.requests import acceptance, idempotency
from portability.transfers import recipients
from web import visibility

WORD_MAX = 250
DATE, TIME = "date", "date-time"


@dataclass(frozen=True, slots=True)
class Documented:
    """Keywords of JSON Schema that describe what the engine accepts; they are added to the type's own."""

    keywords: tuple[tuple[str, JSON], ...]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), **dict(self.keywords)}


@dataclass(frozen=True, slots=True)
class EnumOf:
    """A text that the engine checks against a set of names; the set is a component of its own (web/api/openapi.py)."""

    name: str
    values: Callable[[], Iterable[str]]

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "enum": sorted(map(str, self.values())), "title": self.name}


@dataclass(frozen=True, slots=True)
class Either:
    """One of two forms of a text, such as a day or a time."""

    formats: tuple[str, ...]

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "format": name} for name in self.formats]}


def documented(**keywords: JSON) -> Documented:
    """Return the annotation that adds keywords to the schema of a type."""
    return Documented(tuple(keywords.items()))


def enum_of(kind: type[StrEnum]) -> EnumOf:
    """Return the annotation that documents a text as one of the values of an enumeration."""
    return EnumOf(kind.__name__, lambda: kind)


def left_out(description: str | None = None) -> Any:  # noqa: ANN401  # as pydantic's own: a field of any type
    """Return a field of an answer that is left out where there is nothing to say; it is never null."""
    return Field(default_factory=dict, description=description)


def whole(pattern: re.Pattern[str] | str) -> str:
    """Return a pattern that the whole text has to match, for JSON Schema."""
    return f"^(?:{pattern if isinstance(pattern, str) else pattern.pattern})$"


def _hex_id(prefix: str) -> str:
    return rf"^{prefix}_[0-9a-f]{{20}}$"


def _subject_pattern(*, any_letters: bool = False) -> str:
    tenant, people = SubjectKind.TENANT, [k for k in SubjectKind if k not in {*ADDRESS_KINDS, SubjectKind.TENANT}]
    ids = rf"(?:{'|'.join(people)}):{subjects.PERSON_ID.pattern}|{tenant}:{subjects.ID.pattern}"
    return rf"^(?:{ids}|(?:{'|'.join(ADDRESS_KINDS)}):{'.' if any_letters else '[!-~]'}+)$"


# Texts of requests.
Word = Annotated[str, StringConstraints(max_length=WORD_MAX, pattern=r"^[!-~]+$")]
"""Printable ASCII without spaces."""
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]+$")]
"""Free text for people: without control characters except tab and line feed."""
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Free text of one line."""
Url = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[!-~]+$"), documented(format="uri")]

Subject = Annotated[Word, documented(pattern=_subject_pattern())]
TenantId = Annotated[Word, documented(pattern=whole(subjects.ID))]
HeldSubjectName = Annotated[str, Field(max_length=WORD_MAX), documented(pattern=_subject_pattern(any_letters=True))]
HeldTenantId = Annotated[str, Field(max_length=200), documented(pattern=whole(subjects.ID))]
"""In a query."""
ExporterName = Annotated[Word, documented(pattern=whole(NAME))]
DatasetName = Annotated[Word, documented(pattern=whole(recipients.DATASET))]
FormatName = Annotated[Word, EnumOf("InstalledFormat", lambda: plugins.find(plugins.FORMATS))]
"""A name of an installed format: the enumeration depends on the deployment."""
ChannelName = Annotated[Word, documented(pattern=whole(acceptance.CHANNEL))]
DayOrTime = Annotated[Word, Either((DATE, TIME))]
Time = Annotated[Word, documented(format=TIME)]
AnyCountry = Annotated[Word, documented(pattern="^[A-Za-z]{2}$")]
"""A country code, in upper or lower case."""
MandateId = Annotated[Word, documented(pattern=_hex_id("man"))]
HostName = Annotated[Word, documented(format="hostname")]
RecipientName = Annotated[Word, documented(minLength=1)]
"""The id or the domain of a recipient."""
AgeKey = Annotated[Word, documented(pattern=r"^[Aa][Gg][Ee]1[02-9AC-HJ-NP-Zac-hj-np-z]{58}$")]
IdempotencyKey = Annotated[str, Field(max_length=idempotency.KEY_MAX), documented(minLength=1, pattern=r"^[ -~]+$")]
Cursor = Annotated[str, Field(max_length=200), documented(pattern=r"^[A-Za-z0-9_-]+$")]
EntityTags = Annotated[str, Field(max_length=16_384)]
"""The value of If-None-Match."""

# Ids in paths.
ExportId = Annotated[str, Field(max_length=64, description="The export's id"), documented(pattern=whole(visibility.ID))]
LinkId = Annotated[str, Field(max_length=64, pattern=_hex_id("lnk"), description="The link's id")]
TransferId = Annotated[str, Field(max_length=32, pattern=_hex_id("trf"), description="The transfer's id")]
GivenId = Annotated[str, Field(max_length=32, pattern=_hex_id("aut"), description="The authorisation's id")]
NoticeId = Annotated[str, Field(max_length=40, pattern=_hex_id("ntc"), description="The notice's id")]
ReceivedId = Annotated[str, Field(max_length=32, pattern=_hex_id("rcv"), description="The received transfer's id")]
SenderId = Annotated[str, Field(max_length=32, pattern=_hex_id("snd"), description="The sender's id")]
FeedId = Annotated[str, Field(max_length=32, pattern=_hex_id("feed"), description="The feed's id")]
FeedCursor = Annotated[str, Field(max_length=8192), documented(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}$")]
RecipientId = Annotated[str, Field(max_length=32, pattern=_hex_id("rcp"), description="The recipient's id")]

# Texts of answers.
Moment = Annotated[datetime, Field(description="RFC 3339, in UTC")]
Pseudonym = Annotated[str, Field(pattern=rf"^({subjects.REF_PREFIX}[a-z2-7]{{26}})?$")]
"""Empty once the subject is erased."""
ErrorName = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]
"""A code of docs/errors.md, of a plug-in or of a recipient's receipt."""
PluginName = Annotated[str, Field(pattern=whole(NAME))]
ScopeName = Annotated[str, Field(pattern=whole(recipients.DATASET))]
"""An exporter, or one of its datasets."""
Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,100}\.zip$")]
Jws = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$")]
Base64Url = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
Address = Annotated[str, Field(max_length=2000), documented(format="uri")]
LinkUrl = Annotated[str, Field(max_length=4096), documented(format="uri")]
SubjectName = Annotated[str, Field(pattern=rf"^(?:{'|'.join(SubjectKind)}):[^\x00-\x1f]{{1,200}}$")]
KnownTenant = Annotated[str, Field(pattern=whole(subjects.ID))]
RegimeName = Annotated[str, Field(max_length=64)]
Label = Annotated[str, Field(max_length=200)]
"""A name or a reference that a person has recorded."""
Prose = Annotated[str, Field(max_length=131_072)]
"""Text of people, or of a plug-in: no body, form or argument of a command is longer."""

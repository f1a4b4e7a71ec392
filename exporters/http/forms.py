"""The form of a map for a source with an HTTP interface (docs/maps-http.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from exporters.http.expressions import Expression, checked
from exporters.maps.forms import (
    DatasetForm,
    FieldForm,
    MapForm,
    Name,
    ReadFormat,
    SourceForm,
    Text,
    TimeFormat,
    TimesForm,
    WithheldForm,
)
from portability.api import FieldType

PathTemplate = Annotated[str, StringConstraints(pattern=r"^/[!-~]*$")]
"""A path below `base_url`, with placeholders."""
AskedName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}(\.[A-Za-z0-9_-]{1,100})?$")]
"""A kind of identity, or a field of a parent: `tickets.id`."""
HEADER_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
HEADER_VALUE = r"[!-~]+([ \t]+[!-~]+)*"
"""Visible letters of ASCII, with blanks between (RFC 9110, section 5.5)."""
HeaderName = Annotated[str, StringConstraints(pattern=f"^{HEADER_NAME}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=f"^({HEADER_VALUE})?$")]
Status = Annotated[int, Field(ge=300, le=599)]
NoItem = Literal[204] | Status | Text
"""204 has no body: some interfaces answer it where nothing was found. A text is a code of `error`."""
MEBIBYTE = 1 << 20


def checked_source(text: str) -> str:
    """Return where a field's value comes from: JMESPath on the item, or `parent:` and a field of the parent."""
    return text if text.startswith("parent:") else checked(text)


class PageForm(MapForm):
    """How a list continues, and when it ends. An empty page is the end only if the map says so."""

    kind: Literal["cursor", "key", "number", "offset", "link"]
    next: Expression | None = None
    """`cursor`: the token of the next page; `link`: its URL. Without a value the list ends."""
    header: bool = False
    """`link`: the URL is in the header `Link`, with `rel="next"`."""
    key: Expression | None = None
    """`key`: the value of the last item, which `{after}` of the next request contains."""
    start: int | str | None = None
    """The first value of `{after}`; default: 1 for `number`, 0 for `offset`, and no parameter for `cursor`."""
    more: Expression | None = None
    """True while there are more pages."""
    until_empty: bool = False
    """Whether a page without items is the end."""
    total: Expression | None = None
    """The size of the list. If it shrinks while it is read, the list is read again: records have moved.

    A list that ends before has a gap.
    """
    most: int | None = Field(default=None, ge=1)
    """The largest number of items that the source gives of one list: a list that has them ends there, and has a gap."""

    @model_validator(mode="after")
    def _check(self) -> PageForm:
        needs_next = self.kind == "cursor" or (self.kind == "link" and not self.header)
        if needs_next and self.next is None:
            raise ValueError(f"a page of the kind {self.kind} needs `next`")
        if self.kind == "key" and (self.key is None or self.start is None):
            raise ValueError("a page of the kind key needs `key` and `start`")
        if self.kind in {"key", "number", "offset"} and not self.until_empty and self.more is None:
            raise ValueError(f"a page of the kind {self.kind} needs an end: `until_empty` or `more`")
        return self


class WindowForm(MapForm):
    """Windows of time, one list each, for lists of limited length. `{since}` and `{until}` are the bounds."""

    at: Expression
    """The time of an item: items outside of the window are left out, so bounds may be inclusive or not."""
    start: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    """The day of the first window."""
    days: int = Field(ge=1, le=36_500)
    ahead_days: int = Field(default=0, ge=0, le=36_500)
    """How far behind the begin of the export items may be, such as planned calls."""
    format: TimeFormat = "rfc3339"
    """How the bounds are written."""


class RequestForm(MapForm):
    """A request that reads."""

    get: PathTemplate | None = None
    post: PathTemplate | None = None
    reads: bool = False
    """Whether the POST changes nothing: only then it is retried after a fault of the network."""
    params: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] | None = None
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    items: Expression = "@"
    """Where the items are: a list, or a single item."""
    none_on: tuple[NoItem, ...] = ()
    """Statuses, and codes of `error`, that mean: there is no item."""
    gap_on: tuple[Status, ...] = ()
    """Statuses that mean: the source does not give what belongs to this record. That is a gap, and reading goes on."""
    bucket: Name | None = None
    """A rate of `limits.buckets` for this request, beside the rate of the source."""
    page: PageForm | None = None
    window: WindowForm | None = None
    cut: Expression | None = None
    """True if the source has cut the list in this answer (with `within`: in the parent's item): it has a gap."""


class IdentityForm(RequestForm):
    """Who the subject is in this source."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)

    asked: Name = Field(alias="from")
    """The kind of a verified identity of the subject, which `{kind}` of the request contains."""
    verify: dict[Expression, Name] = Field(min_length=1)
    """Values of the item, and the identity that each must be."""
    value: Expression = "id"
    """The identifier in this source."""
    confirm: PathTemplate | None = None
    """A path with `{value}` whose answer is verified instead, where a look-up does not repeat the address."""
    gives: Name
    """The kind of the found identity."""
    most: int = Field(default=20, ge=1, le=1000)
    """More hits are a fault of the source or the map, and no person's."""
    verified: bool | Expression = True
    """Whether the source has proved the address: then the found identity selects records."""
    tenant: Expression | None = None
    """The tenant of the hit; default: the source's."""


class KeepForm(MapForm):
    """A condition on items: others are left out."""

    at: Expression
    equals: str | int | bool | None = None
    """A value, or `parent:field`."""
    among: tuple[str | int, ...] | None = None
    empty: bool | None = None

    @model_validator(mode="after")
    def _check(self) -> KeepForm:
        if [self.equals, self.among, self.empty].count(None) != 2:  # noqa: PLR2004  # of three, one is set
            raise ValueError("a condition needs one of `equals`, `among` and `empty`")
        return self


class HttpFieldForm(FieldForm):
    """A field: where its value is in an item."""

    type: FieldType = FieldType.STRING
    at: Annotated[str, AfterValidator(checked_source)] | None = None
    """JMESPath, or `parent:` and a field of the parent; default: the field's name."""
    time: ReadFormat | None = None
    """The format of the time; default: the source's."""


class HttpWithheldForm(WithheldForm):
    """What an item has and the archive does not."""

    at: Expression | None = None
    """Default: its name."""


class UrlFromForm(MapForm):
    """A request whose answer names the URL of a file."""

    get: PathTemplate
    at: Expression


class HttpFileForm(MapForm):
    """The file of a record."""

    get: PathTemplate | None = None
    url: Expression | None = None
    """Its URL in the item."""
    url_from: UrlFromForm | None = None
    content: Expression | None = None
    """Where the content is in a JSON answer, as base64; default: the body is the file."""
    media_type: Expression | None = None
    fixed_media_type: Text | None = None
    bytes: Expression | None = None
    sha256: Expression | None = None
    when: Expression | None = None
    """A record without a value here has no file."""
    resume: Literal["range", "restart"] = "restart"
    most_bytes: int = Field(default=100 * MEBIBYTE, ge=1)

    @model_validator(mode="after")
    def _check(self) -> HttpFileForm:
        if [self.get, self.url, self.url_from].count(None) != 2:  # noqa: PLR2004  # of three, one is set
            raise ValueError("a file needs one of `get`, `url` and `url_from`")
        return self


class HttpRetentionForm(MapForm):
    """The values of an item that say when its retention ends, and whether there is a legal hold."""

    since: Expression | None = None
    """Begin of the period of the notice register; default: the creation."""
    until: Expression | None = None
    """The item's own end."""
    hold: Expression | None = None


class HookNames(MapForm):
    """Code by the names of entry points, where a declaration is not enough."""

    pages: Name | None = None
    record: Name | None = None
    shape: Name | None = None


class NodeForm(RequestForm):
    """What is read for each identity, or for each record of a parent."""

    for_each: Name | None = None
    """A kind of identities: one that this source found, or one of the subject."""
    parent: Name | None = None
    """A dataset or links of this map."""
    each: Expression | None = None
    """Values in the parent's item, one request each: `{each}`."""
    within: Expression | None = None
    """Where the items are in the parent's item; nothing is requested."""
    batch: int | None = Field(default=None, ge=1, le=10_000)
    """How many values one request contains: `{ids}`."""
    union: tuple[RequestForm, ...] = ()
    """Several requests instead of one; a record that two of them give comes once."""
    verify: dict[Expression, AskedName] = Field(default_factory=dict)
    scoped: bool = False
    """The request names the person or the parent, and the answer does not: there is nothing to verify."""
    keep: tuple[KeepForm, ...] = ()


class LinksForm(NodeForm):
    """Ids of other records: no dataset of its own."""

    name: Name
    gives: Expression
    """The id, in an item."""


class HttpDatasetForm(DatasetForm, NodeForm):
    """A dataset."""

    created: Name | None = None
    """The field with the time of creation, which never changes: newer records are left out of a running export."""
    deleted: Expression | None = None
    """A value here means that the source has marked the record as deleted."""
    retention: HttpRetentionForm | None = None
    fields: dict[Name, HttpFieldForm] = Field(min_length=1)
    file: HttpFileForm | None = None
    parts: tuple[Name, ...] = ()
    """Datasets with the same parent, whose records the hook `shape` gets."""
    hooks: HookNames = HookNames()
    withheld: dict[Name, HttpWithheldForm] = Field(default_factory=dict)
    internal: dict[str, Text] = Field(default_factory=dict)
    """What an item has that is about no person, each with the reason."""
    undecided: tuple[str, ...] = ()


class LimitsForm(MapForm):
    """What the source's interface allows, and how it answers when that is exceeded."""

    buckets: dict[Name, Text] = Field(default_factory=dict)
    """Further rates by name: `search = "4/s"`."""
    retry_on: tuple[Status, ...] = (429, 503)
    retry_after: Text = "Retry-After"
    """The header with seconds or a date."""
    reset: Text | None = None
    """The header that says when calls are allowed again, without `retry_after`."""
    reset_unit: Literal["seconds", "epoch", "epoch_ms"] = "seconds"
    remaining: Text | None = None
    """The header with the number of calls that are left: with 0 there, 403 asks to wait."""
    page_bytes: int = Field(default=8 * MEBIBYTE, ge=1024, le=64 * MEBIBYTE)
    timeout_seconds: int = Field(default=60, ge=1, le=600)
    pages_most: int = Field(default=10_000, ge=1)
    """Pages of one list; more are a fault."""


class ErrorForm(MapForm):
    """Errors that the body of an answer reports, with any status."""

    at: Expression
    """Its code; an answer without a value there reports no error."""
    wait: tuple[str | int, ...] = ()
    """Codes that mean: the rate is used up."""
    unavailable: tuple[str | int, ...] = ()
    """Values that a later attempt may change; every other value is a refusal."""


class HttpSourceForm(SourceForm):
    """The whole map."""

    base_url: Text | None = None
    """Every URL begins with it; the file of sources may replace it."""
    hosts: tuple[Text, ...] = ()
    """Further hosts, such as those of files: they get no credentials of this source. `*.` begins a pattern."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Headers of all requests to the source, such as the version of its interface."""
    values: tuple[Name, ...] = ()
    """Names of values that the file of sources gives, such as the number of an account."""
    documentation: tuple[Text, ...] = ()
    """The pages from which the map was written."""
    deleted_records: Text | None = None
    """What the source shows of records that were deleted in it: the notice must say the same."""
    limits: LimitsForm = LimitsForm()
    times: TimesForm = TimesForm()
    error: ErrorForm | None = None
    identity: tuple[IdentityForm, ...] = ()
    links: tuple[LinksForm, ...] = ()
    dataset: tuple[HttpDatasetForm, ...] = ()

    @property
    def nodes(self) -> Mapping[str, LinksForm | HttpDatasetForm]:
        """Return links and datasets by name."""
        found: dict[str, LinksForm | HttpDatasetForm] = {node.name: node for node in self.links}
        return {**found, **{node.name: node for node in self.dataset}}

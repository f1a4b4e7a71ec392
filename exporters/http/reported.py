"""What an answer with an error means, by the code in its body: a status alone is the same for several errors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import httpx

from exporters.http import bodies
from exporters.http.expressions import find
from exporters.http.forms import ErrorForm
from exporters.http.guard import AllowedUrl
from portability.api.errors import SourceError

HINTS = {
    401: "check `auth` of the source",
    403: "give the account of the source the right to read this",
    404: "if it means that there is nothing, list it in `none_on` of the map",
    422: "the map may ask for more pages than the source gives: see `most` of `page`",
}
"""By status: what an operator can do."""
OTHER_HOST_HINTS = dict.fromkeys(
    (400, 401, 403, 404, 410), "a signed URL may have expired: ask for it anew with `url_from` of the file in the map"
)
"""The same, where no login of the source is sent."""
BODY_BYTES_MAX = 65_536
BODY_SECONDS = 10.0


class NotGiven(Exception):
    """The source refuses one list, by a status of `gap_on`."""


class ReportedError(StrEnum):
    """What the source says."""

    NO_ITEM = "no item"
    WAIT = "wait"
    """The rate is used up."""
    PASSING = "passing"
    OTHER = "other"
    """A refusal."""


def error_in(form: ErrorForm | None, none_on: Sequence[int | str], answer: Any) -> ReportedError | None:  # noqa: ANN401  # any JSON value
    """Return the error that an answer reports at the map's `error`; None without one."""
    try:
        found = find(form.at, answer) if form is not None else None
    except ValueError:
        found = None
    if form is None or not found:
        return None
    # A list or an object equals no value of these.
    for values, kind in (
        ([one for one in none_on if isinstance(one, str)], ReportedError.NO_ITEM),
        (form.wait, ReportedError.WAIT),
        (form.unavailable, ReportedError.PASSING),
    ):
        if found in values:
            return kind
    return ReportedError.OTHER


def error_of(form: ErrorForm | None, none_on: Sequence[int | str], response: httpx.Response) -> ReportedError | None:
    """Return the error of an answer that is not read yet, as `error_in`; None also for one that is not JSON."""
    if form is None:
        return None
    try:
        body = bodies.whole(response, BODY_BYTES_MAX, time.monotonic() + BODY_SECONDS, "error")
        return error_in(form, none_on, bodies.parsed(body, "error"))
    except (SourceError, httpx.TransportError):
        return None


def hint_of(status: int, url: AllowedUrl) -> str | None:
    """Return what an operator can do about a status that is a refusal."""
    return (HINTS if url.is_own else OTHER_HOST_HINTS).get(status)

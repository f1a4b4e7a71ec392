"""The client of one source: every request obeys the shared rate, the login, the allowed URLs and the bounds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx
import stamina
from stamina.instrumentation import set_on_retry_hooks

from exporters.http import bodies
from exporters.http.forms import ErrorForm, LimitsForm
from exporters.http.guard import AllowedUrl, UrlGuard, check_redirect, headers_for, merged_query, without_params
from exporters.http.logins import SourceLogin
from exporters.http.pinned import PinnedNetwork
from exporters.http.reported import NotGiven, ReportedError, error_in, error_of, hint_of
from exporters.http.waits import SourceClock, TimeBudget, asks_to_wait, passes, stated_wait
from portability.api import JSON, Rate, SharedState, Sources
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.certificates import trusted_certificates
from portability.read_limits import limit_transport, reads_within
from portability.unreached import cause_of

T = TypeVar("T")
ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.2
WAITS_MOST = 20
"""How often one request is postponed by 429 or 503 before the source counts as unavailable."""
UNAUTHORIZED = 401
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "keep-alive", "User-Agent": "portability"}
MOVED = frozenset({301, 302, 303, 307, 308})
PLACE_STATUSES = frozenset({400, 404, 410})
"""What sources answer to a token of a page that has expired."""

set_on_retry_hooks([])  # the library would write the arguments of calls into logs
for _library in ("httpx", "httpcore"):
    # They write each URL into the log, with the address that is asked for.
    logging.getLogger(_library).setLevel(logging.WARNING)


class PlaceExpired(Exception):
    """The source refuses a request for a later page: its token may have expired."""


class PassingFault(Exception):
    """A fault of the network or the server that a second attempt may not have."""


@dataclass(frozen=True, slots=True)
class HttpCall:
    """A request of a map."""

    what: str
    """Its name in errors."""
    url: AllowedUrl
    method: str = "GET"
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = field(default=None, repr=False)
    """A JSON value, or bytes; None: no body."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    rates: Sequence[Rate] = ()
    is_repeatable: bool = True
    none_on: Sequence[int | str] = ()
    """Statuses and codes of errors that mean: there is no item."""
    gap_on: Sequence[int] = ()
    """Statuses that raise NotGiven."""
    is_place: bool = False
    """Whether it asks for a later page by a token of the source."""
    most_bytes: int | None = None
    """Default: `limits.page_bytes`."""
    is_whole: bool = False
    """Whether no other call asks for the rest: an answer that is a part of a list is refused."""


@dataclass(frozen=True, slots=True)
class HttpPage:
    """A JSON answer."""

    value: Any = field(repr=False)
    url: str = field(repr=False)
    """What answered, behind all redirects; without the parameters of the call."""
    headers: httpx.Headers = field(repr=False)


@dataclass(frozen=True, slots=True)
class SourceAccess:
    """What does not change between the calls of a source."""

    name: str
    guard: UrlGuard
    login: SourceLogin
    limits: LimitsForm
    rates: Sequence[Rate]
    """At least one; every call takes one of each."""
    connections: Sources
    """Opened on first use, in the process that reads."""
    error: ErrorForm | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def shared(self) -> SharedState:
        return self.connections.shared


class SourceClient:
    """Connections to one source, for one thread; closed at the end of a reading."""

    def __init__(self, access: SourceAccess, budget: TimeBudget | None = None) -> None:
        self._access = access
        self.clock = SourceClock()
        self.budget = budget or TimeBudget(access.connections.seconds)
        # A client of httpx would add the same headers, and take a third longer for each request.
        self._network = PinnedNetwork()
        self._http = limit_transport(httpx.HTTPTransport(verify=trusted_certificates(), trust_env=False), self._network)
        self._cookies = {is_own: httpx.Cookies() for is_own in (True, False)}

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def json(self, call: HttpCall) -> HttpPage | None:
        """Return a JSON answer; None for what `none_on` names. Raises SourceUnavailable, SourceRefused."""
        for _ in range(WAITS_MOST):
            if not (page := self._retried(call, self._page)):
                return None
            match error_in(self._access.error, call.none_on, page.value):
                case None:
                    return page
                case ReportedError.NO_ITEM:
                    return None
                case ReportedError.WAIT:
                    self._pause(call, stated_wait(page.headers, self._access.limits))
                case ReportedError.PASSING:
                    raise SourceUnavailable(f"{call.what}: the source reports a passing error")
                case ReportedError.OTHER:
                    raise SourceRefused(f"{call.what}: the source reports an error with status 200")
        raise SourceUnavailable(f"{call.what}: the source asked {WAITS_MOST} times to wait")

    def place_of(self, found: JSON) -> JSON:
        """Return the place of a page without the key of the login, which some sources repeat: places are stored."""
        if not isinstance(found, str):
            return found
        return without_params(found, self._access.login.params(), is_own=self._access.guard.is_own(found))

    def body(self, call: HttpCall) -> bytes | None:
        """Return the bytes of an answer; None for a status of `none_on`. Raises SourceUnavailable, SourceRefused."""
        found = self._retried(call, self._whole)
        return found[2] if found else None

    @contextmanager
    def stream(self, call: HttpCall) -> Iterator[httpx.Response | None]:
        """Open an answer whose body is not read yet; None for a status of `none_on`.

        Raises: SourceUnavailable, SourceRefused, PlaceExpired. Faults of the network within the block become
        SourceUnavailable, those of the encoding SourceRefused.
        """
        _url, response = self._retried(call, self._postponed)
        if not response:
            yield None
            return
        try:
            bodies.check_encoding(response, call.what)
            with bodies.decoding(call.what):
                yield None if response.status_code in call.none_on else response
        except httpx.TransportError as error:
            raise SourceUnavailable(f"{call.what}: the connection broke: {cause_of(error)}") from None
        finally:
            response.close()

    def _retried(self, call: HttpCall, read: Callable[[HttpCall], T]) -> T:
        """Return what `read` returns; passing faults are retried. Raises SourceUnavailable, and as `read` does."""
        try:
            return read(call)
        except PassingFault as fault:
            made = [fault]
        try:
            # Most calls need one attempt; that of the library is made where it has failed.
            for attempt in stamina.retry_context(
                on=PassingFault,
                attempts=ATTEMPTS if call.is_repeatable else 1,
                timeout=max(0.1, self.budget.left_seconds),
                wait_initial=FIRST_PAUSE_SECONDS,
                wait_jitter=FIRST_PAUSE_SECONDS,
            ):
                with attempt:
                    if made:
                        raise made.pop()
                    return read(call)
        except PassingFault as fault:
            raise SourceUnavailable(f"{call.what}: {fault}") from None
        raise AssertionError  # the last attempt returns or raises

    def _page(self, call: HttpCall) -> HttpPage | None:
        """Return an answer as JSON. Raises PassingFault if it may be cut, SourceRefused if it is not JSON."""
        if not (found := self._whole(call)):
            return None
        url, headers, body = found
        try:
            return HttpPage(bodies.parsed(body, call.what, is_ended=bodies.has_end(headers)), url, headers)
        except httpx.TransportError as error:
            raise PassingFault(f"the connection broke: {cause_of(error)}") from None

    def _whole(self, call: HttpCall) -> tuple[str, httpx.Headers, bytes] | None:
        """Return the URL, the headers and the body of an answer. Raises PassingFault if the connection breaks."""
        url, response = self._postponed(call)
        if not response:
            return None
        ends_at = time.monotonic() + max(0.1, self.budget.left_seconds)
        limit = call.most_bytes or self._access.limits.page_bytes
        try:
            if response.status_code in call.none_on:
                return None
            if response.status_code == httpx.codes.PARTIAL_CONTENT and call.is_whole:
                hint = "declare `page` in the map, so that the rest is read"
                raise SourceRefused(f"{call.what}: the answer is a part of the list (206)", hint=hint)
            return url, response.headers, bodies.whole(response, limit, ends_at, call.what)
        except httpx.TransportError as error:
            raise PassingFault(f"the connection broke: {cause_of(error)}") from None
        finally:
            response.close()

    def _postponed(self, call: HttpCall) -> tuple[str, httpx.Response | None]:
        """Send until the source neither asks to wait nor redirects; return the URL that answers, and the answer.

        Without an answer, the source has said that there is no item.

        Raises: PassingFault, and as `stream` does.
        """
        is_renewed = False
        hops = 0
        for _ in range(WAITS_MOST):
            self._take(call)
            sent, response = self._send(call)
            self.clock.compare(response.headers if call.url.is_own else httpx.Headers())
            status = response.status_code
            if status in MOVED:
                hops += 1
                call = self._redirected(call, response, hops)
            elif asks_to_wait(status, response.headers, self._access.limits):
                response.close()
                self._pause(call, stated_wait(response.headers, self._access.limits))
            elif status == UNAUTHORIZED and call.url.is_own and not is_renewed and self._access.login.replaces(sent):
                response.close()
                is_renewed = True
            elif status < httpx.codes.MULTIPLE_CHOICES and not passes(status):
                return call.url.url, response
            else:
                error = error_of(self._access.error if call.url.is_own else None, call.none_on, response)
                response.close()
                if error is not ReportedError.WAIT:
                    return self._ended(call, status, error)
                self._pause(call, stated_wait(response.headers, self._access.limits))
        raise SourceUnavailable(f"{call.what}: the source asked {WAITS_MOST} times to wait")

    def _take(self, call: HttpCall) -> None:
        """Wait until all rates allow a call. Raises SourceUnavailable."""
        rates = (*call.rates, *self._access.rates)
        while rates and (seconds := self._access.shared.take(rates)) > 0:
            self.budget.wait(seconds, call.what)

    def _pause(self, call: HttpCall, seconds: float) -> None:
        """Stop the calls of all workers for some time: of the call's own bucket, else of the source."""
        for rate in call.rates or self._access.rates:
            self._access.shared.pause(rate.bucket, seconds)
        self.budget.wait(seconds, call.what)

    def _send(self, call: HttpCall) -> tuple[Mapping[str, str], httpx.Response]:
        """Return the headers of the login that were sent, and the answer. Raises PassingFault."""
        login, is_own = self._access.login, call.url.is_own
        own = {**self._access.headers, **login.headers()} if is_own else {}
        params = {**call.params, **(login.params() if is_own else {})}
        text = without_params(call.url.url, login.params(), is_own=is_own)  # the source may repeat its key
        headers = httpx.Headers(HEADERS)  # by names in any case
        for more in (headers_for(call.headers, call.url), own):
            headers.update(more)
        if params and "?" not in text:
            url = httpx.URL(text, params=params)  # parsed once
        else:
            url = httpx.URL(text)
            url = url.copy_with(query=merged_query(url.query, params)) if params else url
        seconds = max(0.1, min(self._access.limits.timeout_seconds, self.budget.left_seconds))
        extensions: dict[str, Any] = {"timeout": httpx.Timeout(seconds).as_dict()}
        self._network.address = call.url.address
        body = bodies.sent(call.body, call.url, call.what)
        request = httpx.Request(call.method, url, headers=headers, **body, extensions=extensions)
        try:
            with reads_within(seconds):
                return own, self._answer(request, self._cookies[is_own])
        except httpx.TransportError as error:
            raise PassingFault(f"the source does not answer: {cause_of(error)}") from None

    def _answer(self, request: httpx.Request, cookies: httpx.Cookies) -> httpx.Response:
        """Return the answer to a request, which has the cookies of earlier answers. Raises httpx.TransportError."""
        if cookies:
            cookies.set_cookie_header(request)
        response = self._http.handle_request(request)
        response.request = request
        if "Set-Cookie" in response.headers:
            cookies.extract_cookies(response)
        return response

    def _redirected(self, call: HttpCall, response: httpx.Response, hops: int) -> HttpCall:
        """Return the call of where a redirect leads. Raises SourceRefused for another host, a POST, or a circle."""
        response.close()
        check_redirect(call.method, hops, call.what)
        target = self._access.guard.link(response.headers.get("Location"), call.url.url, call.what)
        return replace(call, url=target, params={})

    def _ended(self, call: HttpCall, status: int, error: ReportedError | None) -> tuple[str, None]:
        """Return that there is no item, or raise the error of a status.

        Raises: PassingFault, SourceUnavailable, SourceRefused, PlaceExpired, NotGiven.
        """
        if error is ReportedError.NO_ITEM or (status in call.none_on and error is not ReportedError.PASSING):
            return call.url.url, None
        if passes(status):
            raise PassingFault(f"the source answers {status}")
        if error is ReportedError.PASSING:
            raise SourceUnavailable(f"{call.what}: the source answers {status}, and reports a passing error")
        if status in call.gap_on and not call.is_place:
            raise NotGiven
        if call.is_place and status in PLACE_STATUSES:
            raise PlaceExpired(f"{call.what}: the source answers {status} to the place of a later page")
        raise SourceRefused(f"{call.what}: the source answers {status}", hint=hint_of(status, call.url))

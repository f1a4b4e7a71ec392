"""The copies that a person has allowed: started, followed, fetched and verified, each request with token and proof."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlencode

import httpx
from joserfc.jwk import ECKey

from portability.api.errors import BadInput
from portability.safe_http import SafeHttpClient
from receiver.faults import CopyPending, ProviderRefused, SenderUnavailable
from receiver.fetch import papers
from receiver.fetch.checked_client import checked_client
from receiver.pulls import asking, proofs, records
from receiver.pulls.asking import PullingProvider
from receiver.pulls.records import GrantedAccess, PullRecord
from receiver.receive import Began, Received, ReceivingParty, receive

PATH = "/v1/pulls"
EARLY_SECONDS = 60
"""How long before its end an access token is renewed."""
POLL_SECONDS = 5.0
PENDING = frozenset({"review", "preparing", "encrypting"})
DELIVERED = "delivered"
READY = frozenset({"ready", DELIVERED})
NOT_FOUND = 404
COPY = re.compile(r"[A-Za-z0-9_-]{1,100}")


class PullAccess:
    """The access to one consent: its tokens are renewed in time, and stored before they are used. Thread-safe.

    The caller has the record alone (`records.alone`).
    """

    def __init__(self, client: SafeHttpClient, us: PullingProvider, folder: Path, record: PullRecord) -> None:
        self.client, self.us, self.record = client, us, record
        self._folder, self._lock = folder, Lock()
        self._key = ECKey.import_key(dict(record.key)) if record.key else None
        self.base = f"{record.server.resource.rstrip('/')}{PATH}"

    def save(self, copy: str | None) -> None:
        """Store which copy is being fetched."""
        self.record = replace(self.record, copy=copy)
        records.save(self._folder, self.record)

    def count(self) -> None:
        """Store that the copy was fetched; each counts once."""
        copy, more = self.record.copy, int(self.record.copy != self.record.last)
        self.record = replace(self.record, copy=None, last=copy, fetched=self.record.fetched + more)
        records.save(self._folder, self.record)

    def headers(self, method: str, url: str) -> Mapping[str, str]:
        """Return what a request to the copies needs. Raises ProviderRefused, SenderUnavailable."""
        with self._lock:
            token = self._granted().access
        if self._key is None:
            raise ProviderRefused("the consent has ended")
        return {"Authorization": f"DPoP {token}", "DPoP": proofs.proof(self._key, method, url, token)}

    def _granted(self) -> GrantedAccess:
        granted = self.record.granted
        if granted is None:
            hint = "`portability pull consent` takes the address that the person came back with"
            raise ProviderRefused("the person has not allowed it yet", hint=hint)
        if granted.refresh is not None and granted.expires_at - EARLY_SECONDS < time.time():
            with records.reserved(self._folder, self.record.id) as store:
                try:
                    self.record = replace(asking.refreshed(self.client, self.us, self.record), lapsed=False)
                except ProviderRefused as error:
                    if error.error == asking.INVALID_GRANT:  # expired, or the consent has ended: it never counts again
                        store(replace(self.record, lapsed=True))
                    raise
                store(self.record)
        return self.record.granted or granted

    def current(self, target: Path, *, only_changes: bool = False, restart: bool = False) -> Mapping[str, Any]:
        """Start a copy for a folder, or return that which is under way.

        Raises: ProviderRefused, SenderUnavailable; BadInput if the copy that is under way is not of the kind.
        """
        found = (self._followed(target) if self.record.copy else {}) or self._started(only_changes, restart)
        _check_kind(found, only_changes=only_changes)
        return found

    def _started(self, only_changes: bool, restart: bool) -> Mapping[str, Any]:
        asked = {"changes": only_changes, "restart": restart}
        url = f"{self.base}?{urlencode({name: 'true' for name, is_asked in asked.items() if is_asked})}".rstrip("?")
        answer = self.client.post(url, b"", headers=self.headers("POST", self.base))
        found = asking.checked(answer.status, answer.body, 200, 201)
        identifier = found.get("id")
        if not isinstance(identifier, str) or not COPY.fullmatch(identifier):
            raise SenderUnavailable("the provider's answer names no copy")
        self.save(identifier)
        return found

    def _followed(self, target: Path) -> Mapping[str, Any]:
        """Return the copy that an earlier run has begun; empty: it is over, and the next can be started.

        An earlier run may have been killed after the receipt: in its folder it ends, and for another folder it is over.
        """
        answer = self.client.get(self.url, headers=self.headers("GET", self.url))
        if answer.status == NOT_FOUND:  # the provider has lost it with its last commits, or has deleted its record
            self.save(None)
            return {}
        found = asking.checked(answer.status, answer.body, 200)
        sent = found.get("transfer")
        is_here = isinstance(sent, Mapping) and papers.is_of(target, sent.get("id"))
        if has_gone(found) or (found.get("state") == DELIVERED and not is_here):
            self.count()
            return {}
        return found

    @property
    def url(self) -> str:
        """Return the address of the copy that is being fetched."""
        return f"{self.base}/{self.record.copy}"


def _check_kind(copy: Mapping[str, Any], *, only_changes: bool) -> None:
    """Check that a copy under way has what is asked for: a run that was killed may have begun another. Raises BadInput.

    A provider of an earlier release does not say what a copy has.
    """
    begun = copy.get("changes")
    if str(copy.get("state")) in PENDING | READY and isinstance(begun, bool) and begun is not only_changes:
        how = "with --changes" if begun else "without --changes"
        message = f"the copy that is under way was begun {how}, and it has other contents than this run asks for"
        raise BadInput(message, hint=f"fetch that copy first, {how}; then run this again")


def has_gone(copy: Mapping[str, Any]) -> bool:
    """Return whether a copy was delivered, and its time is over: its volumes are deleted."""
    return copy.get("state") == DELIVERED and not copy.get("volumes")


class BoundRequests(httpx.Auth):
    """Gives requests for copies their token and proof; other addresses, such as of a redirect, get neither."""

    def __init__(self, access: PullAccess) -> None:
        self._access = access

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the headers of one request."""
        url = str(request.url.copy_with(query=None, fragment=None))
        if url.startswith(f"{self._access.base}/"):
            request.headers.update(self._access.headers(request.method, url))
        yield request


def fetch(
    access: PullAccess,
    target: Path,
    party: ReceivingParty,
    *,
    patience_seconds: float,
    only_changes: bool = False,
    restart: bool = False,
    began: Began = lambda _step, _total: lambda _: None,
    pause: Callable[[float], object] = time.sleep,
) -> Received:
    """Fetch the copy that is under way, or a new one: wait for it, download its volumes, verify and unpack them.

    Args:
        access: the consent.
        target: the folder.
        party: this side.
        patience_seconds: how long to wait for the copy.
        only_changes: whether it has only what has changed since the last copy that was confirmed.
        restart: whether changes begin again with everything.
        began: called with each step.
        pause: waits between two questions.

    Raises: CopyPending after `patience_seconds`, ProviderRefused, BadInput, and what `receive` raises.
    """
    give_up_at = time.monotonic() + patience_seconds
    asked = {"only_changes": only_changes, "restart": restart}
    while str((state := access.current(target, **asked)).get("state")) in PENDING:
        if time.monotonic() >= give_up_at:
            raise CopyPending(f"the copy {access.record.copy} is not ready: its state is {state['state']}")
        pause(POLL_SECONDS)
    if str(state.get("state")) not in READY:
        access.save(None)
        raise ProviderRefused(f"the copy has ended: {asking.named(state.get('error_code'))}")
    if has_gone(state):
        access.save(None)
        raise ProviderRefused("the copy was delivered before, and its volumes are deleted", hint="ask the person again")
    client = checked_client(access.client, access.url)
    client.auth = BoundRequests(access)
    received = receive(access.url, target, party, began=began, client=client)
    access.count()
    return received

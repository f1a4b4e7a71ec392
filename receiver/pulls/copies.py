"""The copies that a person has allowed: started, followed, fetched and verified, each request with token and proof."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import httpx
from joserfc.jwk import ECKey

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
            self.record = asking.refreshed(self.client, self.us, self.record)
            records.save(self._folder, self.record)
        return self.record.granted or granted

    def current(self, target: Path, *, only_changes: bool = False) -> Mapping[str, Any]:
        """Start a copy for a folder, or return that which is under way. Raises ProviderRefused, SenderUnavailable."""
        if self.record.copy and (found := self._followed(target)):
            return found
        url = f"{self.base}?changes=true" if only_changes else self.base
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
    began: Began = lambda _step, _total: lambda _: None,
    pause: Callable[[float], object] = time.sleep,
) -> Received:
    """Fetch the copy that is under way, or a new one: wait for it, download its volumes, verify and unpack them.

    Raises: CopyPending after `patience_seconds`, ProviderRefused, and what `receive` raises.
    """
    give_up_at = time.monotonic() + patience_seconds
    while str((state := access.current(target, only_changes=only_changes)).get("state")) in PENDING:
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

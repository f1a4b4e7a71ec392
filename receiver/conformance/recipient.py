"""Tests a recipient from its address alone: its document says the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from portability.api.errors import BadInput
from portability.safe_http import SafeHttpClient
from portability.transfers import key_sets, provider_documents
from portability.transfers.provider_documents import ProviderDocument
from portability.trust.signing import PROVIDER_TYPE, SignatureFault, unverified
from receiver.conformance import kit_server, offers, recipient_rules, recipient_run
from receiver.conformance.kit_server import KitServer
from receiver.conformance.recipient_run import RecipientRun
from receiver.conformance.report import ConformanceReport, Finished, RuleResult
from receiver.conformance.webhook_faults import DISCOVERY

OK = 200


@dataclass(frozen=True, slots=True)
class RecipientTest:
    """What a run needs. `url` is the webhook of the recipient."""

    url: str
    secret: str
    """Of the webhooks, as the recipient has recorded it for the kit."""
    public_url: str
    """The kit's own address for the recipient, and its issuer."""
    host: str
    port: int
    document_url: str | None = None
    """The recipient's document; None: `/.well-known/portability` on the origin of its webhook."""
    wait_seconds: float = 60.0
    settle_seconds: float = 5.0
    only: str = "*"


def examine_recipient(client: SafeHttpClient, wanted: RecipientTest, finished: Finished) -> ConformanceReport:
    """Test a recipient with all rules.

    Args:
        client: with the limits of this machine; it may request the recipient.
        wanted: the recipient, and how to reach the kit.
        finished: is called with each result.

    Raises: BadInput, WrongProvider, WeakKey, ClockSkew, AddressRefused, RemoteUnavailable, OSError.
    """
    parts = urlsplit(wanted.url)
    origin = f"{parts.scheme}://{parts.netloc}"
    recipient = discovered(client, wanted.document_url or f"{origin}{provider_documents.PATH}")
    found = RuleResult(
        "discovery", "the document is valid and names the webhook", DISCOVERY, wanted.url, recipient.webhook_url,
        ok=recipient.webhook_url == wanted.url,
    )  # fmt: skip
    finished(found)
    server = KitServer(wanted.public_url, {"keys": []})
    with kit_server.serving(server, wanted.host, wanted.port):
        run = RecipientRun(
            client,
            server,
            recipient,
            lambda: key_sets.fetch(client, recipient.jwks_url),
            wanted.secret,
            wanted.wait_seconds,
            wanted.settle_seconds,
            wanted.only,
        )
        server.keys = offers.key_set(run.maker().party)
        steps: tuple[Callable[[RecipientRun, Finished], list[RuleResult]], ...]
        steps = (recipient_rules.run_rules, recipient_run.run_offers)
        return ConformanceReport("recipient", origin, [found, *(one for step in steps for one in step(run, finished))])


def discovered(client: SafeHttpClient, url: str) -> ProviderDocument:
    """Return the document of the recipient, for the domain that it names.

    Raises: BadInput, WrongProvider, WeakKey, ClockSkew, AddressRefused, RemoteUnavailable.
    """
    answer = client.get(url, headers={"Accept": "application/jose"})
    if answer.status != OK:
        hint = "the recipient has to publish it: see docs/transfers.md#discovery; --document names another address"
        raise BadInput(f"no provider document is at {url}: status {answer.status}", hint=hint)
    try:
        domain = unverified(answer.body.decode("ascii", "replace").strip(), typ=PROVIDER_TYPE).get("iss")
    except SignatureFault as fault:
        raise BadInput(f"the provider document at {url} cannot be read: {fault.fault}") from None
    return provider_documents.discover(client, str(domain), url)

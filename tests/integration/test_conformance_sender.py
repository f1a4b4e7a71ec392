"""The conformance kit against senders: our own, and our own behind a proxy with one planted error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from conforming import failures
from factories import MadeUpExporter, things
from faulty_sender import Fault, FaultySender, Passed, proxied_sender
from sending import offered, recorded, sender
from served import Served
from transferring import Provider

from portability.delivery import limits
from portability.delivery.limits import AttemptRule
from portability.trust.signing import TRANSFER_TYPE, unverified
from receiver.conformance.report import ConformanceReport
from receiver.conformance.sender_run import SenderTest, examine_sender
from receiver.conformance.signers import KitKey, LoadedKey, token
from receiver.fetch.sender import open_client


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultySender]:
    with proxied_sender() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def served(proxy: FaultySender, redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Our own sender behind the proxy. The kit posts more receipts in a minute than a recipient does."""
    more = {"link_claims_max": 100, "base_url": proxy.server.url}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "RECEIPT", AttemptRule("receipt", 10_000, 60))
        patch.setattr(limits, "LINK", AttemptRule("link", 10_000, 60))
        with sender(tmp_path_factory.mktemp("sender"), redis_server, MadeUpExporter(things(5)), **more) as server:
            proxy.target = server.url
            yield replace(server, url=proxy.server.url)


@pytest.fixture(scope="module")
def other_care(served: Served) -> Iterator[Provider]:
    with recorded(served) as provider:
        yield provider


@pytest.fixture(scope="module")
def offer(served: Served, other_care: Provider) -> SenderTest:
    """An offer, with its webhook as it was received."""
    data = offered(served, other_care)
    heard = other_care.webhooks[-1]
    webhook = {"headers": dict(heard.headers), "body": heard.body.decode()}
    key = LoadedKey.of(other_care.key)
    return SenderTest(data["url"], "localhost", [other_care.identity], key, None, webhook, other_care.secret)


def examined(offer: SenderTest) -> ConformanceReport:
    with open_client() as client:
        return examine_sender(client, offer, lambda _result: None)


STRANGER = KitKey("a stranger's transfers", "stranger")


def keys(passed: Passed, change: Callable[[list[dict[str, Any]]], object]) -> Passed:
    """The answer with another key set, if it is one."""
    if not passed.ends("/jwks.json"):
        return passed
    document = orjson.loads(passed.body)
    change(document["keys"])
    return passed.answer(body=orjson.dumps(document))


def landing(passed: Passed, change: Callable[[dict[str, Any]], object]) -> Passed:
    """The answer with another document behind the link, if it is that."""
    is_link = passed.heard.path.startswith("/d/") and passed.heard.path.count("/") == 2
    if passed.heard.method != "GET" or not is_link or passed.status != 200:
        return passed
    document = orjson.loads(passed.body)
    change(document)
    return passed.answer(body=orjson.dumps(document))


def stated(passed: Passed, **claims: Any) -> Passed:
    """The statement with other claims, signed by a key that the key set has."""
    if not passed.ends("/transfer.jwt") or passed.status != 200:
        return keys(passed, lambda found: found.append(STRANGER.public_jwk()))
    changed = {**unverified(passed.body.decode(), typ=TRANSFER_TYPE), **claims}
    right = {name: value for name, value in changed.items() if value is not None}
    return passed.answer(body=token(right, STRANGER, TRANSFER_TYPE).encode())


def of_volume(change: Callable[[Passed], Passed]) -> Fault:
    return lambda passed: change(passed) if passed.is_volume and passed.status < 300 else passed


def of_receipt(status: int, code: bytes) -> Fault:
    """A sender that stores a receipt which it has to refuse."""
    return lambda passed: (
        passed.answer(204, b"") if passed.is_receipt and passed.status == status and code in passed.body else passed
    )


FAULTS: dict[str, tuple[str, Fault]] = {
    "gives everything for a range": (
        "volume-1-range",
        of_volume(lambda passed: passed.answer(200) if passed.status == 206 else passed),
    ),
    "states another range": (
        "volume-1-range",
        of_volume(lambda passed: passed.answer(content_range="bytes 0-1/2") if passed.status == 206 else passed),
    ),
    "gives another part": (
        "volume-1-range",
        of_volume(lambda passed: passed.answer(body=bytes(len(passed.body))) if passed.status == 206 else passed),
    ),
    "has a weak ETag": ("volume-1-etag", of_volume(lambda passed: passed.answer(etag='W/"1"'))),
    "changes its ETag": ("volume-1-etag-stays", of_volume(lambda passed: passed.answer(etag=f'"{time.time_ns()}"'))),
    "ignores If-Range": (
        "volume-1-if-range-other",
        lambda passed: passed.answer(206) if passed.heard.headers.get("if-range") == '"another"' else passed,
    ),
    "answers beyond the end": (
        "volume-1-range-beyond",
        lambda passed: passed.answer(200) if passed.status == 416 else passed,
    ),
    "sends other bytes": (
        "volume-1-bytes",
        of_volume(lambda passed: passed.answer(body=passed.body[:-1] + b"?") if passed.status == 200 else passed),
    ),
    "takes any claim": (
        "volume-1-other-claim",
        lambda passed: (
            passed.answer(200) if passed.ends("volumes/1") and passed.heard.path.endswith("=another") else passed
        ),
    ),
    "claims at another host": (
        "volume-1-claim-origin",
        lambda passed: (
            passed.answer(location=passed.headers["location"].replace("127.0.0.1", "localhost"))
            if passed.status == 303 and "127.0.0.1" in passed.headers["location"]
            else passed.answer(location=f"http://localhost{passed.headers['location']}")
            if passed.status == 303
            else passed
        ),
    ),
    "takes any token": (
        "link-with-another-token",
        lambda passed: passed.answer(200) if passed.status == 404 and passed.heard.method == "GET" else passed,
    ),
    "says that the offer has ended": (
        "link-end",
        lambda passed: landing(passed, lambda document: document.update(expires_at="2020-01-01T00:00:00Z")),
    ),
    "leads to another host": (
        "link-addresses",
        lambda passed: landing(
            passed, lambda document: document["transfer"].update(receipt_url="https://another.example/")
        ),
    ),
    "lists other volumes": (
        "link-volumes",
        lambda passed: landing(passed, lambda document: document["volumes"][0].update(bytes=1)),
    ),
    "sends another list": (
        "list",
        lambda passed: passed.answer(body=passed.body + b" ") if passed.ends("/volumes.json") else passed,
    ),
    "publishes no key": ("statement-signature", lambda passed: keys(passed, lambda found: found.clear())),
    "has revoked its key": (
        "statement-signature",
        lambda passed: keys(passed, lambda found: [one.update(revoked_at="2026-01-01T00:00:00Z") for one in found]),
    ),
    "publishes another key": (
        "statement-signature",
        lambda passed: keys(
            passed,
            lambda found: [one.update(x=STRANGER.public_jwk()["x"], y=STRANGER.public_jwk()["y"]) for one in found],
        ),
    ),
    "states no nonce": ("statement-nonce", lambda passed: stated(passed, nonce=None)),
    "offers for a year": ("statement-times", lambda passed: stated(passed, exp=int(time.time()) + 365 * 86_400)),
    "offers to another recipient": ("statement-aud", lambda passed: stated(passed, aud="another.example")),
    "states no consent": ("statement-claims", lambda passed: stated(passed, consent=None)),
    "changes its statement": (
        "statement-unchanged",
        lambda passed: stated(passed, later=time.time_ns()),
    ),
    "takes forged receipts": ("receipt-by-a-substituted-key", of_receipt(401, b"")),
    "asks for no possession": ("receipt-with-a-guessed-possession", of_receipt(422, b"possession")),
    "ignores the clock of receipts": ("receipt-of-the-future", of_receipt(422, b"clock_skew")),
    "takes a receipt again": ("receipt-repeated", of_receipt(409, b"")),
    "takes receipts of any transfer": ("receipt-of-no-transfer", of_receipt(404, b"")),
    "takes receipts of any media type": ("receipt-of-another-media-type", of_receipt(415, b"")),
    "refuses right receipts": (
        "receipt",
        lambda passed: passed.answer(422) if passed.is_receipt and passed.status == 204 else passed,
    ),
}
USUAL = ("gives everything for a range", "takes forged receipts")
"""The errors of the usual runs of the tests."""


@pytest.mark.requirement("R39")
@pytest.mark.parametrize(
    "name", [name if name in USUAL else pytest.param(name, marks=pytest.mark.system) for name in FAULTS]
)
def test_an_error_of_a_sender_is_found(proxy: FaultySender, offer: SenderTest, name: str) -> None:
    """A sender with one error breaks the rule that names it."""
    rule, proxy.fault = FAULTS[name]
    try:
        report = examined(offer)
    finally:
        proxy.fault = lambda passed: passed

    assert rule in failures(report.results)


@pytest.mark.requirement("R39")
def test_a_webhook_with_another_secret_is_found(offer: SenderTest) -> None:
    """The webhook's signature, its type and its link are checked as it was received."""
    other = "whsec_" + "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI="

    assert "webhook-signature" in failures(examined(replace(offer, secret=other)).results)
    moved = {**dict(offer.webhook or {}), "body": str((offer.webhook or {})["body"]).replace("/d/", "/e/")}
    assert {"webhook-signature", "webhook-body"} <= set(failures(examined(replace(offer, webhook=moved)).results))


@pytest.mark.requirement("R39")
def test_our_own_sender_conforms(offer: SenderTest) -> None:
    """Each promise about an offer is kept: addresses, keys, statement, list, ranges, archive, receipts, webhook."""
    report = examined(offer)

    assert failures(report.results) == {}
    assert len(report.results) >= 50

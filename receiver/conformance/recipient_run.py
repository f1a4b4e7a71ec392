"""Tests a recipient: the kit offers good and bad transfers as a sender, and compares what the recipient does."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import pyrage

from portability.api.times import rfc3339
from portability.safe_http import HttpAnswer, SafeHttpClient
from portability.transfers.provider_documents import ProviderDocument
from portability.trust.signing import RECEIPT_TYPE, Jwks, SignatureFault, check
from receiver.conformance import recipient_offers
from receiver.conformance.archive_faults import KitParty
from receiver.conformance.drafts import KitIssuer
from receiver.conformance.kit_server import KitServer, LiveOffer
from receiver.conformance.offers import OFFER_SECONDS
from receiver.conformance.recipient_offers import DOWNLOADED, REFUSED, KitMaker, OfferPlan
from receiver.conformance.report import Finished, RuleResult
from receiver.conformance.signers import KitKey
from receiver.conformance.webhook_faults import KitWebhook, SentWebhook

PARALLEL = 8
TOO_MANY, RETRY_SECONDS = 429, 2.0
SKEW_SECONDS = 300


@dataclass(frozen=True, slots=True)
class RecipientRun:
    """A run against one recipient."""

    client: SafeHttpClient
    server: KitServer
    recipient: ProviderDocument
    jwks: Callable[[], Jwks]
    """Fetches the recipient's key set."""
    secret: str
    """Of the webhooks."""
    wait_seconds: float = 60.0
    """How long the recipient may take for a transfer."""
    settle_seconds: float = 5.0
    """How long nothing must happen, where nothing may happen."""
    only: str = "*"
    """Pattern of the names of rules."""
    run: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def issuer(self) -> str:
        return self.server.public_url

    def wants(self, name: str) -> bool:
        """Return whether a rule is to be tested."""
        return any(fnmatchcase(name, pattern) for pattern in self.only.split(","))

    def maker(self) -> KitMaker:
        """Return what makes the offers of this run."""
        seal = pyrage.x25519.Recipient.from_str(self.recipient.age_key)
        issuer = KitIssuer(self.issuer, self.key("archive"), int(time.time()), "kit")
        party = KitParty(issuer, self.key("transfer"), *map(self.key, ("stranger", "revoked", "retired")))
        return KitMaker(party, self.recipient.domain, lambda data: bytes(pyrage.encrypt(data, [seal])), self.run)

    def key(self, purpose: str) -> KitKey:
        """Return a key of this run: no other party knows the secret."""
        return KitKey(f"{self.secret} {self.run} {purpose}", f"{purpose}-{self.run}")

    def webhook(self, data: dict[str, object], kind: str = "transfer.offered") -> KitWebhook:
        """Return a webhook of this run."""
        return KitWebhook(self.secret, data, int(time.time()), kind, f"msg_{secrets.token_hex(12)}")

    def offer_data(self, live: LiveOffer, link: str) -> dict[str, object]:
        """Return what a webhook says of an offer."""
        ends_at = datetime.fromtimestamp(live.offer.party.issuer.at + OFFER_SECONDS, UTC)
        names = {"transfer": live.offer.transfer, "issuer": self.issuer, "url": link}
        return {**names, "expires_at": rfc3339(ends_at)}

    def post(self, sent: SentWebhook) -> HttpAnswer:
        """Post a webhook; a recipient that has too much to do is asked later. Raises RemoteUnavailable."""
        give_up_at = time.monotonic() + self.wait_seconds + RETRY_SECONDS
        while True:
            answer = self.client.post(self.recipient.webhook_url, sent.body.encode(), headers=sent.headers)
            if answer.status != TOO_MANY or time.monotonic() > give_up_at:
                return answer
            time.sleep(RETRY_SECONDS)


def run_offers(run: RecipientRun, finished: Finished) -> list[RuleResult]:
    """Make all offers, some at the same time, and return what became of each. Raises PortabilityError."""
    maker = run.maker()
    chosen = [plan for plan in recipient_offers.plans() if run.wants(plan.name)]

    def one(plan: OfferPlan) -> RuleResult:
        result = _offered(run, maker, plan)
        finished(result)
        return result

    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="conformance") as pool:
        return list(pool.map(one, chosen))


def _offered(run: RecipientRun, maker: KitMaker, plan: OfferPlan) -> RuleResult:
    live = plan.make(maker)
    link = run.server.add(live)
    answer = run.post(run.webhook(run.offer_data(live, link)).request())
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - RFC 9110
        return _result(plan, f"status {answer.status} for the webhook", ok=False)
    return _judged(run, live, plan)


def _judged(run: RecipientRun, live: LiveOffer, plan: OfferPlan) -> RuleResult:
    if plan.expected in {DOWNLOADED, REFUSED}:
        _wait(live, run.wait_seconds, lambda: bool(live.receipts))
    else:
        _wait(live, run.wait_seconds, lambda: bool({"statement", "link"}.intersection(live.asked)))
        _wait(live, run.settle_seconds, lambda: bool(live.receipts))
    faults, seen = list(_receipt_faults(run, live)), _seen(run, live)
    if faults:
        return _result(plan, f"{seen}, by a wrong receipt: {'; '.join(faults)}", ok=False)
    match plan.expected:
        case recipient_offers.DOWNLOADED:
            good = seen.startswith(DOWNLOADED) and _resumes(live, plan)
            detail = "" if _resumes(live, plan) else ", without Range and If-Range after the interruption"
            return _result(plan, f"{seen}{detail}", ok=good)
        case recipient_offers.REFUSED:
            return _result(plan, seen, ok=seen in {f"refused with the code {code}" for code in plan.codes})
        case recipient_offers.RESTRICTED:
            hits = _hits(run, live, plan)
            return _result(plan, f"{seen}, a request to another host" if hits else plan.expected, ok=not hits)
        case _:
            stopped = "claim" not in live.asked and not seen.startswith(DOWNLOADED) and bool(live.asked)
            return _result(plan, plan.expected if stopped else seen, ok=stopped)


def _wait(live: LiveOffer, seconds: float, until: Callable[[], bool]) -> None:
    with live.changed:
        live.changed.wait_for(until, seconds)


def _seen(run: RecipientRun, live: LiveOffer) -> str:
    """Return what became of an offer, in words."""
    claims = _claims(run, live)
    if claims is not None:
        code = claims.get("code")
        return DOWNLOADED if claims.get("status") == "received" else f"refused with the code {code}"
    if live.asked.count("volume") >= len(live.offer.volumes):
        return f"{DOWNLOADED}, without a receipt within {run.wait_seconds:g} seconds"
    return f"requests for {', '.join(dict.fromkeys(live.asked)) or 'nothing'}"


def _claims(run: RecipientRun, live: LiveOffer) -> dict[str, object] | None:
    if not live.receipts:
        return None
    try:
        return dict(check(live.receipts[0], run.jwks(), typ=RECEIPT_TYPE))
    except SignatureFault:
        return {}


def _receipt_faults(run: RecipientRun, live: LiveOffer) -> Iterator[str]:
    """Yield what is wrong with the receipts of an offer (docs/transfers.md#receipt)."""
    statement, count = live.documents.statement, len(live.offer.volumes)
    if len(live.receipts) > 1:
        yield f"{len(live.receipts)} receipts"
    for text in live.receipts:
        try:
            claims = check(text, run.jwks(), typ=RECEIPT_TYPE)
        except SignatureFault as fault:
            yield f"its signature: {fault.fault}"
            continue
        wanted = {
            "iss": run.recipient.domain,
            "aud": run.issuer,
            "transfer": live.offer.transfer,
            "transfer_sha256": hashlib.sha256(statement.encode()).hexdigest(),
        }
        yield from (f"claim {name}" for name, value in wanted.items() if claims.get(name) != value)
        if abs(claims["iat"] - time.time()) > SKEW_SECONDS:
            yield "claim iat"
        if claims.get("status") == "received":
            yield from (f"claim {name}" for name in _wrong_proof(live, claims, count))
        elif claims.get("status") != "refused" or not claims.get("code"):
            yield "claims status and code"


def _wrong_proof(live: LiveOffer, claims: Mapping[str, object], count: int) -> Sequence[str]:
    wanted = {"possession": live.offer.possession(), "volumes": count, "code": None}
    return [name for name, value in wanted.items() if claims.get(name) != value]


def _resumes(live: LiveOffer, plan: OfferPlan) -> bool:
    """Return whether an interrupted download was resumed as it should be; True for other offers."""
    if plan.name != "download-interrupted":
        return True
    return any(asked and condition and not asked.startswith("bytes=0-") for asked, condition in live.ranges[1:])


def _hits(run: RecipientRun, live: LiveOffer, plan: OfferPlan) -> bool:
    """Return whether the recipient has requested something of this offer at the other host."""
    if plan.name == "statement-redirected":
        return "/transfer.jwt" in run.server.trapped
    marks = (live.token, live.offer.transfer)
    is_key_set = live.behaviour.links_elsewhere == "jwks_url" and "/.well-known/jwks.json" in run.server.trapped
    return is_key_set or any(mark in path for mark in marks for path in run.server.trapped)


def _result(plan: OfferPlan, seen: str, *, ok: bool) -> RuleResult:
    return RuleResult(plan.name, plan.rule, plan.section, plan.describe(), seen, ok)

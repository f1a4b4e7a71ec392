"""Rules of recipients beside their downloads: discovery, challenges, webhooks and notices."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import pyrage

from portability.safe_http import HttpAnswer
from portability.trust.signing import CHALLENGE_TYPE, NOTICE_TYPE, SignatureFault, check
from receiver.conformance.good_archives import GOOD
from receiver.conformance.kit_server import LiveOffer
from receiver.conformance.recipient_run import RecipientRun
from receiver.conformance.report import Finished, RuleResult
from receiver.conformance.webhook_faults import OFFER, WEBHOOKS, WebhookFaultCase

PROOF, NOTICES = "docs/transfers.md#proof", "docs/transfers.md#notices"
BEGIN = "recipient-challenge-1"
OK, CLIENT_ERRORS, SUCCESS = 200, range(400, 500), range(200, 300)


@dataclass(frozen=True, slots=True)
class AskedRule:
    """A rule that one request shows."""

    rule: str
    section: str
    expected: str
    ask: Callable[[RecipientRun], str]
    """Returns what was seen."""


def run_rules(run: RecipientRun, finished: Finished) -> list[RuleResult]:
    """Test all rules that need no download. Raises PortabilityError."""
    results = []
    for name, rule in rules().items():
        if run.wants(name):
            seen = rule.ask(run)
            result = RuleResult(name, rule.rule, rule.section, rule.expected, seen, ok=seen == rule.expected)
            finished(result)
            results.append(result)
    return results


def rules() -> Mapping[str, AskedRule]:
    """Return the rules by name."""
    proven, refused = "the proof", "no proof"
    signed, ignored = "a signed answer", "no signed answer"
    return {
        "challenge": AskedRule("a challenge is answered with its proof", PROOF, proven, _challenge()),
        "challenge-with-another-text": AskedRule(
            "no other text is decrypted for a sender", PROOF, refused, _challenge(begin="please-decrypt-1")
        ),
        "challenge-for-another-recipient": AskedRule(
            "a challenge has the recipient's domain", PROOF, refused, _challenge(domain="another.example")
        ),
        "challenge-of-another-issuer": AskedRule(
            "a challenge has the sender's issuer", PROOF, refused, _challenge(issuer="https://another.example")
        ),
        "challenge-to-another-key": AskedRule(
            "a challenge is decrypted with the recipient's key", PROOF, refused, _challenge(is_ours=False)
        ),
        "notice": AskedRule("a notice is acknowledged with its hash", NOTICES, signed, _notice()),
        "notice-for-another-recipient": AskedRule(
            "a notice has the recipient's domain", NOTICES, ignored, _notice(audience="another.example")
        ),
        "notice-of-an-unknown-kind": AskedRule(
            "only the known kinds of notices are acknowledged", NOTICES, ignored, _notice(kind="imagined")
        ),
        "offer-repeated": AskedRule("a repeated webhook changes nothing", OFFER, "received once", _repeated),
        **{name: _webhook(name, case) for name, case in WEBHOOKS.items()},
    }


def _webhook(name: str, case: WebhookFaultCase) -> AskedRule:
    def ask(run: RecipientRun) -> str:
        live = run.maker().of(name, lambda party: GOOD["one-volume"](party.issuer))
        webhook = run.webhook(run.offer_data(live, run.server.add(live)))
        answer = run.post(case.make(webhook))
        is_refused = answer.status in CLIENT_ERRORS
        with live.changed:
            live.changed.wait_for(lambda: bool(live.asked), 0.0 if is_refused else run.settle_seconds)
        if live.asked:
            return "the offer was fetched"
        return "refused" if is_refused else f"status {answer.status}"

    return AskedRule(case.rule, case.section, "refused", ask)


def _challenge(
    begin: str = BEGIN, *, domain: str | None = None, issuer: str | None = None, is_ours: bool = True
) -> Callable[[RecipientRun], str]:
    def ask(run: RecipientRun) -> str:
        audience = run.recipient.domain
        lines = (begin, issuer or run.issuer, domain or audience, secrets.token_hex(32))
        text = "".join(f"{line}\n" for line in lines).encode()
        to = pyrage.x25519.Recipient.from_str(run.recipient.age_key)
        sealed = pyrage.encrypt(text, [to if is_ours else pyrage.x25519.Identity.generate().to_public()])
        data = {"recipient": "rcp_conformance", "issuer": run.issuer, "audience": audience}
        webhook = run.webhook({**data, "sealed": base64.b64encode(sealed).decode()}, "recipient.challenge")
        answer = run.post(webhook.request())
        wanted = {"iss": audience, "aud": issuer or run.issuer, "proof": hashlib.sha256(text).hexdigest()}
        if begin == BEGIN and domain is None and issuer is None and is_ours:
            return _signed(run, answer, CHALLENGE_TYPE, wanted) or "the proof"
        return "the proof" if _reveals(answer, hashlib.sha256(text).hexdigest()) else "no proof"

    return ask


def _reveals(answer: HttpAnswer, proof: str) -> bool:
    """Return whether an answer has the hash of the decrypted text, signed or not."""
    texts = [answer.body]
    for part in answer.body.split(b"."):
        with suppress(ValueError):
            texts.append(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    return any(proof.encode() in text for text in texts)


def _notice(kind: str = "withdrawn", *, audience: str | None = None) -> Callable[[RecipientRun], str]:
    def ask(run: RecipientRun) -> str:
        names = {"notice": f"ntc_{run.run}{kind}", "transfer": f"trf_{run.run}none", "issuer": run.issuer}
        sent = run.webhook({**names, "audience": audience or run.recipient.domain}, f"transfer.{kind}").request()
        answer = run.post(sent)
        wanted = {
            "iss": run.recipient.domain,
            "aud": run.issuer,
            "notice": names["notice"],
            "transfer": names["transfer"],
            "kind": kind,
            "notice_sha256": hashlib.sha256(sent.body.encode()).hexdigest(),
        }
        if kind == "withdrawn" and audience is None:
            return _signed(run, answer, NOTICE_TYPE, wanted) or "a signed answer"
        is_answered = answer.status == OK and answer.body.count(b".") == 2  # noqa: PLR2004 - a JWS
        return "a signed answer" if is_answered else "no signed answer"

    return ask


def _signed(run: RecipientRun, answer: HttpAnswer, typ: str, wanted: Mapping[str, str]) -> str | None:
    """Return what is wrong with a signed answer; None if it is right."""
    if answer.status != OK:
        return f"status {answer.status}"
    try:
        claims = check(answer.body.decode("ascii", "replace").strip(), run.jwks(), typ=typ)
    except SignatureFault as fault:
        return f"a wrong signature: {fault.fault}"
    wrong = sorted(name for name, value in wanted.items() if claims.get(name) != value)
    return f"wrong claims: {', '.join(wrong)}" if wrong else None


def _repeated(run: RecipientRun) -> str:
    """Post the same webhook three times, and count what follows."""
    live: LiveOffer = run.maker().of("offer-repeated", lambda party: GOOD["one-volume"](party.issuer))
    sent = run.webhook(run.offer_data(live, run.server.add(live))).request()
    statuses = [run.post(sent).status for _ in range(3)]
    if wrong := [status for status in statuses if status not in SUCCESS]:
        return f"status {wrong[0]}"
    with live.changed:
        live.changed.wait_for(lambda: bool(live.receipts), run.wait_seconds)
        live.changed.wait_for(lambda: len(live.receipts) > 1, run.settle_seconds)
    downloads, receipts = live.asked.count("volume"), len(live.receipts)
    return "received once" if downloads <= 1 and receipts <= 1 else f"{downloads} downloads and {receipts} receipts"

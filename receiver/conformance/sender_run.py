"""Tests a sender: the kit takes an offered link as its recipient, and compares every promise with what it gets."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zipfile import BadZipFile, ZipFile

import httpx

from archive.verify.archives import verify
from portability import strict_json
from portability.api.errors import PortabilityError
from portability.safe_http import AddressRefused, RemoteUnavailable
from portability.trust.signing import TRANSFER_TYPE, Jwks, SignatureFault, check, unverified
from receiver.conformance import sender_receipts
from receiver.conformance.report import ConformanceReport, Finished, RuleResult
from receiver.conformance.sender_downloads import DownloadedVolume, download_rules
from receiver.conformance.signers import KitKey
from receiver.fetch import statement as statements
from receiver.fetch.decryption import unseal
from receiver.fetch.download import FetchPatience
from receiver.fetch.statement import Statement

if TYPE_CHECKING:
    from pyrage import x25519

GETS, STATEMENT = "docs/transfers.md#what-the-recipient-gets", "docs/transfers.md#statement"
TOKENS, KEYS = "docs/links.md#the-token", "docs/archive-format.md#signaturejwt"
ADDRESSES = ("statement_url", "volumes_url", "receipt_url", "jwks_url")
OK, NOT_FOUND = 200, 404
STATEMENT_BYTES, NONCE_CHARACTERS = 2000, 64
DAYS_8 = 8 * 86_400
KEPT = "as promised"


@dataclass(frozen=True, slots=True)
class SenderTest:
    """The offer, and the recipient that the kit is for the sender."""

    link: str
    audience: str
    identities: Sequence[x25519.Identity]
    receipt_key: KitKey
    issuer: str | None = None
    """None: the origin of the link."""
    webhook: Mapping[str, Any] | None = None
    """The webhook of the offer as it was received: `headers` and `body`."""
    secret: str | None = None
    """Of the webhooks."""

    @property
    def origin(self) -> str:
        parts = urlsplit(self.link)
        return f"{parts.scheme}://{parts.netloc}"


@dataclass
class SenderRun:
    """The state of a run."""

    wanted: SenderTest
    client: httpx.Client
    finished: Finished
    results: list[RuleResult] = field(default_factory=list)

    @property
    def link(self) -> str:
        return self.wanted.link

    def rule(self, name: str, text: str, section: str, seen: str, expected: str = KEPT) -> bool:
        """Record a rule; returns whether it is kept."""
        result = RuleResult(name, text, section, expected, seen, ok=seen == expected)
        self.results.append(result)
        self.finished(result)
        return result.ok

    def asks(self, name: str, text: str, section: str, faults: Sequence[str]) -> bool:
        """Record a rule that is kept if there are no faults."""
        return self.rule(name, text, section, "; ".join(faults) or KEPT)

    def get(self, url: str, **headers: str) -> httpx.Response:
        """Send a GET request. Raises httpx.HTTPError."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(url, headers={"Accept": "application/json", **named})


def examine_sender(client: httpx.Client, wanted: SenderTest, finished: Finished) -> ConformanceReport:
    """Test a sender with all rules. It downloads the whole transfer, and ends with a receipt.

    Args:
        client: with the limits of this machine; it follows no redirects.
        wanted: the offer.
        finished: is called with each result.
    """
    run = SenderRun(wanted, client, finished)
    try:
        _run(run)
    except (httpx.HTTPError, httpx.InvalidURL, AddressRefused, RemoteUnavailable) as error:
        run.rule("answers", "the sender answers each request", GETS, f"no answer: {type(error).__name__}")
    return ConformanceReport("sender", wanted.origin, run.results)


def _run(run: SenderRun) -> None:
    transfer = _landing(run)
    _wrong_tokens(run)
    if transfer is None:
        return
    jwks, token = _keys(run, transfer), run.get(transfer["statement_url"]).text.strip()
    said = _statement(run, transfer, token, jwks)
    listed = run.get(transfer["volumes_url"]).content if said else b""
    whole = _list(run, said, listed) if said else None
    if said is None or whole is None or jwks is None:
        return
    with TemporaryDirectory(prefix="conformance-") as name:
        volumes = [one for parcel in whole.parcels if (one := download_rules(run, parcel, Path(name)))]
        if len(volumes) == len(whole.parcels):
            _archive(run, whole, volumes, jwks, Path(name))
            sender_receipts.receipt_rules(run, transfer["receipt_url"], whole, volumes)
    if run.wanted.webhook is not None:
        sender_receipts.webhook_rules(run, transfer["id"])


def _landing(run: SenderRun) -> Mapping[str, str] | None:
    """Check the document behind the link, and return its addresses."""
    answer = run.get(run.wanted.link)
    document = _json(answer)
    transfer = document.get("transfer")
    faults = [] if answer.status_code == OK else [f"status {answer.status_code}"]
    faults += [] if document.get("audience") == "recipient" else ["audience is not recipient"]
    faults += [] if isinstance(document.get("volumes"), list) and document["volumes"] else ["no volumes"]
    addresses = transfer if isinstance(transfer, dict) else {}
    missing = [name for name in ("id", *ADDRESSES) if not isinstance(addresses.get(name), str)]
    run.asks("link", "the link lists volumes and addresses", GETS, faults + [f"no {name}" for name in missing])
    if missing:
        return None
    elsewhere = [name for name in ADDRESSES if not addresses[name].startswith(f"{run.wanted.origin}/")]
    run.asks("link-addresses", "addresses are on the origin of the link", GETS, elsewhere)
    run.asks("link-end", "`expires_at` is in the future", GETS, _end_faults(document.get("expires_at")))
    return {str(name): str(value) for name, value in addresses.items()}


def _end_faults(text: object) -> list[str]:
    try:
        left = datetime.fromisoformat(str(text)).timestamp() - time.time()
    except ValueError:
        return ["it is not a time of RFC 3339"]
    return [] if 0 < left < DAYS_8 else [f"{left:.0f} seconds from now"]


def _wrong_tokens(run: SenderRun) -> None:
    """Request links that were never made: each has the same answer."""
    link = run.wanted.link
    changed = link[:-1] + ("A" if link[-1] != "A" else "B")
    urls = [changed, link[:-8], f"{link}/transfer.jwt".replace(link, changed), f"{changed}/volumes.json"]
    statuses = sorted({run.get(url).status_code for url in urls})
    run.rule(
        "link-with-another-token", "a wrong token is refused", TOKENS, f"status {statuses}", f"status {[NOT_FOUND]}"
    )
    posted = run.client.post(f"{changed}/volumes/1").status_code
    run.rule(
        "claim-with-another-token", "a wrong token gives no claim", TOKENS, f"status {posted}", f"status {NOT_FOUND}"
    )


def _keys(run: SenderRun, transfer: Mapping[str, str]) -> Jwks | None:
    """Return the key set behind the link, if it is that of the issuer."""
    answer = run.get(transfer["jwks_url"])
    try:
        jwks = Jwks.parse(_json(answer))
    except PortabilityError as error:
        run.rule("keys", "the key set can be read", KEYS, str(error))
        return None
    run.rule("keys", "the key set can be read", KEYS, KEPT if jwks.keys else "no ES256 key")
    issuer = run.wanted.issuer or run.wanted.origin
    found = _json(run.get(f"{issuer.rstrip('/')}/.well-known/jwks.json"))
    same = found.get("keys") == _json(answer).get("keys")
    run.rule(
        "keys-of-the-issuer", "it is that at `<iss>/.well-known/jwks.json`", KEYS, KEPT if same else "another key set"
    )
    return jwks


def _statement(run: SenderRun, transfer: Mapping[str, str], token: str, jwks: Jwks | None) -> Statement | None:
    wanted = run.wanted
    again = run.get(transfer["statement_url"]).text.strip()
    run.asks(
        "statement-unchanged", "transfer.jwt is the same each time", STATEMENT, [] if again == token else ["it differs"]
    )
    size = len(token)
    fits = [] if size < STATEMENT_BYTES else [f"{size} bytes"]
    run.asks("statement-size", "transfer.jwt has less than 2,000 bytes", STATEMENT, fits)
    try:
        claims = check(token, jwks or Jwks({}), typ=TRANSFER_TYPE)
    except SignatureFault as fault:
        run.rule("statement-signature", "a key of the key set has signed transfer.jwt", STATEMENT, fault.fault)
        return None
    run.rule("statement-signature", "a key of the key set has signed transfer.jwt", STATEMENT, KEPT)
    issuer = (wanted.issuer or wanted.origin).rstrip("/")
    for name, value in {"iss": issuer, "aud": wanted.audience, "jti": transfer["id"]}.items():
        faults = [] if str(claims.get(name)).rstrip("/") == value else [f"it is {claims.get(name)!r}"]
        run.asks(f"statement-{name}", f"`{name}` is right", STATEMENT, faults)
    run.asks("statement-times", "it is valid now, for at most 8 days", STATEMENT, _time_faults(claims))
    run.asks("statement-nonce", "`nonce` is 32 bytes", STATEMENT, _nonce_faults(claims))
    try:
        said = statements.checked(
            token, jwks or Jwks({}), issuer=issuer, audience=wanted.audience, transfer=transfer["id"]
        )
    except PortabilityError as error:
        run.rule("statement-claims", "all claims are there and have their form", STATEMENT, f"{error.code}: {error}")
        return None
    has_list = [] if said.listed else ["no `list`"]
    run.asks("statement-claims", "all claims are there and have their form", STATEMENT, has_list)
    return said if said.listed else None


def _time_faults(claims: Mapping[str, Any]) -> list[str]:
    issued, ends, present = claims["iat"], claims.get("exp"), time.time()
    if type(ends) is not int:
        return ["no exp"]
    in_time = issued - 300 <= present <= ends and 0 < ends - issued <= DAYS_8
    return [] if in_time else [f"iat is {issued}, exp is {ends}, and now it is {present:.0f}"]


def _nonce_faults(claims: Mapping[str, Any]) -> list[str]:
    nonce = claims.get("nonce")
    return [] if isinstance(nonce, str) and len(nonce) == NONCE_CHARACTERS else ["it is missing, or of another size"]


def _list(run: SenderRun, said: Statement, listed: bytes) -> Statement | None:
    try:
        whole = statements.with_volumes(said, listed)
    except PortabilityError as error:
        run.rule("list", "volumes.json is the signed list", STATEMENT, str(error))
        return None
    run.rule("list", "volumes.json is the signed list", STATEMENT, KEPT)
    files = {parcel.number: parcel.sent for parcel in whole.parcels}
    wanted = [
        {"name": one.name, "bytes": one.size, "sha256": one.sha256, "number": number} for number, one in files.items()
    ]
    shown = _json(run.get(run.wanted.link)).get("volumes")
    lines = [{name: line.get(name) for name in wanted[0]} for line in shown] if isinstance(shown, list) else []
    run.asks(
        "link-volumes", "the link lists the same encrypted volumes", GETS, [] if lines == wanted else ["they differ"]
    )
    return whole


def _archive(run: SenderRun, said: Statement, volumes: Sequence[DownloadedVolume], jwks: Jwks, folder: Path) -> None:
    """Decrypt all volumes, and verify the archive."""
    paths = []
    for one in volumes:
        path = folder / one.parcel.plain.name
        try:
            unseal(one.path, one.parcel, path, run.wanted.identities, FetchPatience())
        except PortabilityError as error:
            run.rule(
                "decrypted", "volumes are encrypted to the recipient, with the listed hashes", STATEMENT, error.code
            )
            return
        paths.append(path)
    run.rule("decrypted", "volumes are encrypted to the recipient, with the listed hashes", STATEMENT, KEPT)
    result = verify(paths, jwks)
    faults = sorted({str(fault.code) for fault in result.errors})
    run.asks("archive", "the archive verifies", "docs/archive-format.md#checking", faults)
    claims = [_signed_claims(path) for path in paths]
    wanted = {"iss": said.issuer, "export": said.export, "sub": said.subject, "profile": said.profile}
    differing = [name for name, value in wanted.items() if any(one.get(name) != value for one in claims)]
    run.asks("archive-of-the-statement", "the archive is that of the statement", STATEMENT, differing)


def _signed_claims(path: Path) -> Mapping[str, Any]:
    try:
        with ZipFile(path) as archive:
            name = archive.namelist()[-1]
            return unverified(archive.read(name).decode("ascii", "replace"), typ="portability-archive+jwt")
    except (BadZipFile, SignatureFault, IndexError):
        return {}


def _json(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        document = strict_json.parse(answer.content)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {}

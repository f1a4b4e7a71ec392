"""Writes the test vectors below `conformance/vectors`: the same bytes each time.

`python conformance/make_vectors.py`, with the repository on PYTHONPATH. The only input is the encrypted volume in
`vectors/transfer`: age encrypts differently each time, so that it is written once and then kept.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage

from portability.trust.signing import CHALLENGE_TYPE, NOTICE_TYPE
from receiver.conformance import bad_bags, bad_signatures, bad_zips, offer_faults, offers
from receiver.conformance.archive_faults import Cases, KitParty
from receiver.conformance.drafts import KitIssuer, MadeVolume
from receiver.conformance.good_archives import GOOD, RECORDS
from receiver.conformance.offers import KitOffer
from receiver.conformance.receipt_faults import RECEIPT, RECEIPTS, KitReceipt
from receiver.conformance.signers import KitKey, token
from receiver.conformance.webhook_faults import DISCOVERY, PROVIDERS, WEBHOOKS, KitProvider, KitWebhook

VECTORS = Path(__file__).parent / "vectors"
WARNING = "TEST KEYS. They are public: never use one of them for anything else."
AT = 1_795_932_000
"""The time at which all vectors are to be checked: 29 November 2026, 06:00 UTC."""
ISSUER, AUDIENCE, TRANSFER = "https://sender.example", "recipient.example", "trf_conformance"
SECRET = "whsec_" + "cG9ydGFiaWxpdHkgY29uZm9ybWFuY2Uga2l0IQ=="
AGE_IDENTITY = "AGE-SECRET-KEY-1VV2MMR3WPPULF6DMCC9R6CSLXZLXFRWDLH7JLANZUARRQFFAXS0SUHLM6V"
RECEIPT_KEY = KitKey("portability conformance: receipts", "receipt-test-1")
PARTY = KitParty(
    KitIssuer(ISSUER, KitKey("portability conformance: archives", "archive-test-1"), AT, "conformance"),
    KitKey("portability conformance: transfers", "transfer-test-1"),
    KitKey("portability conformance: stranger", "stranger-test-1"),
    KitKey("portability conformance: revoked", "revoked-test-1"),
    KitKey("portability conformance: retired", "retired-test-1"),
)
SET_OF_CASES: Mapping[str, Cases] = {
    "zip": bad_zips.STRUCTURE,
    "names": bad_zips.NAMED,
    "files": bad_bags.FILES,
    "signatures": bad_signatures.SIGNED,
    "volumes": bad_bags.VOLUMES,
}


@dataclass(frozen=True, slots=True)
class VectorFolder:
    """Where the vectors are written."""

    root: Path

    def bytes(self, name: str, content: bytes) -> None:
        """Write a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def json(self, name: str, document: object) -> None:
        """Write a JSON document."""
        self.bytes(name, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())

    def sums(self) -> None:
        """Write SHA256SUMS of all other files."""
        files = sorted(path for path in self.root.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
        lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(self.root)}\n" for path in files)
        self.bytes("SHA256SUMS", "".join(lines).encode())


def main(target: Path = VECTORS) -> None:
    """Write all vectors."""
    folder = VectorFolder(target)
    write_keys(folder)
    write_archives(folder)
    offer = write_transfer(folder)
    write_offers(folder, offer)
    write_receipts(folder, offer)
    write_webhooks(folder)
    write_providers(folder)
    folder.sums()


def write_keys(folder: VectorFolder) -> None:
    """Write the key sets, and the private keys of the recipient."""
    folder.json("sender-jwks.json", offers.key_set(PARTY))
    folder.json("recipient-jwks.json", {"keys": [RECEIPT_KEY.public_jwk()]})
    private = {"receipt_key": RECEIPT_KEY.private_jwk(), "age_identity": AGE_IDENTITY, "webhook_secret": SECRET}
    of_sender = {
        "archive_key": PARTY.issuer.archive_key.private_jwk(),
        "transfer_key": PARTY.transfer_key.private_jwk(),
    }
    names = {"at": AT, "issuer": ISSUER, "audience": AUDIENCE}
    folder.json("test-keys.json", {"warning": WARNING, **names, **private, **of_sender})


def write_archives(folder: VectorFolder) -> None:
    """Write good and bad archives, and what is expected of each."""
    documents = []
    for name, make in GOOD.items():
        volumes = _written(folder, name, make(PARTY.issuer))
        expected: dict[str, Any] = {
            "ok": True,
            "records": RECORDS[name],
            "code": None,
            "receipts": None,
            "rule": None,
            "section": None,
        }
        documents.append({"name": name, "set": "good", "volumes": volumes, **expected})
    for group, cases in SET_OF_CASES.items():
        for name, case in cases.items():
            volumes = _written(folder, name, case.make(PARTY))
            expected = {"ok": False, "code": case.code, "receipts": list(case.receipts), "rule": case.rule}
            documents.append({"name": name, "set": group, "volumes": volumes, **expected, "section": case.section})
    described = {"jwks": "sender-jwks.json", "export": PARTY.issuer.export, "archives": documents}
    folder.json("archives.json", described)


def _written(folder: VectorFolder, name: str, volumes: Any) -> list[str]:  # noqa: ANN401  # a sequence of volumes
    paths = []
    for number, volume in enumerate(volumes, 1):
        paths.append(f"archives/{name}{'' if len(volumes) == 1 else f'-{number}'}.zip")
        folder.bytes(paths[-1], volume.data)
    return paths


def write_transfer(folder: VectorFolder) -> KitOffer:
    """Write an offer that is right in every point, with its encrypted volume and a receipt for it."""
    volumes = GOOD["one-volume"](PARTY.issuer)
    sent = [_sealed(volume) for volume in volumes]
    offer = KitOffer(PARTY, AUDIENCE, TRANSFER, volumes, sent)
    documents = offers.right(offer)
    folder.bytes("transfer/transfer.jwt", documents.statement.encode())
    folder.bytes("transfer/volumes.json", documents.listed)
    for volume, data in zip(volumes, sent, strict=True):
        folder.bytes(f"transfer/{volume.name}.zip.age", data)
    folder.bytes("transfer/receipt.jwt", _receipt(offer).right("received").encode())
    return offer


def _sealed(volume: MadeVolume) -> bytes:
    """Return the encrypted volume that is there if it is that of the volume, else a new one."""
    identity, path = pyrage.x25519.Identity.from_str(AGE_IDENTITY), VECTORS / "transfer" / f"{volume.name}.zip.age"
    if path.is_file() and pyrage.decrypt(path.read_bytes(), [identity]) == volume.data:
        return path.read_bytes()
    return bytes(pyrage.encrypt(volume.data, [identity.to_public()]))


def write_offers(folder: VectorFolder, offer: KitOffer) -> None:
    """Write bad statements and lists; what is encrypted is not among them, because it differs each time."""
    documents = []
    for name, case in {**offer_faults.STATEMENTS, **offer_faults.LISTS}.items():
        made = case.make(offer)
        expected = {"code": case.code, "has_receipt": case.has_receipt, "rule": case.rule, "section": case.section}
        documents.append(
            {"name": name, "transfer_jwt": made.statement, "volumes_json": made.listed.decode(), **expected}
        )
    names = {"at": AT, "issuer": ISSUER, "audience": AUDIENCE, "transfer": TRANSFER, "jwks": "sender-jwks.json"}
    folder.json("offers.json", {**names, "offers": documents})


def write_receipts(folder: VectorFolder, offer: KitOffer) -> None:
    """Write bad receipts for the right offer, and the answers of its sender."""
    receipt = _receipt(offer)
    documents = [{"name": "received", "receipt": receipt.right("received"), "status": 204, "code": None, "rule": None}]
    refusal = receipt.right("refused", status="refused", code="changed", possession=None)
    documents.append({"name": "refused", "receipt": refusal, "status": 204, "code": None, "rule": None})
    for name, case in RECEIPTS.items():
        expected = {"status": case.status, "code": case.code, "rule": case.rule}
        documents.append({"name": name, "receipt": case.make(receipt, name), **expected})
    names = {"at": AT, "offered_at": AT, "transfer_jwt": "transfer/transfer.jwt", "jwks": "recipient-jwks.json"}
    folder.json("receipts.json", {**names, "section": RECEIPT, "receipts": documents})


def _receipt(offer: KitOffer) -> KitReceipt:
    statement = offers.right(offer).statement
    return KitReceipt(ISSUER, AUDIENCE, TRANSFER, statement, len(offer.volumes), offer.possession(), RECEIPT_KEY, AT)


def write_webhooks(folder: VectorFolder) -> None:
    """Write webhooks, good and bad, and answers to a notice and a challenge."""
    data = {"transfer": TRANSFER, "issuer": ISSUER, "url": f"{ISSUER}/d/token", "expires_at": "2026-12-06T06:00:00Z"}
    webhook = KitWebhook(SECRET, data, AT)
    right = webhook.request()
    documents: list[Any] = [{"name": "offer", "ok": True, "headers": right.headers, "body": right.body, "rule": None}]
    for name, case in WEBHOOKS.items():
        sent = case.make(webhook)
        about = {"rule": case.rule, "section": case.section}
        documents.append({"name": name, "ok": False, "headers": sent.headers, "body": sent.body, **about})
    sender = {"issuer": ISSUER, "secret": SECRET, "jwks_url": f"{ISSUER}/.well-known/jwks.json"}
    folder.json("webhooks.json", {"at": AT, "sender": sender, "webhooks": documents, "answers": [*_answers()]})


def _answers() -> Iterator[dict[str, Any]]:
    data = {"notice": "ntc_conformance", "transfer": TRANSFER, "issuer": ISSUER, "audience": AUDIENCE}
    notice = KitWebhook(SECRET, data, AT, "transfer.withdrawn", "msg_notice").request()
    claims = {"iss": AUDIENCE, "aud": ISSUER, "iat": AT, "notice": "ntc_conformance", "transfer": TRANSFER}
    claims |= {"kind": "withdrawn", "notice_sha256": hashlib.sha256(notice.body.encode()).hexdigest()}
    answer = token(claims, RECEIPT_KEY, NOTICE_TYPE)
    yield {"name": "notice", "headers": notice.headers, "body": notice.body, "answer": answer, "claims": claims}
    text = f"recipient-challenge-1\n{ISSUER}\n{AUDIENCE}\n{'5e' * 32}\n"
    claims = {"iss": AUDIENCE, "aud": ISSUER, "iat": AT, "proof": hashlib.sha256(text.encode()).hexdigest()}
    yield {"name": "challenge", "text": text, "answer": token(claims, RECEIPT_KEY, CHALLENGE_TYPE), "claims": claims}


def write_providers(folder: VectorFolder) -> None:
    """Write documents of `/.well-known/portability`, good and bad."""
    age_key = str(pyrage.x25519.Identity.from_str(AGE_IDENTITY).to_public())
    provider = KitProvider(AUDIENCE, age_key, RECEIPT_KEY, AT)
    documents: list[Any] = [{"name": "right", "ok": True, "document": provider.document(), "code": None, "rule": None}]
    for name, case in PROVIDERS.items():
        expected = {"ok": False, "document": case.make(provider), "code": case.code, "rule": case.rule}
        documents.append({"name": name, **expected})
    names = {"at": AT, "domain": AUDIENCE, "jwks": "recipient-jwks.json", "section": DISCOVERY}
    folder.json("providers.json", {**names, "documents": documents})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

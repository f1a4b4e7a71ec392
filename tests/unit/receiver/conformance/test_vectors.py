"""The test vectors: they stay the same, this software says of each what they say, and Node says the same."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from judges.programs import program
from repository import ROOT

from portability.api.errors import PortabilityError
from portability.safe_http import HttpAnswer, SafeHttpClient
from portability.transfers import provider_documents
from portability.trust.signing import PROVIDER_TYPE, Jwks, SignatureFault, check
from receiver.conformance import offer_faults, offers, recipient_offers, recipient_rules
from receiver.conformance.archive_faults import KitParty
from receiver.conformance.drafts import KitIssuer
from receiver.conformance.good_archives import GOOD
from receiver.conformance.offer_faults import OfferFaultCase
from receiver.conformance.offers import KitOffer
from receiver.conformance.receipt_faults import RECEIPT
from receiver.conformance.signers import KitKey
from receiver.conformance.webhook_faults import DISCOVERY, PROVIDERS, KitProvider
from receiver.faults import TransferRefused
from receiver.fetch import statement
from receiver.verify.unpack import unpack

FOLDER = ROOT / "conformance"
VECTORS = FOLDER / "vectors"
ARCHIVES = json.loads((VECTORS / "archives.json").read_text())
OFFERS: Mapping[str, OfferFaultCase] = {**offer_faults.STATEMENTS, **offer_faults.LISTS}
AGE_KEY = "age1yu4vdhz5g0un9k9zv8z42569emcd95rg8e0fmqsar536p4n93u3swwlmpj"


def party() -> KitParty:
    """A sender of now."""
    keys = [KitKey(f"test {name}", name) for name in ("archive", "transfer", "stranger", "revoked", "retired")]
    issuer = KitIssuer("https://sender.example", keys[0], int(time.time()), "conformance")
    return KitParty(issuer, *keys[1:])


@pytest.mark.slow
def test_the_vectors_are_made_by_their_program(tmp_path: Path) -> None:
    """The program writes each file again, byte for byte; SHA256SUMS has all of them."""
    subprocess.run([sys.executable, FOLDER / "make_vectors.py", tmp_path], check=True)

    for folder in (VECTORS, tmp_path):
        lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
        listed = {name: sha256 for sha256, name in lines}
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
        found = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        assert listed == found
    assert (VECTORS / "SHA256SUMS").read_text() == (tmp_path / "SHA256SUMS").read_text()


def test_there_are_enough_archives() -> None:
    """6 good archives and 89 bad archives, in all smaller than a megabyte."""
    good = [one for one in ARCHIVES["archives"] if one["ok"]]

    assert (len(good), len(ARCHIVES["archives"]) - len(good)) == (6, 89)
    assert sum(path.stat().st_size for path in VECTORS.rglob("*") if path.is_file()) < 1_000_000


@pytest.mark.requirement("R39", "R46")
@pytest.mark.parametrize("vector", ARCHIVES["archives"], ids=lambda vector: vector["name"])
def test_an_archive_is_as_its_vector_says(vector: dict[str, Any], tmp_path: Path) -> None:
    """A good archive is unpacked; a bad archive is refused with its code, and nothing of it is written."""
    jwks = Jwks.parse(json.loads((VECTORS / ARCHIVES["jwks"]).read_text()))
    paths = [VECTORS / name for name in vector["volumes"]]

    def unpacked() -> object:
        return unpack(paths, jwks, tmp_path, expected={"export": ARCHIVES["export"]})

    if vector["ok"]:
        assert unpacked()
        return
    with pytest.raises(TransferRefused) as refused:
        unpacked()
    assert refused.value.code in vector["receipts"]
    faults = {fault.code for fault in getattr(refused.value, "faults", ())}
    assert vector["code"] in faults or refused.value.code == "archive_too_large"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("R39")
@pytest.mark.parametrize("name", OFFERS)
def test_an_offer_is_refused_with_its_code(name: str) -> None:
    """A statement or list with one fault is refused; the same offer without it is valid."""
    case = OFFERS[name]
    sender = party()
    volumes = GOOD["one-volume"](sender.issuer)
    offer = KitOffer(sender, "recipient.example", "trf_test", volumes, [one.data for one in volumes])
    jwks = Jwks.parse(offers.key_set(sender))

    def checked(documents: offers.OfferedDocuments) -> statement.Statement:
        said = statement.checked(
            documents.statement, jwks, issuer=sender.issuer.url, audience=offer.audience, transfer=offer.transfer
        )
        return statement.with_volumes(said, documents.listed)

    assert checked(offers.right(offer)).parcels
    with pytest.raises(PortabilityError) as refused:
        checked(case.make(offer))
    assert refused.value.code == case.code


@pytest.mark.requirement("R39")
@pytest.mark.parametrize("name", [None, *PROVIDERS])
def test_a_document_of_a_provider_is_taken_or_refused_with_its_code(
    name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document with one fault is refused; the right document is taken."""
    provider = KitProvider("recipient.example", AGE_KEY, KitKey("test provider", "provider"), int(time.time()))
    document = provider.document() if name is None else PROVIDERS[name].make(provider)
    answers = {
        "/.well-known/portability": document.encode(),
        "/.well-known/jwks.json": json.dumps({"keys": [provider.key.public_jwk()]}).encode(),
    }
    client = SafeHttpClient(resolve=lambda _host, _port: ["93.184.216.34"])
    monkeypatch.setattr(
        SafeHttpClient,
        "get",
        lambda _self, url, **_: HttpAnswer(200, answers[url.removeprefix("https://recipient.example")]),
    )

    if name is None:
        assert provider_documents.discover(client, provider.domain).age_key == AGE_KEY
        return
    with pytest.raises(PortabilityError) as refused:
        provider_documents.discover(client, provider.domain)
    assert refused.value.code == PROVIDERS[name].code


def test_signatures_are_deterministic() -> None:
    """The same key and text give the same signature, which a library verifies."""
    key = KitKey("test", "test")
    provider = KitProvider("recipient.example", AGE_KEY, key, int(time.time()))

    assert provider.document() == provider.document()
    assert check(provider.document(), Jwks.parse({"keys": [key.public_jwk()]}), typ=PROVIDER_TYPE)["iss"]
    with pytest.raises(SignatureFault):
        check(provider.document(), Jwks.parse({"keys": [KitKey("other", "test").public_jwk()]}), typ=PROVIDER_TYPE)


def test_each_section_is_in_the_documents() -> None:
    """Each rule names a page and a heading that exist."""
    sections = {plan.section for plan in recipient_offers.plans()}
    sections |= {rule.section for rule in recipient_rules.rules().values()} | {RECEIPT, DISCOVERY}

    assert {section for section in sections if not heading_exists(section)} == set()


def heading_exists(section: str) -> bool:
    page, _, anchor = section.partition("#")
    lines = [line.lstrip("# ") for line in (ROOT / page).read_text().splitlines() if line.startswith("#")]
    made = {"".join(c for c in line.lower().replace(" ", "-") if c.isalnum() or c in "-_") for line in lines}
    return anchor in made


@pytest.mark.slow
def test_the_receiver_in_node_says_what_the_vectors_say() -> None:
    """A receiver that shares no code with this software accepts and refuses the same, with the same codes."""
    command = [program("node", package="nodejs"), "--test", str(FOLDER / "receiver" / "check-vectors.mjs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, [line for line in done.stdout.splitlines() if line.startswith("not ok")]
    assert "# pass 156" in done.stdout

"""Key stores: a token of SoftHSM, and a strict stand-in of AWS KMS by its public API (not run against AWS)."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from judges.programs import program
from listener import Heard, Listener, Reply, listening

from portability.key_stores import aws_kms, pkcs11

LIBRARY = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "4711"
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=AKIDTEST/\d{8}/eu-central-1/kms/aws4_request,"
    r" SignedHeaders=\S+, Signature=[0-9a-f]{64}"
)


class KeyStore(Protocol):
    """What a test does with a store."""

    def new(self) -> str:
        """Make a key for ECDSA with P-256, as its operator would; returns its URI."""

    def stop(self) -> None:
        """Let it fail until `go_on`."""

    def go_on(self) -> None: ...


MAKE = """
import sys
import pkcs11
from pkcs11.util.ec import encode_named_curve_parameters

library, pin, label = sys.argv[1:]
with pkcs11.lib(library).get_token(token_label="portability").open(rw=True, user_pin=pin) as session:
    curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    kept = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False}
    parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
    _, private = parameters.generate_keypair(store=True, label=label, private_template=kept)
    assert not private[pkcs11.Attribute.EXTRACTABLE]
"""
"""The program of the token's operator, in a process of its own."""


@dataclass
class SoftHsm:
    """A token in a folder; its keys cannot leave it."""

    folder: Path
    count: int = 0

    def new(self) -> str:
        self.count += 1
        label = f"archive {self.count}"
        subprocess.run([sys.executable, "-c", MAKE, LIBRARY, PIN, label], check=True, capture_output=True)
        where = f"module-path={LIBRARY}&pin-source=file:{self.folder / 'pin'}"
        return f"pkcs11:token=portability;object={label.replace(' ', '%20')}?{where}"

    def stop(self) -> None:
        (self.folder / "tokens").rename(self.folder / "away")
        (self.folder / "tokens").mkdir()

    def go_on(self) -> None:
        (self.folder / "tokens").rmdir()
        (self.folder / "away").rename(self.folder / "tokens")


@contextmanager
def soft_hsm(folder: Path) -> Iterator[SoftHsm]:
    """A new token, for this process and those that it starts."""
    util = program("softhsm2-util", package="softhsm2")
    (folder / "tokens").mkdir(parents=True)
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        made = [util, "--init-token", "--free", "--label", "portability", "--pin", PIN, "--so-pin", "0000"]
        subprocess.run(made, check=True, capture_output=True, env=os.environ)
        (folder / "pin").write_text(PIN)
        pkcs11._library.cache_clear()
        yield SoftHsm(folder)


@dataclass
class KmsStandIn:
    """The operations Sign and GetPublicKey, with the checks and answers of the API reference."""

    server: Listener
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    def new(self) -> str:
        arn = f"arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-{len(self.keys):012}"
        self.keys[arn] = ec.generate_private_key(ec.SECP256R1())
        return f"aws-kms:{arn}"

    def stop(self) -> None:
        self.server.reply = lambda _heard: _refusal(500, "KMSInternalException")

    def go_on(self) -> None:
        self.server.reply = self.reply

    def reply(self, heard: Heard) -> Reply:
        if heard.method != "POST" or heard.headers["content-type"] != "application/x-amz-json-1.1":
            return _refusal(400, "SerializationException")
        if not AUTHORIZATION.fullmatch(heard.headers["authorization"]):
            return _refusal(400, "IncompleteSignatureException")
        asked = json.loads(heard.body)
        key = self.keys.get(asked.get("KeyId"))
        if key is None:
            return _refusal(400, "NotFoundException")
        operations: dict[str, Callable[[dict[str, Any], ec.EllipticCurvePrivateKey], Reply]] = {
            "TrentService.Sign": _sign,
            "TrentService.GetPublicKey": _public_key,
        }
        operation = operations.get(heard.headers["x-amz-target"])
        return operation(asked, key) if operation else _refusal(400, "UnknownOperationException")


def _sign(asked: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> Reply:
    known = {"MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
    digest = base64.b64decode(asked.pop("Message"))
    if asked != known | {"KeyId": asked["KeyId"]} or len(digest) != 32:
        return _refusal(400, "ValidationException")
    signature = key.sign(digest, ec.ECDSA(Prehashed(SHA256())))
    return _answer({**known, "KeyId": asked["KeyId"], "Signature": base64.b64encode(signature).decode()})


def _public_key(asked: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> Reply:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _answer({"KeyId": asked["KeyId"], "KeySpec": "ECC_NIST_P256", "PublicKey": base64.b64encode(der).decode()})


def _answer(content: dict[str, Any], status: int = 200) -> Reply:
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(content).encode()


def _refusal(status: int, kind: str) -> Reply:
    return _answer({"__type": kind, "message": "refused"}, status)


@contextmanager
def kms_stand_in() -> Iterator[KmsStandIn]:
    """The service for this process and those that it starts."""
    with listening() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_KMS", server.url)
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "not a secret")
        aws_kms._client.cache_clear()
        service = KmsStandIn(server)
        service.go_on()
        yield service

"""Keys of AWS Key Management Service: `aws-kms:ARN`, of a key for SIGN_VERIFY with the specification ECC_NIST_P256.

Credentials and endpoint are those of boto3: a role, environment variables, or a profile. The role needs kms:Sign and
kms:GetPublicKey.
API: https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html (1,000 requests a second and region by default).
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from portability.api.errors import BadSetting

ARN = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):\d{12}:key/[A-Za-z0-9-]+")
SECONDS = 5
COORDINATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class AwsKmsKey:
    """A key of AWS KMS."""

    arn: str
    region: str

    def public_key(self) -> bytes:
        """Return the DER of the public half. Raises errors of botocore."""
        return bytes(_client(self.region, os.getpid()).get_public_key(KeyId=self.arn)["PublicKey"])

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes. Raises errors of botocore."""
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature  # noqa: PLC0415  # slow to load

        digest = hashlib.sha256(message).digest()
        asked = {"KeyId": self.arn, "Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
        numbers = decode_dss_signature(_client(self.region, os.getpid()).sign(**asked)["Signature"])
        return b"".join(number.to_bytes(COORDINATE_BYTES) for number in numbers)


@cache
def _client(region: str, _pid: int) -> Any:  # noqa: ANN401  # boto3 has no types for KMS here
    """Return the client of this process: a fork shares no connection."""
    from boto3.session import Session  # noqa: PLC0415  # slow to load
    from botocore.config import Config  # noqa: PLC0415  # as above

    patience = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 3})
    return Session().client("kms", region_name=region, config=patience)


def open_key(uri: str) -> AwsKmsKey:
    """Open the key of a URI. Raises BadSetting."""
    found = ARN.fullmatch(uri.partition(":")[2])
    if found is None:
        hint = "use aws-kms:arn:aws:kms:REGION:ACCOUNT:key/ID; an alias could lead to another key later"
        raise BadSetting("the URI of a key of AWS KMS has no ARN of a key", hint=hint)
    return AwsKmsKey(found[0], found["region"])

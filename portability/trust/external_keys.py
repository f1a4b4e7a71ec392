"""Keys whose private half is in a key store: a file in the keys folder says where, and contains the public half."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from joserfc.jwk import ECKey

from portability.api.errors import BadSetting, PortabilityError
from portability.api.key_stores import KeyHandle
from portability.errors import NoSigningKey
from portability.plugins import KEY_STORES, find
from portability.trust import key_files

SUFFIX = ".key.json"
SIGNATURE_BYTES = 64
DAMAGED_HINT = "copy the file again, whole, from another machine or a backup; it has the URI and the public half"
HINT = "does the key store answer this machine, and may it sign? See docs/operate.md#keys-in-a-key-store"


@dataclass(frozen=True, slots=True)
class ExternalKey:
    """A key that signs in its store."""

    kid: str
    uri: str
    public: ECKey

    def sign(self, message: bytes) -> bytes:
        """Return the signature ES256 of a message. Raises NoSigningKey, also if another key has made it."""
        signature = _asked(self.uri, lambda key: key.sign(message))
        if not _is_valid(self.public, message, signature):
            raise NoSigningKey(f"the signature of the key store is not of the key {self.kid}", hint=HINT)
        return signature


def found(kid: str, uri: str) -> ExternalKey:
    """Return the key of a URI, after it has signed once. Raises BadSetting, NoSigningKey."""
    public = load_der_public_key(_asked(uri, lambda key: key.public_key()))
    if not (isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1)):
        raise BadSetting("the key of the key store is not on the curve P-256", hint="make one for ECDSA with P-256")
    key = ExternalKey(kid, uri, ECKey.import_key(public, {"kid": kid, "use": "sig", "alg": "ES256"}))
    key.sign(secrets.token_bytes(32))
    return key


def written(key: ExternalKey) -> bytes:
    """Return the content of the file that refers to a key."""
    return orjson.dumps({"uri": key.uri, "public_jwk": key.public.as_dict(private=False)}, option=orjson.OPT_INDENT_2)


def parsed(path: Path) -> ExternalKey:
    """Read the file that refers to a key. Raises OSError; NoSigningKey if its content is something else."""
    kid = path.name.removesuffix(SUFFIX)
    try:
        content = orjson.loads(key_files.content(path))
        return ExternalKey(kid, str(content["uri"]), ECKey.import_key(content["public_jwk"]))
    except (ValueError, KeyError, TypeError) as error:
        seen = f"cannot read {path.name} in PORTABILITY_KEYS_DIR: {type(error).__name__}"
        raise NoSigningKey(seen, hint=DAMAGED_HINT) from None


def _asked(uri: str, ask: Callable[[KeyHandle], bytes]) -> bytes:
    """Ask the key of a URI. The text of an error is not repeated, because it may contain secrets."""
    try:
        return ask(_opened(uri))
    except PortabilityError:
        raise
    except ImportError as error:
        hint = f'pip install "vlint-portability[{uri.partition(":")[0]}]"'
        raise NoSigningKey(f"a package for the key store is missing: {error.name}", hint=hint) from None
    except Exception as error:  # noqa: BLE001  # of a plug-in
        raise NoSigningKey(f"the key store fails: {type(error).__name__}", hint=HINT) from None


@lru_cache(maxsize=64)
def _opened(uri: str) -> KeyHandle:
    scheme = uri.partition(":")[0]
    stores = find(KEY_STORES)
    if scheme not in stores:
        raise BadSetting("the URI of a key names no key store", hint=f"it begins with one of: {', '.join(stores)}")
    key: KeyHandle = stores[scheme].load()(uri)
    return key


def _is_valid(public: ECKey, message: bytes, signature: bytes) -> bool:
    if len(signature) != SIGNATURE_BYTES:
        return False
    half = SIGNATURE_BYTES // 2
    der = encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
    key = public.public_key
    try:
        key.verify(der, message, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True

"""The signature is verified by three JOSE libraries that share no code with the signing one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import jwt
import pytest
from judges.cases import Archive
from judges.programs import library, node, run

Claims: TypeAlias = Mapping[str, Any]


def py_jwt(tokens: Sequence[Path], jwks: Path) -> list[Claims]:
    keys = jwt.PyJWKSet.from_json(jwks.read_text())
    return [_by_py_jwt(token.read_text(), keys) for token in tokens]


def jwcrypto(tokens: Sequence[Path], jwks: Path) -> list[Claims]:
    library("jwcrypto")
    keys = import_module("jwcrypto.jwk").JWKSet.from_json(jwks.read_text())
    checked = import_module("jwcrypto.jwt").JWT
    return [json.loads(checked(jwt=token.read_text(), key=keys, algs=["ES256"]).claims) for token in tokens]


def node_jose(tokens: Sequence[Path], jwks: Path) -> list[Claims]:
    return [json.loads(line) for line in run([*node("token.mjs"), jwks, *tokens]).splitlines()]


LIBRARIES = {"PyJWT": py_jwt, "jwcrypto": jwcrypto, "Node jose": node_jose}


@pytest.mark.requirement("R39")
@pytest.mark.parametrize("judge", LIBRARIES.values(), ids=LIBRARIES)
def test_a_jose_library_checks_the_signature(
    archive: Archive, bags: list[Path], tmp_path: Path, judge: Callable[[Sequence[Path], Path], list[Claims]]
) -> None:
    """Two lines with any JOSE library, and the hash that they lead to; the claims name volume, profile and order."""
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps(archive.jwks))

    claims = judge([bag / "signature.jwt" for bag in bags], jwks)

    assert [one["tagmanifest_sha256"] for one in claims] == [
        hashlib.sha256((bag / "tagmanifest-sha256.txt").read_bytes()).hexdigest() for bag in bags
    ]
    assert [f"export-{one['export']}-{one['volume']:03}" for one in claims] == [bag.name for bag in bags]
    assert [one["closing"] for one in claims] == [False] * (len(bags) - 1) + [True]
    assert {one["profile"] for one in claims} == {json.loads((bags[-1] / "export.json").read_text())["profile"]}


def _by_py_jwt(token: str, keys: jwt.PyJWKSet) -> Claims:
    header = jwt.get_unverified_header(token)
    claims: Claims = jwt.decode(token, keys[header["kid"]], algorithms=["ES256"])
    return claims

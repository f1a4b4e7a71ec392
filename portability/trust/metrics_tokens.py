"""Tokens with which Prometheus reads the metrics: each is derived from a link key."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from joserfc.jwk import ECKey
from sqlalchemy import Connection

from portability.trust import keys

PURPOSE = b"portability metrics 1"
NONE: Mapping[str, str] = MappingProxyType({})


def present(connection: Connection, folder: Path, before: Mapping[str, str] = NONE) -> Mapping[str, str]:
    """Return the tokens by kid, that of the newest key last: one for each link key that is on this machine.

    `before` was returned earlier: its tokens count while the files of their keys are not usable, so that Prometheus
    reads the metric that says so. The token of a revoked key counts no more.
    """
    here = keys.own(connection, folder, purpose="link").keys
    living = (row["kid"] for row in keys.listed(connection, "link") if not row["revoked_at"])
    found = {kid: _token(here[kid].key) if kid in here else before.get(kid, "") for kid in living}
    return {kid: token for kid, token in found.items() if token}


def _token(key: ECKey) -> str:
    number = str(key.as_dict(private=True)["d"])
    return hmac.digest(number.encode(), PURPOSE, "sha256").hex()

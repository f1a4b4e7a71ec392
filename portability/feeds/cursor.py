"""The cursor of a feed: a signed statement in each archive that says how far the feed has come (docs/feeds.md)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from portability.api import JSON
from portability.feeds.errors import StaleCursor
from portability.trust.signing import CURSOR_TYPE, DatedKey, Jwks, check, sign


@dataclass(frozen=True, slots=True)
class FeedCursor:
    """How far a feed has come with one archive."""

    feed: str
    number: int
    export: str
    maps: str
    """SHA-256 of the maps of its sources."""
    horizon: Mapping[str, JSON]
    """By source: the position up to which its changes are in the archives, as far as the source states one."""

    def sign(self, issuer: str, subject: str, key: DatedKey) -> str:
        """Return the cursor as a JWS."""
        claims: dict[str, JSON] = {
            "iss": issuer,
            "sub": subject,
            "iat": key.iat,
            "jti": secrets.token_hex(8),
            "feed": self.feed,
            "number": self.number,
            "export": self.export,
            "maps": self.maps,
            "horizon": dict(self.horizon),
        }
        return sign(claims, key.key, typ=CURSOR_TYPE)


def cursor_sha256(token: str) -> str:
    """Return what names one archive: no other has its cursor, also if a database that was restored writes it again."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()


def maps_sha256(maps: Mapping[str, Mapping[str, str]] | None) -> str:
    """Return one hash for all maps with which an export was planned."""
    named = {exporter: one["sha256"] for exporter, one in (maps or {}).items()}
    return hashlib.sha256(orjson.dumps(named, option=orjson.OPT_SORT_KEYS)).hexdigest()


def check_last(token: str, feed: Mapping[Any, Any], jwks: Jwks) -> None:
    """Check that a cursor is that of a feed's last archive. Raises StaleCursor, SignatureFault."""
    claims = check(token, jwks, typ=CURSOR_TYPE)
    if claims.get("feed") != feed["id"]:
        raise StaleCursor(f"the cursor is of another feed than {feed['id']}")
    if (claims.get("number"), claims.get("export")) != (feed["number"], feed["export_id"]):
        raise StaleCursor(f"the cursor is of archive {claims.get('number')}; feed {feed['id']} is at {feed['number']}")

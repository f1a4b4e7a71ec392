"""The session cookie: signed with its time, by any of several machines whose clocks differ."""

from __future__ import annotations

import time
from typing import Any

import itsdangerous
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp


class SkewedSigner(itsdangerous.TimestampSigner):
    """Takes a cookie of a machine whose clock is ahead: the library refuses what is a second younger than now."""

    def unsign(self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: bool = False) -> Any:  # noqa: ANN401  # as that of the library
        """Return what was signed less than `max_age` seconds away. Raises itsdangerous.BadSignature."""
        value, signed_at = super().unsign(signed_value, return_timestamp=True)
        if max_age is not None and abs(time.time() - signed_at.timestamp()) > max_age:
            raise itsdangerous.SignatureExpired("the cookie is too old", payload=value, date_signed=signed_at)
        return (value, signed_at) if return_timestamp else value


class CookieSessions(SessionMiddleware):
    """Keeps what a browser brings again in a cookie. When a login ends is in the control database, by its clock."""

    def __init__(self, app: ASGIApp, secret_key: str, **options: Any) -> None:  # noqa: ANN401  # as those of the library
        """Take the options of Starlette's middleware."""
        super().__init__(app, secret_key, **options)
        self.signer = SkewedSigner(secret_key)

"""An OpenID provider: real HTTP, real keys, and any answer that a test wants."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

CLIENT, SECRET = "portability-pages", "a-client-secret"


@dataclass
class Issuer:
    """The provider; `person` is who logs in next."""

    url: str = ""
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "issuer-1", "use": "sig"}))
    person: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    """The parameters of the last authorization request."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By access token: who is logged in here, with their present claims. A test changes or removes them."""
    publishes_roles: bool = True
    """Whether the UserInfo endpoint gives the roles."""
    is_away: bool = False
    """Whether the UserInfo endpoint fails."""

    def claims(self, sub: str, *roles: str, strong: bool = True, age_seconds: int = 0, **more: Any) -> dict[str, Any]:
        """What a token says of a person."""
        present = int(time.time())
        amr = ["pwd", "mfa"] if strong else ["pwd"]
        times = {"iat": present, "exp": present + 600, "auth_time": present - age_seconds}
        return {"iss": self.url, "sub": sub, "roles": list(roles), "amr": amr, **times, **more}

    def signed(self, claims: dict[str, Any], *, key: ECKey | None = None, **header: Any) -> str:
        signer = key or self.key
        return jwt.encode({"alg": "ES256", "kid": signer.kid, "typ": "at+jwt", **header}, claims, signer)

    def bearer(self, audience: str, sub: str, *roles: str, **more: Any) -> dict[str, str]:
        """Headers of an API call."""
        return {"Authorization": f"Bearer {self.signed(self.claims(sub, *roles, aud=audience, **more))}"}

    def authorize(self, query: dict[str, str]) -> str:
        """Log the person in; returns where to send them."""
        self.asked = query
        code = secrets.token_urlsafe(8)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def exchange(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """An ID token for a code, for the client that proves itself and the attempt (RFC 7636)."""
        query = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if (
            query is None
            or query["code_challenge"] != challenge.decode().rstrip("=")
            or authorization != f"Basic {basic}"
        ):
            return None
        sid, access_token = secrets.token_urlsafe(8), secrets.token_urlsafe(8)
        claims = {**self.claims("nobody"), "sid": sid, **self.person, "aud": CLIENT, "nonce": query["nonce"]}
        self.sessions[access_token] = claims
        return {"id_token": self.signed(claims, typ="JWT"), "access_token": access_token, "token_type": "Bearer"}

    def user_info(self, authorization: str) -> dict[str, Any] | None:
        """What the provider says now of the person of an access token; None: it is not valid."""
        claims = self.sessions.get(authorization.removeprefix("Bearer "))
        names = ("sub", "roles", "tenant") if self.publishes_roles else ("sub",)
        return {name: claims[name] for name in names if name in claims} if claims else None

    def logout_token(self, **claims: Any) -> str:
        """A token of the back-channel logout, with other claims where a test wants them."""
        present = int(time.time())
        events: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        times = {"iat": present, "exp": present + 120, "jti": secrets.token_urlsafe(8)}
        content = {"iss": self.url, "aud": CLIENT, "events": events, **times, **claims}
        return self.signed({name: value for name, value in content.items() if value is not None}, typ="logout+jwt")


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """The provider on a free port of this machine."""
    issuer = Issuer()

    class IssuerHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path)
            if path.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", issuer.authorize({k: v[0] for k, v in parse_qs(path.query).items()}))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif path.path == "/keys":
                self._answer({"keys": [issuer.key.as_dict(private=False)]})
            elif path.path == "/userinfo":
                info = issuer.user_info(self.headers.get("Authorization", ""))
                self._answer(info or {"error": "invalid_token"}, 503 if issuer.is_away else 200 if info else 401)
            else:
                names = {
                    "authorization_endpoint": "authorize",
                    "token_endpoint": "token",
                    "jwks_uri": "keys",
                    "userinfo_endpoint": "userinfo",
                    "end_session_endpoint": "logout",
                }
                self._answer({"issuer": issuer.url, **{name: f"{issuer.url}/{p}" for name, p in names.items()}})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {k: v[0] for k, v in parse_qs(body).items()}
            answer = issuer.exchange(form, self.headers.get("Authorization", ""))
            self._answer(answer or {"error": "invalid_grant"}, 200 if answer else 400)

        def _answer(self, document: dict[str, Any], status: int = 200) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), IssuerHandler)
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A provider that asks people for a copy: a client of its own, on Authlib, that knows only the deployment's address."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import orjson
import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from factories import MadeUpExporter, things
from joserfc import jws
from joserfc.jwk import ECKey
from served import OWNER, Browser, Served, serving
from transferring import Provider, encrypted

from portability.database.engine import writing
from portability.trust import keys
from worker.clock import pulls

BOTH = ("calls", "chats")
BACK = re.compile(r'class="button" href="([^"]+)"')
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
SECONDS = 30


@contextmanager
def asked_server(folder: Path, redis_url: str, **more: Any) -> Iterator[Served]:
    """A server with two exporters that may send, and that may ask this machine."""
    exporters = {name: MadeUpExporter(things(20)) for name in BOTH}
    settings = {"allow_loopback": True, "exports_per_month": 100, **more}
    with serving(folder, redis_url, exporters=exporters, **settings) as server:
        with writing(server.world.engine) as connection:
            keys.ensure(connection, server.world.place.settings.keys, purposes=("transfer",), actor="operator:test")
        yield server


def consented(served: Served, client: PullClient, *datasets: str, person: str = OWNER, **more: Any) -> PullClient:
    """The client with the tokens of a person's consent."""
    with served.browser(person) as visitor:
        client.tokens_of(visitor, *(datasets or BOTH), **more)
    return client


def worked(served: Served) -> None:
    """What workers and clock do until nothing waits."""
    served.world.advance_all()
    pulls.send_ready(served.world.engine, served.world.place.settings)
    encrypted(served.world)


@dataclass
class PullClient:
    """The client of a provider at one deployment."""

    url: str
    provider: Provider
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    """That its tokens are bound to."""
    verifier: str = field(default_factory=lambda: generate_token(48))
    state: str = field(default_factory=lambda: generate_token(16))
    server: dict[str, Any] = field(init=False)
    tokens: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        resource = requests.get(f"{self.url}/.well-known/oauth-protected-resource", timeout=SECONDS).json()
        (issuer,) = resource["authorization_servers"]
        found = requests.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=SECONDS)
        self.server = found.json()
        assert self.server["issuer"] == issuer

    @property
    def session(self) -> OAuth2Session:
        """Authlib's session with the provider's key set (RFC 7523)."""
        headers = {"kid": self.provider.key.kid}
        session = OAuth2Session(self.provider.domain, self.provider.key, token_endpoint_auth_method="private_key_jwt")
        session.register_client_auth_method(PrivateKeyJWT(self.server["issuer"], headers=headers, alg="ES256"))
        return session

    def proof(self, method: str, url: str, token: str | None = None, **more: Any) -> str:
        """A DPoP proof; a test may change any of its claims."""
        digest = {} if token is None else {"ath": _base64(hashlib.sha256(token.encode()).digest())}
        claims = {"jti": secrets.token_hex(16), "htm": method, "htu": url, "iat": int(time.time()), **digest, **more}
        jwk = {name: value for name, value in self.key.as_dict(private=False).items() if name != "kid"}
        header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk}
        return jws.serialize_compact(header, orjson.dumps(claims), self.key, algorithms=["ES256"])

    def push(self, *datasets: str, until: str | None = None, **more: Any) -> requests.Response:
        """Push a request; a test may change any parameter."""
        detail = {"type": "portability", "datasets": list(datasets), **({"until": until} if until else {})}
        sent = {
            "client_id": self.provider.domain,
            "response_type": "code",
            "redirect_uri": self.provider.returns_to,
            "state": self.state,
            "code_challenge": create_s256_code_challenge(self.verifier),
            "code_challenge_method": "S256",
            "authorization_details": orjson.dumps([detail]).decode(),
            **more,
        }
        url = self.server["pushed_authorization_request_endpoint"]
        session = self.session
        headers = {**FORM, "DPoP": self.proof("POST", url)}
        auth = session.client_auth("private_key_jwt")
        answer: requests.Response = session.post(
            url, data=sent, headers=headers, auth=auth, withhold_token=True, timeout=SECONDS
        )
        return answer

    def pushed(self, *datasets: str, **more: Any) -> str:
        """The `request_uri` of a request that was accepted."""
        answer = self.push(*datasets, **more)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["request_uri"])

    def page(self, request_uri: str) -> dict[str, str]:
        """The parameters that a person is sent with."""
        return {"client_id": self.provider.domain, "request_uri": request_uri}

    def address(self, request_uri: str) -> str:
        """Where a person is sent."""
        return f"{self.server['authorization_endpoint']}?{urlencode(self.page(request_uri))}"

    def code(self, visitor: Browser, request_uri: str, *datasets: str) -> str:
        """The code that a person's consent gives, once the answer is of the deployment that was asked (RFC 9207)."""
        back = self.answered(visitor, request_uri, *datasets)
        assert (back["iss"], back["state"]) == (self.server["issuer"], self.state)
        return back["code"]

    def answered(self, visitor: Browser, request_uri: str, *datasets: str, answer: str = "allow") -> dict[str, str]:
        """What comes back with a person who answers a request."""
        arrived = visitor.client.get(
            urlsplit(self.server["authorization_endpoint"]).path, params=self.page(request_uri)
        )
        assert arrived.status_code == 303, arrived.text
        page = arrived.headers["location"]
        sent = visitor.send(page, page=page, answer=answer, datasets=list(datasets))
        assert sent.status_code == 200, sent.text
        return self.back(sent.text)

    def back(self, page: str) -> dict[str, str]:
        """The parameters of the link that leads from a page to the provider."""
        found = BACK.search(page)
        assert found, page
        address = found[1].replace("&amp;", "&")
        assert address.startswith(f"{self.provider.returns_to}?")
        return _parameters(address)

    def came_back(self) -> dict[str, str]:
        """The parameters that the newest person came back with, at the provider's own server."""
        paths = [heard.path for heard in self.provider.server.heard if heard.path.startswith("/back?")]
        return _parameters(paths[-1])

    def exchange(self, code: str, **more: Any) -> dict[str, Any]:
        """What the token endpoint answers to a code."""
        sent = {"code": code, "redirect_uri": self.provider.returns_to, "code_verifier": self.verifier, **more}
        return self.fetch("authorization_code", **sent)

    def fetch(self, grant_type: str, **sent: Any) -> dict[str, Any]:
        """What the token endpoint answers; an error too."""
        url, session = self.server["token_endpoint"], self.session
        headers = {**FORM, "DPoP": self.proof("POST", url)}
        auth = session.client_auth("private_key_jwt")
        body = {"grant_type": grant_type, "client_id": self.provider.domain, **sent}
        answer = session.post(url, data=body, headers=headers, auth=auth, withhold_token=True, timeout=SECONDS)
        return {**answer.json(), "status": answer.status_code}

    def revoke(self, token: str) -> requests.Response:
        """What the provider sends when it no longer needs a consent (RFC 7009)."""
        url, session = self.server["revocation_endpoint"], self.session
        auth = session.client_auth("private_key_jwt")
        sent = {"data": {"token": token}, "headers": FORM, "auth": auth}
        answer: requests.Response = session.post(url, withhold_token=True, timeout=SECONDS, **sent)
        return answer

    def tokens_of(self, visitor: Browser, *datasets: str, allowed: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
        """The tokens after a person's consent, by Authlib's own code flow."""
        code = self.code(visitor, self.pushed(*datasets, **more), *(allowed or datasets))
        url, session = self.server["token_endpoint"], self.session
        self.tokens = session.fetch_token(
            url,
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.provider.returns_to,
            code_verifier=self.verifier,
            headers={**FORM, "DPoP": self.proof("POST", url)},
            timeout=SECONDS,
        )
        return self.tokens

    def call(
        self, method: str, path: str, *, token: str | None = None, proof: str | None = None, **more: Any
    ) -> requests.Response:
        """A request with the access token and a proof (RFC 9449, 7)."""
        url = path if path.startswith("http") else f"{self.url}{path}"
        used = token or self.tokens["access_token"]
        headers = {"Authorization": f"DPoP {used}", "DPoP": proof or self.proof(method, url, used)}
        return requests.request(method, url, headers=headers | more.pop("headers", {}), timeout=SECONDS, **more)


def _parameters(address: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

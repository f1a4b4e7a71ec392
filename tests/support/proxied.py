"""The web application behind the nginx of docs/proxy.md, and browsers at several addresses."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certificates
import httpx
import pytest
import servers
from judges.programs import missing
from repository import ROOT
from served import Browser, Served, serving

NAME = "export.example.org"
"""As docs/proxy.md names the service."""
URL = f"https://{NAME}"
HERE, ELSEWHERE = "127.0.0.2", "127.0.0.3"
"""Addresses of people: all of 127.0.0.0/8 is this machine."""


class ThroughProxy(httpx.BaseTransport):
    """Leads to the proxy for the service's name, from an address of its own, and directly to other hosts."""

    def __init__(self, port: int, trusted: ssl.SSLContext, address: str) -> None:
        self._port = port
        self._service = httpx.HTTPTransport(verify=trusted, local_address=address)
        self._others = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != NAME:
            return self._others.handle_request(request)
        where = request.url.copy_with(host="127.0.0.1", port=self._port)
        known = {"headers": request.headers, "stream": request.stream}
        extensions = {**request.extensions, "sni_hostname": NAME}
        return self._service.handle_request(httpx.Request(request.method, where, extensions=extensions, **known))  # type: ignore[arg-type]  # of two types

    def close(self) -> None:
        self._service.close()
        self._others.close()


@dataclass
class Proxied:
    """A running proxy and the server behind it."""

    served: Served
    proxy: servers.Nginx
    trusted: ssl.SSLContext
    """Of a client that trusts the proxy's certificate."""

    @contextmanager
    def client(self, address: str = HERE, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Client]:
        """A browser at an address, which sends these headers with each request."""
        transport = ThroughProxy(self.proxy.ports["443"], self.trusted, address)
        with httpx.Client(base_url=URL, transport=transport, headers=headers, timeout=30) as client:
            yield client

    @contextmanager
    def browser(
        self, sub: str, *roles: str, address: str = HERE, headers: Mapping[str, str] | None = None
    ) -> Iterator[Browser]:
        """A person's browser, logged in through the provider."""
        with self.client(address, headers) as client:
            self.served.issuer.person = self.served.issuer.claims(sub, *roles)
            answer = client.get("/login", follow_redirects=True)
            assert answer.status_code == httpx.codes.OK, answer.text
            yield Browser(client)


def recommended() -> str:
    """The configuration in docs/proxy.md."""
    (found,) = re.findall(r"^```nginx\n(.*?)^```$", (ROOT / "docs/proxy.md").read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


@contextmanager
def nginx_before(port: int, folder: Path) -> Iterator[tuple[servers.Nginx, ssl.SSLContext]]:
    """The proxy with the recommended configuration before a port, and a context that trusts it. Missing: not judged."""
    _, trusted = certificates.contexts(folder, NAME)
    pem = f"{NAME}.pem"
    replaced = {
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{port};",
        "/etc/ssl/certs/": "FOLDER/",
        f"/etc/ssl/private/{NAME}.key": f"FOLDER/{pem}",
        "/var/log/nginx/": "FOLDER/",
    }
    with ExitStack() as held:
        try:
            files = {pem: (folder / pem).read_bytes()}
            proxy = held.enter_context(servers.nginx(recommended(), replaced=replaced, files=files))
        except servers.ServerMissing:
            missing("nginx", "apt-get install nginx")
        yield proxy, trusted


@contextmanager
def behind_nginx(folder: Path, redis_url: str, *, trusts: str | None = None, **more: Any) -> Iterator[Proxied]:
    """A server as `serving` makes it, behind nginx; `trusts`: its FORWARDED_ALLOW_IPS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FORWARDED_ALLOW_IPS", raising=False)
        if trusts:
            patch.setenv("FORWARDED_ALLOW_IPS", trusts)
        with (
            serving(folder, redis_url, base_url=URL, **more) as served,
            nginx_before(httpx.URL(served.url).port or 0, folder) as (proxy, trusted),
        ):
            yield Proxied(served, proxy, trusted)

"""The authorities of the machine are trusted by every client: a company's servers may have certificates of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from certificates import contexts, own_authority
from click.testing import CliRunner
from listener import listening

from cli import checks
from cli.context import Context
from cli.main import main
from portability.messages import sms
from portability.safe_http import SafeHttpClient
from portability.settings import load_settings
from receiver.conformance.signers import KitKey
from receiver.fetch.checked_client import checked_client
from receiver.fetch.sender import Sender
from web.provider import OpenIdProvider

INSIDE = SafeHttpClient(loopback=True)


def begin_login(url: str, folder: Path) -> None:
    settings = load_settings(dir=folder, oidc_issuer=url, oidc_client_id="pages", oidc_client_secret="s")
    OpenIdProvider(settings, lambda: datetime.now(UTC)).begin(step_up=False)


def look_up_provider(url: str, folder: Path) -> None:
    provider = {"oidc_issuer": url, "oidc_client_id": "pages", "oidc_client_secret": "s"}
    checks.login(Context(lambda: load_settings(dir=folder, **provider), json=False))


def send_text(url: str, _folder: Path) -> None:
    with sms.session(url, None, 5) as gateway:
        gateway.send("+493090182020", "1234 5678", "ntf_1")


def fetch_offer(url: str, _folder: Path) -> None:
    with Sender(f"{url}/d/x") as sender:
        sender.offer()


def receive_checked(url: str, _folder: Path) -> None:
    with checked_client(INSIDE, url) as client:
        client.get(f"{url}/d/x")


def examine_sender_of(url: str, folder: Path) -> None:
    (folder / "identity.txt").write_text(str(pyrage.x25519.Identity.generate()))
    (folder / "receipt.json").write_text(json.dumps(KitKey("a recipient", "r-1").private_jwk()))
    files = ("--identity", str(folder / "identity.txt"), "--receipt-key", str(folder / "receipt.json"))
    CliRunner().invoke(main, ["conform", "--sender", f"{url}/d/x", "--audience", "kit", *files])


CLIENTS: Mapping[str, Callable[[str, Path], object]] = {
    "the login": begin_login,
    "portability doctor": look_up_provider,
    "text messages": send_text,
    "portability receive": fetch_offer,
    "the receiving service": receive_checked,
    "portability conform": examine_sender_of,
    "webhooks": lambda url, _folder: INSIDE.post(url, b"{}"),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("trusted_by", ["machine", "variable", "nothing"])
def test_a_server_with_a_certificate_of_the_company_is_asked(client: str, trusted_by: str, tmp_path: Path) -> None:
    """The machine trusts its authority, or SSL_CERT_FILE names it. Else the connection ends before a request."""
    server_side, _client_side = contexts(tmp_path, "localhost")
    with listening(server_side) as server, own_authority(tmp_path / "localhost.pem", trusted_by):
        with suppress(Exception):  # the answer is not what the client expects
            CLIENTS[client](f"https://localhost:{server.port}", tmp_path)
        assert bool(server.heard) is (trusted_by != "nothing")

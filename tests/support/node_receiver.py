"""The receiver of `conformance/receiver` as a process of Node; a test may plant an error in a copy of its source."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pyrage
from judges.programs import program
from repository import ROOT
from servers.process import free_ports

from receiver.conformance.signers import KitKey

SOURCE = ROOT / "conformance" / "receiver"
DOMAIN = "localhost"
Planted = Mapping[str, tuple[str, str]]
"""By file: the text that is replaced, and its replacement."""


@dataclass(frozen=True)
class NodeReceiver:
    """A running receiver."""

    url: str
    folder: Path
    identity: pyrage.x25519.Identity

    @property
    def webhook(self) -> str:
        return f"{self.url}/hooks/portability"

    def log(self) -> list[dict[str, object]]:
        """What it has logged."""
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]


def planted_copy(folder: Path, planted: Planted) -> Path:
    """A copy of the source with errors."""
    copy = Path(shutil.copytree(SOURCE, folder / "source"))
    for name, (old, new) in planted.items():
        text = (copy / name).read_text()
        assert text.count(old) == 1, f"{name} does not contain it once: {old}"
        (copy / name).write_text(text.replace(old, new))
    return copy


@contextmanager
def receiving(
    folder: Path,
    issuer: str,
    secret: str,
    planted: Planted | None = None,
    *,
    identity: pyrage.x25519.Identity | None = None,
    port: int | None = None,
) -> Iterator[NodeReceiver]:
    """The receiver, which knows one sender, for the length of the block."""
    source = planted_copy(folder, planted) if planted else SOURCE
    identity, port = identity or pyrage.x25519.Identity.generate(), port or free_ports(1)[0]
    (folder / "key.txt").write_text(f"# a test key\n{identity}\n")
    (folder / "receipt.json").write_text(json.dumps(KitKey("node", "node-1").private_jwk()))
    config = {
        "domain": DOMAIN,
        "name": "Node Care",
        "base_url": f"http://127.0.0.1:{port}",
        "port": port,
        "folder": str(folder / "in"),
        "identity": str(folder / "key.txt"),
        "receipt_key": str(folder / "receipt.json"),
        "senders": [{"issuer": issuer, "jwks_url": f"{issuer}/.well-known/jwks.json", "secret": secret}],
        "allow_loopback": True,
    }
    (folder / "config.json").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program("node", package="nodejs"), source / "receiver.mjs", folder / "config.json"], stderr=log
        )
    receiver = NodeReceiver(f"http://127.0.0.1:{port}", folder, identity)
    try:
        _wait(receiver, process)
        yield receiver
    finally:
        process.terminate()
        process.wait(10)


def _wait(receiver: NodeReceiver, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        assert process.poll() is None, (receiver.folder / "log").read_text()
        try:
            httpx.get(f"{receiver.url}/.well-known/jwks.json")
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the receiver does not listen")

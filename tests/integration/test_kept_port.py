"""The embedded stack keeps the port of its first run: the issuer of its archives contains it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from servers.process import free_ports

from demo import embedded
from portability.settings import Settings, load_settings

NOT_MOVED = None
"""The answer where the issuer of new archives is that of the first run."""


def _address(settings: Settings, folder: Path) -> str:
    with embedded.listener(settings, folder / embedded.PORT_FILE) as (_fd, address):
        return address


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> int:
    """The usual port, which another program uses now and then."""
    (port,) = free_ports(1)
    monkeypatch.setattr("demo.embedded.listening_address", lambda _url: ("127.0.0.1", port))
    return port


def test_a_later_run_has_the_port_of_the_first(usual: int, tmp_path: Path) -> None:
    """Also when the usual port is free again; the stack says where the first port is in use."""
    settings = load_settings(dir=tmp_path)
    with socket.create_server(("127.0.0.1", usual)):
        first = _address(settings, tmp_path)
    kept = int(first.rpartition(":")[2])
    assert kept != usual
    assert _address(settings, tmp_path) == first
    assert embedded.moved_from(settings, tmp_path / embedded.PORT_FILE, first) == NOT_MOVED
    with socket.create_server(("127.0.0.1", kept)):
        other = _address(settings, tmp_path)
    assert other.endswith(f":{usual}")
    assert embedded.moved_from(settings, tmp_path / embedded.PORT_FILE, other) == kept
    named = load_settings(dir=tmp_path, issuer="https://data.example")
    assert embedded.moved_from(named, tmp_path / embedded.PORT_FILE, other) == NOT_MOVED
    assert _address(settings, tmp_path) == first


@pytest.mark.parametrize("text", ["", "none", "99999999", "-1"])
def test_a_damaged_note_is_as_none(usual: int, tmp_path: Path, text: str) -> None:
    """The usual port, and the note is written again."""
    (tmp_path / embedded.PORT_FILE).write_text(text)
    assert _address(load_settings(dir=tmp_path), tmp_path).endswith(f":{usual}")
    assert (tmp_path / embedded.PORT_FILE).read_text() == f"{usual}\n"


def test_a_configured_address_notes_nothing(usual: int, tmp_path: Path) -> None:
    """PORTABILITY_BASE_URL says where the pages are."""
    address = f"http://localhost:{usual}"
    assert _address(load_settings(dir=tmp_path, base_url=address), tmp_path) == address
    assert not (tmp_path / embedded.PORT_FILE).exists()

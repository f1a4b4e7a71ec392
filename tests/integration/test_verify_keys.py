from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import orjson
import pytest
import volumes
from click.testing import CliRunner

from cli.verify import JWKS_BYTES, verify

KEYS = orjson.dumps({"keys": [volumes.KEY.as_dict(private=False)]})


@pytest.fixture
def key_server() -> Iterator[HTTPServer]:
    """Serves the keys; `/redirect` leads to them, `/huge` has too many bytes."""

    class KeySetHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/redirect" else 200)
            if self.path == "/redirect":
                self.send_header("Location", "/jwks.json")
            self.end_headers()
            self.wfile.write(b" " * (JWKS_BYTES + 1) if self.path == "/huge" else KEYS)

        def log_message(self, *_arguments: object) -> None:
            """Keep the test's output clean."""

    with HTTPServer(("127.0.0.1", 0), KeySetHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_keys_come_by_http_from_this_machine_only(tmp_path: Path, key_server: HTTPServer) -> None:
    """Over plain HTTP an attacker on the network could replace the keys."""
    volumes.write_archive(tmp_path)
    address = f"http://127.0.0.1:{key_server.server_port}"
    right = f"{address}/jwks.json"
    wrong = (f"{address}/redirect", f"{address}/huge", "http://vlint.example/jwks.json")
    codes = [CliRunner().invoke(verify, [str(tmp_path), "--jwks", keys]).exit_code for keys in (right, *wrong)]
    assert codes == [0, 2, 2, 2]

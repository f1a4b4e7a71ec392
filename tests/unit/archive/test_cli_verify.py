from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import orjson
import pytest
import volumes
from click.testing import CliRunner, Result

from cli.verify import JWKS_BYTES, verify

KEYS = orjson.dumps({"keys": [volumes.KEY.as_dict(private=False)]})


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(verify, [str(argument) for argument in arguments])


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(KEYS)
    return path


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """Serves the keys; `/redirect` leads to them, `/huge` has too many bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/redirect" else 200)
            if self.path == "/redirect":
                self.send_header("Location", "/jwks.json")
            self.end_headers()
            self.wfile.write(b" " * (JWKS_BYTES + 1) if self.path == "/huge" else KEYS)

        def log_message(self, *_arguments: object) -> None:
            """Keep the test's output clean."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_whole_archive_is_exit_code_0(tmp_path: Path, jwks: Path) -> None:
    """The JSON has exactly the fields of the contract."""
    volumes.write_archive(tmp_path, 2)
    result = run(tmp_path, "--jwks", jwks, "--json")
    payload = 2 * sum(len(body) for body, _ in volumes.MEMBERS.values())
    assert result.exit_code == 0
    assert orjson.loads(result.stdout) == {"ok": True, "volumes": 2, "files": 6, "bytes": payload, "errors": []}
    assert "verified" in run(tmp_path, "--jwks", jwks).output


def test_a_fault_is_exit_code_1(tmp_path: Path, jwks: Path) -> None:
    """Each error has code, volume, file and detail; people get a table."""
    (path,) = volumes.write_archive(tmp_path)
    volumes.pack_again(path, lambda files: files.update({"data/calls/calls.csv": b"x"}))
    result = run(path, "--jwks", jwks, "--json")
    assert result.exit_code == 1
    document = orjson.loads(result.stdout)
    assert document["ok"] is False
    (error,) = [error for error in document["errors"] if error["code"] == "changed"]
    assert error == {
        "code": "changed",
        "volume": path.name,
        "file": "data/calls/calls.csv",
        "detail": "its SHA-256 is not the manifest's",
    }
    told = run(path, "--jwks", jwks)
    assert told.exit_code == 1
    assert "does not verify" in told.output
    assert "changed" in told.output


def test_a_missing_volume_is_forgiven_on_request(tmp_path: Path, jwks: Path) -> None:
    """`--partial` is for one who knows that volumes are absent."""
    first = volumes.write_archive(tmp_path, 2)[0]
    assert run(first, "--jwks", jwks).exit_code == 1
    assert run(first, "--jwks", jwks, "--partial").exit_code == 0


def test_a_hostile_name_reaches_no_terminal(tmp_path: Path, jwks: Path) -> None:
    """Control characters and rich's markup in a name are shown, not obeyed."""
    (path,) = volumes.write_archive(tmp_path)
    volumes.pack_again(path, lambda files: files.update({"data/\x1b[2J[/bold]x": b"x"}))
    result = run(path, "--jwks", jwks)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "\x1b[2J" not in result.output


def test_keys_come_by_http_from_this_machine_only(tmp_path: Path, server: HTTPServer) -> None:
    """Over plain http anybody on the way could put keys of their own."""
    volumes.write_archive(tmp_path)
    address = f"http://127.0.0.1:{server.server_port}"
    assert run(tmp_path, "--jwks", f"{address}/jwks.json").exit_code == 0
    for wrong in (f"{address}/redirect", f"{address}/huge", "http://vlint.example/jwks.json"):
        assert run(tmp_path, "--jwks", wrong).exit_code == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"not json", b"\xff"])
def test_bad_keys_are_exit_code_2(tmp_path: Path, content: bytes) -> None:
    """What cannot be checked is neither verified nor refuted."""
    volumes.write_archive(tmp_path)
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    assert run(tmp_path, "--jwks", path).exit_code == 2


def test_absent_files_are_exit_code_2(tmp_path: Path, jwks: Path) -> None:
    """One line says what, on which thing, and what to do."""
    result = run(tmp_path / "absent.zip", "--jwks", jwks)
    assert result.exit_code == 2
    assert "absent.zip" in result.stderr
    assert "hint:" in result.stderr
    assert run(tmp_path / "absent.zip", "--jwks", tmp_path / "no.json").exit_code == 2


def test_without_keys_and_without_a_folder(tmp_path: Path) -> None:
    """The folder is not made by looking for keys in it."""
    volumes.write_archive(tmp_path)
    folder = tmp_path / "state"
    assert run(tmp_path, "--dir", folder).exit_code == 2
    assert not folder.exists()


def test_nothing_is_imported_that_a_file_of_keys_does_not_need(tmp_path: Path, jwks: Path) -> None:
    """To verify a small archive would else be to wait for a database's driver and for web pages."""
    heavy = ("sqlalchemy", "alembic", "boto3", "redis", "rq", "pydantic", "fastapi", "httpx", "urllib.request", "faker")
    volumes.write_archive(tmp_path)
    asks = f"""
import atexit, sys
from cli.main import run
atexit.register(lambda: print([name for name in {heavy!r} if name in sys.modules]))
run()
"""
    command = [sys.executable, "-c", asks, "verify", str(tmp_path), "--jwks", str(jwks)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

from __future__ import annotations

import subprocess
import sys
from codecs import BOM_UTF8
from pathlib import Path

import orjson
import pytest
import volumes
from click.testing import CliRunner, Result

from cli.verify import verify

KEYS = orjson.dumps({"keys": [volumes.KEY.as_dict(private=False)]})


def run_verify(*arguments: str | Path) -> Result:
    return CliRunner().invoke(verify, [str(argument) for argument in arguments])


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(KEYS)
    return path


def test_a_whole_archive_is_exit_code_0(tmp_path: Path, jwks: Path) -> None:
    """The JSON has exactly the fields of the contract."""
    volumes.write_archive(tmp_path, 2)
    result = run_verify(tmp_path, "--jwks", jwks, "--json")
    payload = 2 * sum(len(body) for body, _ in volumes.MEMBERS.values())
    assert result.exit_code == 0
    assert orjson.loads(result.stdout) == {"ok": True, "volumes": 2, "files": 6, "bytes": payload, "errors": []}
    assert "verified" in run_verify(tmp_path, "--jwks", jwks).output


def test_a_folder_is_read_as_systems_write_it(tmp_path: Path, jwks: Path) -> None:
    """Old file systems write names in capitals, and macOS puts `._NAME` beside each file on a stick."""
    for path in volumes.write_archive(tmp_path, 2):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7 not a ZIP")
        path.rename(path.with_name(path.name.upper()))
    result = run_verify(tmp_path, "--jwks", jwks, "--json")
    assert (result.exit_code, orjson.loads(result.stdout)["volumes"]) == (0, 2)


def test_a_fault_is_exit_code_1(tmp_path: Path, jwks: Path) -> None:
    """Each error has code, volume, file and detail; people get a table."""
    (path,) = volumes.write_archive(tmp_path)
    volumes.pack_again(path, lambda files: files.update({"data/calls/calls.csv": b"x"}))
    result = run_verify(path, "--jwks", jwks, "--json")
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
    result = run_verify(path, "--jwks", jwks)
    assert result.exit_code == 1
    assert "verification failed" in result.output
    assert "changed" in result.output


def test_a_missing_volume_is_forgiven_on_request(tmp_path: Path, jwks: Path) -> None:
    """`--partial` accepts that volumes are known to be missing."""
    first = volumes.write_archive(tmp_path, 2)[0]
    assert run_verify(first, "--jwks", jwks).exit_code == 1
    assert run_verify(first, "--jwks", jwks, "--partial").exit_code == 0


def test_a_hostile_name_reaches_no_terminal(tmp_path: Path, jwks: Path) -> None:
    """Control characters and rich's markup in a name are shown, not obeyed."""
    (path,) = volumes.write_archive(tmp_path)
    volumes.pack_again(path, lambda files: files.update({"data/\x1b[2J[/bold]x": b"x"}))
    result = run_verify(path, "--jwks", jwks)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "\x1b[2J" not in result.output


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"not json", b"\xff"])
def test_bad_keys_are_exit_code_2(tmp_path: Path, content: bytes) -> None:
    """What cannot be checked is neither verified nor refuted."""
    volumes.write_archive(tmp_path)
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    assert run_verify(tmp_path, "--jwks", path).exit_code == 2


def test_a_mark_before_the_keys_is_ignored(tmp_path: Path, jwks: Path) -> None:
    """Editors of Windows write a byte order mark before UTF-8 (RFC 8259, 8.1)."""
    volumes.write_archive(tmp_path)
    marked = tmp_path / "marked.json"
    marked.write_bytes(BOM_UTF8 + jwks.read_bytes())
    assert run_verify(tmp_path, "--jwks", marked).exit_code == 0


def test_absent_files_are_exit_code_2(tmp_path: Path, jwks: Path) -> None:
    """One line says what failed, on which thing, and what to do."""
    result = run_verify(tmp_path / "absent.zip", "--jwks", jwks)
    assert result.exit_code == 2
    assert "absent.zip" in result.stderr
    assert "hint:" in result.stderr
    assert run_verify(tmp_path / "absent.zip", "--jwks", tmp_path / "no.json").exit_code == 2


def test_without_keys_and_without_a_folder(tmp_path: Path) -> None:
    """The folder is not made by looking for keys in it."""
    volumes.write_archive(tmp_path)
    folder = tmp_path / "state"
    assert run_verify(tmp_path, "--dir", folder).exit_code == 2
    assert not folder.exists()


def test_its_help_imports_nothing_that_prints_or_verifies() -> None:
    """Rich and cryptography would take most of the time."""
    program = (
        "import sys; from cli.main import main; main(['verify', '-h'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {*done.stdout.split("\n")[-2].split()}
    assert "cli.verify" in loaded
    assert not {"rich", "cryptography", "joserfc", "archive.verify", "sqlalchemy", "pydantic"} & loaded


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

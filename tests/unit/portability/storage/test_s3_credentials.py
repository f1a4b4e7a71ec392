"""Keys of S3 in the shared credentials file: exchanged while processes run."""

from __future__ import annotations

from pathlib import Path

import pytest

from portability.storage.s3.bucket import S3Storage


@pytest.fixture
def keys_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place of keys."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    return path


def write(path: Path, key: str) -> None:
    path.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret-of-{key}\n")


def signs_with(storage: S3Storage) -> str:
    address = storage.presigned("a/1", name="a.zip", seconds=60)
    return address.split("X-Amz-Credential=")[1].split("%2F")[0]


def test_new_keys_in_the_file_are_used_at_once(keys_file: Path) -> None:
    """A process that runs signs its next request with them: the old keys are refused soon, and end its exports."""
    write(keys_file, "OLDKEY")
    storage = S3Storage("bucket", endpoint="http://127.0.0.1:9", addressing="path")
    assert signs_with(storage) == "OLDKEY"
    write(keys_file, "NEWKEY0")
    assert signs_with(storage) == "NEWKEY0"


@pytest.mark.parametrize("content", ["", "[default]\naws_access_key_id = HALF\n", "[other]\n", "no ini"])
def test_a_file_that_is_being_written_takes_no_keys_away(keys_file: Path, content: str) -> None:
    """Half of it, or nothing, is not an exchange; the whole file is."""
    write(keys_file, "OLDKEY")
    storage = S3Storage("bucket", endpoint="http://127.0.0.1:9", addressing="path")
    assert signs_with(storage) == "OLDKEY"
    keys_file.write_text(content)
    assert signs_with(storage) == "OLDKEY"
    keys_file.unlink()
    assert signs_with(storage) == "OLDKEY"
    write(keys_file, "NEWKEY")
    assert signs_with(storage) == "NEWKEY"

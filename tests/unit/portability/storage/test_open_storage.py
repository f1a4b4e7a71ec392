from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from portability.api.errors import BadSetting
from portability.storage import open_storage
from portability.storage.local import LocalStorage
from portability.storage.s3.bucket import S3Storage


@pytest.mark.parametrize("name", ["store", "with space", "ünï%20"])
def test_folders(tmp_path: Path, name: str) -> None:
    """`Path.as_uri` names the folder, for any characters."""
    storage = open_storage((tmp_path / name).as_uri())
    assert isinstance(storage, LocalStorage)
    assert storage.folder == tmp_path / name
    assert storage.url == (tmp_path / name).as_uri()


@pytest.mark.parametrize(
    "url",
    [
        "s3://exports",
        "s3://exports/eu/archives",
        "s3://exports/eu?endpoint=http://127.0.0.1:9000",
    ],
)
def test_buckets(url: str) -> None:
    """A bucket, a prefix, a server: what the URL says is what the storage says."""
    storage = open_storage(url + ("&" if "?" in url else "?") + "region=eu-west-1", sse="aws:kms")
    assert isinstance(storage, S3Storage)
    assert storage.url == url.replace("s3://exports", "s3://exports/") if url == "s3://exports" else url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "archives",
        "/archives",
        "ftp://host/x",
        "file:archives",
        "file://host/archives",
        "file:///archives?x=1",
        "file:///a%00b",
        "s3:///prefix",
        "s3://Bad_Bucket/x",
        "s3://exports/../x",
        "s3://exports/a b",
        "s3://hunter2:hunter2@exports/x",
        "s3://exports/x?secret=hunter2",
        "s3://exports/x?endpoint=hunter2",
        "s3://exports/x?endpoint=http://u:hunter2@host",
        "s3://exports/x?endpoint=http://host:hunter2",
        "s3://exports/x?endpoint=http://host/path",
        "s3://exports/x?endpoint=http://a&endpoint=http://b",
        "s3://exports/x?addressing=hunter2",
        "s3://exports/x?checksum=md5",
        "s3://exports/x?signing=hunter2",
        "s3://exports/x?endpoint=http://host&signing=headers",
        "s3://exports/x#hunter2",
        "s3://[exports",
    ],
)
def test_bad_urls(url: str) -> None:
    """Anything else is a BadSetting with a hint, and what may be a secret is not repeated."""
    with pytest.raises(BadSetting) as bad:
        open_storage(url)
    assert "s3://" in bad.value.hint
    assert "hunter2" not in str(bad.value)


@pytest.mark.parametrize(("url", "sse"), [("file:///archives", "AES256"), ("s3://exports", "rot13")])
def test_bad_encryption(url: str, sse: str) -> None:
    """Encryption that would not happen is refused, not ignored."""
    with pytest.raises(BadSetting):
        open_storage(url, sse=sse)


def test_a_folder_needs_no_boto3() -> None:
    """The library is imported by those who use S3 only: it costs 0.2 s and 50 MB."""
    script = "import sys, portability.storage as s; s.open_storage('file:///x'); sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

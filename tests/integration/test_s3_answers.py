"""Answers that are not those of S3, such as those of a proxy before it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from portability.api.errors import StorageRefused, StorageUnavailable
from portability.storage.retry import Retry
from portability.storage.s3.bucket import S3Storage


class StrangeProxy(BaseHTTPRequestHandler):
    """It answers everything with one status and a body of its own."""

    protocol_version = "HTTP/1.1"
    status: ClassVar[int] = 200
    body: ClassVar[bytes] = b""

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def answer(self) -> None:
        """Read the whole request, then answer."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.body)

    do_GET = do_POST = do_PUT = do_HEAD = answer  # noqa: N815  # the names that the library calls


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Storage]:
    """A bucket behind the proxy."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    with ThreadingHTTPServer(("127.0.0.1", 0), StrangeProxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield S3Storage(
            "bucket", endpoint=url, region="us-east-1", addressing="path", retry=Retry(patience_seconds=0.1)
        )
        server.shutdown()


def uploaded_object(storage: S3Storage) -> object:
    """Write an object as a worker does."""
    upload = storage.begin("key", begun=lambda _upload_id: None)
    upload.write(b"x")
    return upload.complete()


@pytest.mark.parametrize(
    "body",
    [b"<html><body>Sign in<br></body>", b"", b"<?xml version='1.0'?><Hello/>"],
    ids=["page", "nothing", "other XML"],
)
@pytest.mark.parametrize(
    "act", [uploaded_object, lambda storage: storage.begin("key"), lambda storage: storage.stat("key"), S3Storage.check]
)
def test_an_answer_of_another_server_is_an_outage(
    monkeypatch: pytest.MonkeyPatch, answered: S3Storage, act: Callable[[S3Storage], object], body: bytes
) -> None:
    """Workers wait for the storage, and commands end with one line: the software has no fault there."""
    monkeypatch.setattr(StrangeProxy, "body", body)
    with pytest.raises(StorageUnavailable, match=r"(the answer has no '|500)"):
        act(answered)


def test_an_entry_of_a_list_without_its_size_is_an_outage(monkeypatch: pytest.MonkeyPatch, answered: S3Storage) -> None:
    """A list that is not understood is not an empty list."""
    entry = b"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>"
    monkeypatch.setattr(StrangeProxy, "body", b"<?xml version='1.0'?>" + entry)
    with pytest.raises(StorageUnavailable, match="the answer has no 'Size'"):
        list(answered.list())


def test_a_proxy_that_takes_no_large_request_is_named(monkeypatch: pytest.MonkeyPatch, answered: S3Storage) -> None:
    """No retry helps: a small object would pass, and a part of an archive never does. The hint says what to change."""
    monkeypatch.setattr(StrangeProxy, "status", 413)
    monkeypatch.setattr(StrangeProxy, "body", b"<html><head><title>413</title></head><body><hr>nginx</body></html>")
    with pytest.raises(StorageRefused, match=r"cannot begin key: 413 \(413\)") as raised:
        answered.begin("key")
    assert "PORTABILITY_VOLUME_BYTES" in raised.value.hint

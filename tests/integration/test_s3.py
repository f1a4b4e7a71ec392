from __future__ import annotations

import gc
import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import servers
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.loaders import JSONFileLoader
from botocore.stub import Stubber
from faults import FaultProxy
from stored_objects import store_object

from portability.api.errors import (
    ObjectChanged,
    ObjectMissing,
    StorageError,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
    WrongClock,
)
from portability.storage import open_storage
from portability.storage.retry import Retry
from portability.storage.s3.bucket import S3Storage
from portability.storage.s3.errors import s3_errors
from portability.storage.s3.upload import part_bytes

PART = 5 << 20
IMPATIENT = Retry(patience_seconds=0.3, first_wait_seconds=0.01, longest_wait_seconds=0.02)
QUICK = Retry(patience_seconds=20, first_wait_seconds=0.01, longest_wait_seconds=0.02)


@pytest.fixture
def proxy(s3: servers.S3Server) -> Iterator[FaultProxy]:
    with FaultProxy(s3.port) as running:
        yield running


def opened(server: servers.S3Server, endpoint: str | None = None, **options: Any) -> S3Storage:
    where = endpoint or server.endpoint
    prefix = f"test-{secrets.token_hex(6)}"
    return S3Storage(server.bucket, prefix, endpoint=where, addressing="path", first_part_bytes=PART, **options)


def seen_directly(server: servers.S3Server, storage: S3Storage) -> S3Storage:
    """The same place without the proxy."""
    direct = opened(server)
    direct._prefix = storage._prefix
    return direct


def head(server: servers.S3Server, storage: S3Storage, key: str) -> Any:
    client = boto3.client("s3", endpoint_url=server.endpoint)
    return client.head_object(Bucket=server.bucket, Key=storage._prefix + key)


def append_all(got: bytearray, blocks: Iterable[bytes]) -> None:
    for block in blocks:
        got += block


@pytest.mark.parametrize("cuts", [1, 4])
def test_a_connection_that_breaks_within_a_part_is_tried_again(
    s3: servers.S3Server, proxy: FaultProxy, cuts: int
) -> None:
    """Resets in the middle of parts cost time, not the upload."""
    storage = opened(s3, proxy.endpoint, retry=QUICK)
    body = secrets.token_bytes(3 * PART)
    upload = storage.begin("a/1")
    proxy.cut_up_after, proxy.cuts_left = 1 << 20, cuts
    upload.write(body)
    upload.complete()
    assert proxy.cuts == cuts
    assert b"".join(storage.read("a/1")) == body
    assert list(storage.uploads()) == []


def test_a_connection_that_always_breaks_ends_the_upload(s3: servers.S3Server, proxy: FaultProxy) -> None:
    """When patience ends the upload aborts itself: StorageUnavailable, no object, no open upload."""
    storage = opened(s3, proxy.endpoint, retry=IMPATIENT)
    upload = storage.begin("a/1")
    proxy.cut_up_after = 1 << 20
    upload.write(bytes(PART))
    with pytest.raises(StorageUnavailable):
        upload.complete()
    with pytest.raises(StorageUnavailable):
        upload.write(b"more")
    upload.abort()
    direct = seen_directly(s3, storage)
    assert not [*direct.list(), *direct.uploads()]


@pytest.mark.parametrize(("size", "begun"), [(0, None), (10, None), (10, int), (PART + 1, None)])
@pytest.mark.parametrize("cuts", [1, 2, 3])
def test_a_lost_answer_to_the_last_request(
    s3: servers.S3Server, proxy: FaultProxy, cuts: int, size: int, begun: Callable[[str], object] | None
) -> None:
    """Where the store completed but its answer got lost, the object counts, once and whole."""
    storage = opened(s3, proxy.endpoint, retry=QUICK)
    upload = storage.begin("a/1", begun=begun)
    upload.write(bytes(size))
    last = b"<CompleteMultipartUpload" if upload.id and size else b"PUT "

    def lose_the_answer(block: bytes) -> None:
        if last in block:
            proxy.cut_down_after, proxy.cuts_left = 0, cuts
            proxy.on_up = lambda _block: None

    proxy.on_up = lose_the_answer
    stored = upload.complete()
    assert proxy.cuts == cuts
    assert stored.bytes == size
    assert storage.stat("a/1") == stored
    assert list(storage.uploads()) == []


def test_an_object_that_cannot_be_confirmed_is_taken_back(s3: servers.S3Server, proxy: FaultProxy) -> None:
    """Where `complete` raises nothing is published, even if the store had completed already."""
    storage = opened(s3, proxy.endpoint, retry=Retry(patience_seconds=0))
    upload = storage.begin("a/1")
    upload.write(b"x")
    left = iter(range(2))  # as often as the library tries

    def break_the_look(block: bytes) -> None:
        if block.startswith(b"HEAD ") and next(left, None) is not None:
            raise ConnectionResetError

    proxy.on_up = break_the_look
    with pytest.raises(StorageUnavailable, match="cannot look at a/1"):
        upload.complete()
    assert next(left, None) is None
    assert not [*storage.list(), *storage.uploads()]


def test_a_read_that_breaks_is_resumed_by_the_caller(s3: servers.S3Server, proxy: FaultProxy) -> None:
    """A broken read raises StorageUnavailable after what arrived; from there it continues."""
    storage = opened(s3, proxy.endpoint)
    body = secrets.token_bytes(16 << 20)
    store_object(storage, "a/1", body)
    etag = storage.stat("a/1").etag
    proxy.cut_down_after, proxy.cuts_left = 12 << 20, 1  # a reset drops what the kernel holds, up to 6 MiB
    got = bytearray()
    with pytest.raises(StorageUnavailable):
        append_all(got, storage.read("a/1", etag=etag))
    assert 0 < len(got) < len(body)
    append_all(got, storage.read("a/1", len(got), etag=etag))
    assert got == body


def test_a_server_that_is_not_there(s3: servers.S3Server) -> None:
    """The server does not answer: StorageUnavailable, after the retries."""
    del s3
    storage = S3Storage("exports", endpoint="http://127.0.0.1:9", addressing="path", retry=IMPATIENT)
    with pytest.raises(StorageUnavailable, match="cannot begin a/1"):
        storage.begin("a/1")
    with pytest.raises(StorageUnavailable):
        storage.stat("a/1")


@pytest.mark.parametrize(
    ("endpoint", "signing"), [("endpoint", True), ("https_endpoint", True), ("https_endpoint", False)]
)
@pytest.mark.parametrize("checksum", [True, False])
def test_profiles(
    s3: servers.S3Server, monkeypatch: pytest.MonkeyPatch, endpoint: str, signing: bool, checksum: bool
) -> None:
    """Over http and https, with and without checksums and signed bodies: what is written is what is read."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(s3.certificate))
    storage = opened(s3, getattr(s3, endpoint), checksum=checksum, sign_payload=signing)
    body = secrets.token_bytes(PART + 10)
    store_object(storage, "a/1", body)
    assert b"".join(storage.read("a/1")) == body
    assert head(s3, storage, "a/1")["ContentType"] == "application/zip"


def test_a_client_reads_no_large_description_of_its_own(s3: servers.S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made after a fork, in each job: what it needs was read when the storage was named."""
    storage, read = opened(s3), []
    load = JSONFileLoader.load_file

    def watched(self: JSONFileLoader, path: str) -> Any:
        read.append(path.rsplit("/", 1)[1])
        return load(self, path)

    monkeypatch.setattr(JSONFileLoader, "load_file", watched)
    assert list(storage.list()) == []
    assert not {"service-2", "endpoint-rule-set-1", "endpoints"} & set(read)


@pytest.mark.parametrize(
    ("scheme", "option", "signed"),
    [
        ("http", "", True),
        ("https", "", False),
        ("https", "&signing=payload", True),
        ("https", "&signing=headers", False),
    ],
)
def test_bodies_are_signed_where_the_connection_does_not_guard_them(
    s3: servers.S3Server, monkeypatch: pytest.MonkeyPatch, scheme: str, option: str, signed: bool
) -> None:
    """Over http, and over https where the URL asks for it: else their SHA-256 is not worked out."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(s3.certificate))
    hashes: list[bytes] = []
    endpoint = s3.endpoint if scheme == "http" else s3.https_endpoint
    storage = open_storage(f"s3://{s3.bucket}/test-{secrets.token_hex(6)}?endpoint={endpoint}{option}")
    assert isinstance(storage, S3Storage)
    events = storage._open().meta.events
    events.register(
        "before-send.s3.UploadPart", lambda request, **_: hashes.append(request.headers["X-Amz-Content-SHA256"])
    )
    store_object(storage, "a/1", b"body")
    assert hashes == [hashlib.sha256(b"body").hexdigest().encode() if signed else b"UNSIGNED-PAYLOAD"]


@pytest.mark.parametrize("begun", [None, int])
def test_a_part_that_was_changed_on_its_way_is_refused(
    s3: servers.S3Server, monkeypatch: pytest.MonkeyPatch, begun: Callable[[str], object] | None
) -> None:
    """The store checks the CRC32 of each part, or of a single request, so a wrong one never becomes an object."""
    monkeypatch.setattr("portability.storage.s3.upload.crc32", lambda _body: 12345)
    upload = (storage := opened(s3, retry=IMPATIENT)).begin("a/1", begun=begun)
    with pytest.raises(StorageError):  # noqa: PT012  # whichever of them sends it
        upload.write(b"x" * 100)
        upload.complete()
    assert not [*storage.list(), *storage.uploads()]


@pytest.mark.parametrize("size", [0, 10, PART + 1])
def test_encryption_is_asked_for(s3: servers.S3Server, size: int) -> None:
    """With SSE each object is stored encrypted by the server, also an empty one, and is read as before."""
    storage = opened(s3, sse="AES256")
    store_object(storage, "a/1", bytes(size))
    assert head(s3, storage, "a/1")["ServerSideEncryption"] == "AES256"
    assert b"".join(storage.read("a/1")) == bytes(size)
    assert b"".join(storage.read("a/1", 5)) == bytes(max(0, size - 5))


@pytest.mark.parametrize(
    ("sse", "headers"),
    [
        ("aws:kms", {"ServerSideEncryption": "aws:kms", "BucketKeyEnabled": True}),
        ("aws:kms:k:1", {"ServerSideEncryption": "aws:kms", "BucketKeyEnabled": True, "SSEKMSKeyId": "k:1"}),
    ],
)
def test_encryption_with_kms(sse: str, headers: dict[str, object]) -> None:
    """KMS is requested with its key, if one is given."""
    assert S3Storage("exports", sse=sse)._encryption == headers


def test_wrong_credentials_are_refused(s3: servers.S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key is StorageRefused at once, with a hint and without the key."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    for use in (lambda s: s.begin("a/1"), lambda s: s.stat("a/1"), lambda s: list(s.list()), lambda s: s.check()):
        with pytest.raises(StorageRefused) as refused:
            use(opened(s3))
        assert refused.value.hint
        assert "wrong-secret" not in str(refused.value)
        assert s3.access_key not in str(refused.value)


def test_no_credentials(s3: servers.S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the hint says which variables to set."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StorageRefused) as refused:
        opened(s3).begin("a/1")
    assert "AWS_ACCESS_KEY_ID" in refused.value.hint


def test_no_bucket(s3: servers.S3Server) -> None:
    """A bucket that is not there is refused, not retried."""
    storage = S3Storage("no-such-bucket", endpoint=s3.endpoint, addressing="path")
    with pytest.raises(StorageRefused, match="NoSuchBucket"):
        storage.begin("a/1")


def test_a_bucket_that_is_gone_has_lost_no_object(s3: servers.S3Server) -> None:
    """The answer to HEAD is 404 for both: a volume would be taken for lost, and its export would end."""
    storage = S3Storage(f"gone-{secrets.token_hex(4)}", endpoint=s3.endpoint, addressing="path")
    with pytest.raises(StorageRefused, match="cannot look at a/1: NoSuchBucket"):
        storage.stat("a/1")
    client = storage._open()
    client.create_bucket(Bucket=storage._bucket)
    with pytest.raises(ObjectMissing):
        storage.stat("a/1")


def test_nothing_is_asked_before_use() -> None:
    """Opening a storage makes no client: the process that forks may do it, its child connects."""
    assert S3Storage("exports")._client is None


def test_a_store_that_ignores_ranges_is_refused(s3: servers.S3Server) -> None:
    """A whole object in answer to a range would be stored at the wrong offset: refused instead."""
    storage = opened(s3)
    store_object(storage, "a/1", b"0123456789")
    with Stubber(storage._open()) as stub:
        body = boto3.client("s3", endpoint_url=s3.endpoint).get_object(Bucket=s3.bucket, Key=storage._prefix + "a/1")[
            "Body"
        ]
        stub.add_response("get_object", {"Body": body})
        with pytest.raises(StorageRefused, match="Range"):
            list(storage.read("a/1", 5))


def test_a_store_that_loses_data_is_found_out(s3: servers.S3Server) -> None:
    """A size other than what was written is an error, and the object is taken away."""
    storage = opened(s3)
    upload = storage.begin("a/1")
    upload.write(b"0123456789")
    upload._bytes += 1
    with pytest.raises(StorageUnavailable, match="10 bytes after 11"):
        upload.complete()
    assert list(storage.list()) == []


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, StorageRefused),
        ("Forbidden", 403, StorageRefused),
        ("NoSuchBucket", 404, StorageRefused),
        ("InvalidAccessKeyId", 403, StorageRefused),
        ("SignatureDoesNotMatch", 403, StorageRefused),
        ("NotImplemented", 501, StorageRefused),
        ("RequestTimeTooSkewed", 403, WrongClock),
        ("QuotaExceeded", 403, StorageFull),
        ("InsufficientStorage", 507, StorageFull),
        ("", 507, StorageFull),
        ("XMinioAdminBucketQuotaExceeded", 400, StorageFull),
        ("QUOTA_EXCEEDED", 403, StorageFull),
        ("EntityTooLarge", 400, StorageRefused),
        ("413", 413, StorageRefused),
        ("NoSuchKey", 404, ObjectMissing),
        ("404", 404, ObjectMissing),
        ("PreconditionFailed", 412, ObjectChanged),
        ("SlowDown", 503, StorageUnavailable),
        ("InternalError", 500, StorageUnavailable),
        ("BadDigest", 400, StorageUnavailable),
        ("TooManyRequests", 429, StorageUnavailable),
    ],
)
def test_errors_by_code(code: str, status: int, kind: type[StorageError]) -> None:
    """The code decides, then the status; the message is ours alone: the store's may hold keys and addresses."""
    answer: Any = {
        "Error": {"Code": code, "Message": "AKIASECRET"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    with pytest.raises(StorageError) as raised, s3_errors("read", "a/1"):
        raise ClientError(answer, "GetObject")
    assert type(raised.value) is kind
    assert "AKIASECRET" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_errors_of_the_library() -> None:
    """Credentials that are not there are refused, anything on the wire is unavailable."""
    with pytest.raises(StorageRefused), s3_errors("read", "a/1"):
        raise NoCredentialsError
    with pytest.raises(StorageUnavailable), s3_errors("read", "a/1"):
        raise ConnectionResetError


def test_parts_hold_five_tebibytes() -> None:
    """10,000 parts, S3's limit, hold 5 TiB; the first 1,000 have 6 MiB each, none above 5 GiB."""
    sizes = [part_bytes(number) for number in range(1, 10_001)]
    assert sum(sizes) >= 5 << 40
    assert set(sizes[:1000]) == {6 << 20}
    assert sizes == sorted(sizes)
    assert sizes[-1] <= 5 << 30


def connections_to(port: int) -> set[str]:
    """The connections of this process to a port of this machine, by their inodes (proc(5)).

    Other threads of the process may open and close sockets meanwhile, such as those of a browser.
    """
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    to_port = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(f":{port:04X}")}
    own = set()
    for found in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            own.add(str(found.readlink()))
    return to_port & own


def test_a_prepared_storage_has_asked_and_holds_no_connection(s3: servers.S3Server) -> None:
    """Forks find the objects that the first request makes, and none of them finds another one's connection."""
    storage, port = opened(s3), urlsplit(s3.endpoint).port or 0
    before, asked = connections_to(port), []
    storage._open().meta.events.register("before-send.s3", lambda **event: asked.append(event["request"].method))
    storage.prepare()
    gc.collect()  # as a worker does before it forks: from Python 3.13 on, an answer is part of a circle of references
    assert asked == ["HEAD"]
    assert connections_to(port) <= before
    store_object(storage, "key", b"content")
    assert b"".join(storage.read("key")) == b"content"


def test_preparing_a_storage_that_refuses_or_is_away(s3: servers.S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that may not be read is not a fault yet; a server that does not answer is one, reported as usual."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    opened(s3).prepare()
    with pytest.raises(StorageUnavailable):
        opened(s3, "http://127.0.0.1:1").prepare()

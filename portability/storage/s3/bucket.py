"""Storage in an S3 bucket, of AWS or any S3-compatible server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from boto3.session import Session
from botocore.config import Config
from botocore.loaders import Loader, create_loader
from botocore.session import Session as Core

from portability.api.errors import ObjectChanged, ObjectMissing, StorageRefused
from portability.api.storage_probes import probe
from portability.api.storages import OpenUpload, StoredObject, check_key, check_prefix
from portability.storage.retry import Retry
from portability.storage.s3 import credentials, guards, lifecycle, versions
from portability.storage.s3.errors import s3_errors
from portability.storage.s3.reading import SOURCE_OBJECT, check_bucket, described, read_blocks, source_path
from portability.storage.s3.upload import PART_BYTES, S3Upload, UploadTarget

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PaginatorConfigTypeDef

CONNECT_SECONDS = 5
READ_SECONDS = 60
BOTO_ATTEMPTS = 2  # retries a stale pooled connection; longer retries are in `Retry`
POOL_CONNECTIONS = 16
NOTHING = "portability-nothing"
"""A key that no object has."""


class S3Storage:
    """A bucket, or a prefix in one, as `Storage`.

    Thread-safe. The client is made at first use. With a connection it does not survive a fork: a process that forks
    prepares its storage, and uses it only in the child.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str | None = None,
        addressing: str = "virtual",
        checksum: bool = True,
        sign_payload: bool = True,
        sse: str | None = None,
        first_part_bytes: int = PART_BYTES,
        threads: int = 2,
        page_objects: int = 1000,
        retry: Retry | None = None,
    ) -> None:
        """Store the parameters; no connection is opened yet.

        Args:
            bucket: must exist.
            prefix: the beginning of all keys, without slashes at its ends.
            endpoint: URL of the server; default: AWS.
            region: default: the region that AWS libraries find, else us-east-1.
            addressing: `path` or `virtual` (the bucket as part of the host's name).
            checksum: send a CRC32 with each part, for the store to check; False for stores that reject it.
            sign_payload: sign bodies as well as headers; False only over https, which protects the bodies.
            sse: `AES256`, `aws:kms` or `aws:kms:KEY`.
            first_part_bytes: at least 5 MiB, except the last part.
            threads: parts uploaded at the same time.
            page_objects: page size of listings.
            retry: retries while writing.
        """
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint = endpoint
        self._region = region
        self._addressing = addressing
        self._checksum = checksum
        self._sign_payload = sign_payload
        self._encryption = _encryption(sse)
        self._first_part_bytes = first_part_bytes
        self._threads = threads
        self._pages: PaginatorConfigTypeDef = {"PageSize": page_objects}
        self._retry = retry or Retry()
        self._descriptions = _descriptions()
        self._client: S3Client | None = None
        self._making = Lock()

    @property
    def url(self) -> str:
        query = urlencode({"endpoint": self._endpoint}, safe=":/") if self._endpoint else ""
        return f"s3://{self._bucket}/{self._prefix.rstrip('/')}{query and '?'}{query}"

    def prepare(self) -> None:
        client = self._open()
        # The first request loads objects that are kept: how to sign, where to connect, how to parse an answer.
        with suppress(ObjectMissing, StorageRefused):
            self._target(NOTHING).head()
        client.close()

    def begin(
        self, key: str, *, media_type: str = "application/octet-stream", begun: Callable[[str], object] | None = None
    ) -> S3Upload:
        return S3Upload(self._target(key, media_type), begun)

    def abort(self, key: str, upload_id: str) -> None:
        self._target(key).abort(upload_id)

    def uploads(self, prefix: str = "") -> Iterator[OpenUpload]:
        path = self._prefix + check_prefix(prefix)
        with s3_errors("list uploads of", self.url):
            pages = self._open().get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._bucket, Prefix=path, PaginationConfig=self._pages):
                for found in page.get("Uploads", ()):
                    yield OpenUpload(
                        found["Key"].removeprefix(self._prefix), found["UploadId"], found["Initiated"].astimezone(UTC)
                    )

    def stat(self, key: str) -> StoredObject:
        try:
            return self._target(key).head()[0]
        except ObjectMissing:
            check_bucket(self._open(), self._bucket, key)
            raise

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """Read as the protocol says; errors are raised during iteration."""
        yield from read_blocks(self._open(), self._bucket, self._path(key), key, offset, etag)

    def stat_any(self, key: str) -> StoredObject:
        path = source_path(self._prefix, key)
        try:
            return described(self._open(), self._bucket, path, key)
        except ObjectMissing:
            check_bucket(self._open(), self._bucket, SOURCE_OBJECT)
            raise

    def read_any(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        path = source_path(self._prefix, key)
        yield from read_blocks(self._open(), self._bucket, path, SOURCE_OBJECT, offset, etag)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        path = self._prefix + check_prefix(prefix)
        with s3_errors("list", self.url):
            pages = self._open().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=path, PaginationConfig=self._pages):
                for found in page.get("Contents", ()):
                    key = found["Key"].removeprefix(self._prefix)
                    yield StoredObject(
                        key, found["Size"], found["ETag"].strip('"'), found["LastModified"].astimezone(UTC)
                    )

    def create(self, key: str, body: bytes) -> bool:
        """Store a small object if none has its key; a server that ignores `If-None-Match` replaces it."""
        try:
            with s3_errors("create", key):
                self._open().put_object(**self._address(key), Body=body, IfNoneMatch="*", **self._encryption)
        except ObjectChanged:
            return False
        return True

    def delete(self, key: str) -> None:
        with suppress(ObjectMissing), s3_errors("delete", key):
            versions.delete(self._open(), self._bucket, self._path(key))

    def hidden(self, prefix: str = "") -> Iterator[StoredObject]:
        path = self._prefix + check_prefix(prefix)
        with s3_errors("list versions of", self.url):
            for found in versions.hidden(self._open(), self._bucket, path, self._pages):
                yield StoredObject(found.key.removeprefix(self._prefix), found.bytes, "", found.modified_at)

    def purge(self, key: str) -> None:
        with suppress(ObjectMissing), s3_errors("purge", key):
            versions.purge(self._open(), self._bucket, self._path(key))

    def check(self) -> None:
        probe(self)

    def upload_days(self) -> int | None:
        with s3_errors("see the lifecycle rules of", self.url):
            return lifecycle.upload_days(self._open(), self._bucket, self._prefix)

    def set_upload_days(self, days: int) -> None:
        with s3_errors("set a lifecycle rule of", self.url):
            lifecycle.set_upload_days(self._open(), self._bucket, self._prefix, days)

    def presigned(self, key: str, *, name: str, seconds: int) -> str:
        saved = {
            "ResponseContentDisposition": f'attachment; filename="{check_key(name)}"',
            "ResponseContentType": "application/zip",
            "ResponseCacheControl": "no-store",
        }
        with s3_errors("sign an address of", key):
            return self._open().generate_presigned_url(
                "get_object", Params={**self._address(key), **saved}, ExpiresIn=seconds
            )

    def is_public(self) -> bool:
        with s3_errors("see the policy of", self.url):
            return guards.is_public(self._open(), self._bucket)

    def blocks_public_access(self) -> bool:
        with s3_errors("see the public access block of", self.url):
            return guards.blocks_public_access(self._open(), self._bucket)

    def encryption(self) -> str | None:
        with s3_errors("see the encryption of", self.url):
            return guards.encryption(self._open(), self._bucket)

    def _path(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _address(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._path(key)}

    def _target(self, key: str, media_type: str = "") -> UploadTarget:
        return UploadTarget(
            client=self._open(),
            bucket=self._bucket,
            path=self._path(key),
            key=key,
            media_type=media_type,
            encryption=self._encryption,
            checksum=self._checksum,
            first_part_bytes=self._first_part_bytes,
            threads=self._threads,
            retry=self._retry,
        )

    def _open(self) -> S3Client:
        with self._making:
            if self._client is None:
                with s3_errors("open", self.url):
                    self._client = self._connect()
            return self._client

    def _connect(self) -> S3Client:
        core = Core()
        core.register_component("data_loader", self._descriptions)
        credentials.follow(core)
        session = Session(botocore_session=core)
        addressing: Literal["path", "virtual"] = "path" if self._addressing == "path" else "virtual"
        # If the connection protects the body, and the CRC32 confirms its arrival, hashing it for the signature as well
        # would triple the cost. botocore's own checksums are sent as trailers, which many stores reject.
        config = Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            tcp_keepalive=True,
            max_pool_connections=POOL_CONNECTIONS,
            retries={"total_max_attempts": BOTO_ATTEMPTS, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": addressing, "payload_signing_enabled": self._sign_payload},
        )
        region = self._region or session.region_name or "us-east-1"
        return session.client("s3", region_name=region, endpoint_url=self._endpoint, config=config)


@cache
def _descriptions() -> Loader:
    """Load botocore's description of S3 once for all storages, before a fork: each copy needs 12 MB and 50 ms."""
    loader = create_loader()
    loader.load_service_model("s3", "service-2")
    loader.load_service_model("s3", "endpoint-rule-set-1")
    loader.load_data("endpoints")
    return loader


def _encryption(sse: str | None) -> dict[str, Any]:
    """Return headers for server-side encryption; a bucket key saves most calls to KMS."""
    if sse is None:
        return {}
    if sse == "AES256":
        return {"ServerSideEncryption": "AES256"}
    _, _, key = sse.removeprefix("aws:").partition(":")
    return {
        "ServerSideEncryption": "aws:kms",
        "BucketKeyEnabled": True,
        **({"SSEKMSKeyId": key} if key else {}),
    }

"""Storage in an S3 bucket, of AWS or of any server that speaks S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import Loader, create_loader
from botocore.session import Session as Core

from portability.errors import ObjectMissing, StorageRefused
from portability.storage import (
    BLOCK_BYTES,
    OpenUpload,
    StoredObject,
    check_key,
    check_prefix,
    s3_guards,
    s3_lifecycle,
    s3_versions,
)
from portability.storage.probe import probe
from portability.storage.retry import Retry
from portability.storage.s3_errors import s3_errors
from portability.storage.s3_upload import PART_BYTES, S3Upload, Target

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PaginatorConfigTypeDef

CONNECT_SECONDS = 5
READ_SECONDS = 60
BOTO_ATTEMPTS = 2  # a stale pooled connection is noticed at once; patience is `Retry`'s
POOL_CONNECTIONS = 16
NOTHING = "portability-nothing"
"""A key of no object."""
_SATISFIED_BY_NOTHING = {"InvalidRange", "416"}


class S3Storage:
    """A bucket, or a prefix in one, as `Storage`.

    Safe in several threads. The client is made at first use. With a connection it does not survive a fork: a process
    that forks prepares its storage, and uses it in the child alone.
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
        """Remember where; no connection is opened yet.

        Args:
            bucket: must exist.
            prefix: of all keys, without slashes at its ends.
            endpoint: URL of the server, without one AWS's own.
            region: without one what AWS libraries find, else us-east-1.
            addressing: `path` or `virtual` (the bucket as part of the host's name).
            checksum: send a CRC32 with each part, for the store to check; False for stores that refuse it.
            sign_payload: sign bodies too, not headers alone; False over https only, where the connection guards them.
            sse: `AES256`, `aws:kms` or `aws:kms:KEY`.
            first_part_bytes: at least 5 MiB, but for the last part.
            threads: parts under way at once.
            page_objects: listing in pages of this size.
            retry: patience with the store while writing.
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
        # The first question makes much that is kept: how to sign, where to go, what an answer looks like.
        with suppress(ObjectMissing, StorageRefused):
            self.stat(NOTHING)
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
        return self._target(key).head()[0]

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """As the protocol; all errors come with the blocks."""
        condition: dict[str, Any] = {"IfMatch": f'"{etag}"'} if etag is not None else {}
        part: dict[str, Any] = {"Range": f"bytes={offset}-"} if offset else {}
        with s3_errors("read", key):
            try:
                found = self._open().get_object(**self._address(key), **condition, **part)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _SATISFIED_BY_NOTHING:
                    return
                raise
            with closing(found["Body"]) as body:
                if offset and "ContentRange" not in found:
                    raise StorageRefused(f"cannot read {key} from byte {offset}: the store ignores Range")
                yield from body.iter_chunks(BLOCK_BYTES)

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

    def delete(self, key: str) -> None:
        with suppress(ObjectMissing), s3_errors("delete", key):
            s3_versions.delete(self._open(), self._bucket, self._prefix + check_key(key))

    def hidden(self, prefix: str = "") -> Iterator[StoredObject]:
        path = self._prefix + check_prefix(prefix)
        with s3_errors("list versions of", self.url):
            for found in s3_versions.hidden(self._open(), self._bucket, path, self._pages):
                yield StoredObject(found.key.removeprefix(self._prefix), found.bytes, "", found.modified_at)

    def purge(self, key: str) -> None:
        with suppress(ObjectMissing), s3_errors("purge", key):
            s3_versions.purge(self._open(), self._bucket, self._prefix + check_key(key))

    def check(self) -> None:
        probe(self)

    def upload_days(self) -> int | None:
        with s3_errors("see the lifecycle rules of", self.url):
            return s3_lifecycle.upload_days(self._open(), self._bucket, self._prefix)

    def set_upload_days(self, days: int) -> None:
        with s3_errors("set a lifecycle rule of", self.url):
            s3_lifecycle.set_upload_days(self._open(), self._bucket, self._prefix, days)

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
            return s3_guards.is_public(self._open(), self._bucket)

    def blocks_public_access(self) -> bool:
        with s3_errors("see the public access block of", self.url):
            return s3_guards.blocks_public_access(self._open(), self._bucket)

    def encryption(self) -> str | None:
        with s3_errors("see the encryption of", self.url):
            return s3_guards.encryption(self._open(), self._bucket)

    def _address(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._prefix + check_key(key)}

    def _target(self, key: str, media_type: str = "") -> Target:
        return Target(
            client=self._open(),
            bucket=self._bucket,
            path=self._prefix + check_key(key),
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
        session = Session(botocore_session=core)
        addressing: Literal["path", "virtual"] = "path" if self._addressing == "path" else "virtual"
        # Where the connection guards the body, and the CRC32 says that it arrived, hashing it for the signature too
        # would treble the cost. botocore's own checksums come as trailers, which many stores refuse.
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
    """What botocore knows of S3: read once for all storages, and before a fork. Else each has 12 MB and 50 ms of it."""
    loader = create_loader()
    loader.load_service_model("s3", "service-2")
    loader.load_service_model("s3", "endpoint-rule-set-1")
    loader.load_data("endpoints")
    return loader


def _encryption(sse: str | None) -> dict[str, Any]:
    """Headers for server-side encryption; a bucket key spares most calls to KMS."""
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

"""Reading objects of a bucket, those of this software and those that other programs have stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from portability.api.errors import StorageRefused
from portability.api.source_storages import check_source_key, refused_source_key
from portability.api.storages import BLOCK_BYTES, StoredObject
from portability.storage.s3.errors import s3_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SOURCE_OBJECT = "an object of a source"
"""How errors name an object whose key is personal data."""
KEY_BYTES_MAX = 1024
"""Of S3, with the prefix (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html)."""
_SATISFIED_BY_NOTHING = {"InvalidRange", "416"}


def source_path(prefix: str, key: str) -> str:
    """Return the whole key of a source's object. Raises StorageRefused if no object can have it."""
    path = prefix + check_source_key(key)
    if len(path.encode()) > KEY_BYTES_MAX:
        raise refused_source_key(f"has more than {KEY_BYTES_MAX} bytes with the prefix of the storage")
    return path


def described(client: S3Client, bucket: str, path: str, key: str) -> StoredObject:
    """Describe a source's object. Raises ObjectMissing, StorageRefused, StorageUnavailable, without the key."""
    with s3_errors("look at", SOURCE_OBJECT):
        try:
            found = client.head_object(Bucket=bucket, Key=path)
        except ClientError as error:
            if _status(error) == HTTPStatus.BAD_REQUEST:
                # It has no body that says why. Some servers refuse keys that others hold, such as `a//b`; a refused
                # account is refused for the bucket, too.
                client.head_bucket(Bucket=bucket)
                raise StorageRefused(f"cannot look at {SOURCE_OBJECT}: the store refuses its key (400)") from None
            raise
        return StoredObject(
            key, found["ContentLength"], found["ETag"].strip('"'), found["LastModified"].astimezone(UTC)
        )


def check_bucket(client: S3Client, bucket: str, what: str) -> None:
    """Raise StorageRefused if the bucket is gone: HEAD says 404 for it too, and its objects may come back."""
    with s3_errors("look at", what):
        try:
            client.head_bucket(Bucket=bucket)
        except ClientError as error:
            if _status(error) == HTTPStatus.NOT_FOUND:
                raise StorageRefused(f"cannot look at {what}: NoSuchBucket (404)") from None


def read_blocks(client: S3Client, bucket: str, path: str, what: str, offset: int, etag: str | None) -> Iterator[bytes]:
    """Read as `Storage.read` says; errors are raised during iteration, and name the object as `what`."""
    conditions: dict[str, Any] = {}
    if etag:
        conditions["IfMatch"] = f'"{etag}"'
    if offset:
        conditions["Range"] = f"bytes={offset}-"
    with s3_errors("read", what):
        try:
            found = client.get_object(Bucket=bucket, Key=path, **conditions)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _SATISFIED_BY_NOTHING:
                return
            raise
        with closing(found["Body"]) as body:
            if offset and "ContentRange" not in found:
                raise StorageRefused(f"cannot read {what} from byte {offset}: the store ignores Range")
            yield from body.iter_chunks(BLOCK_BYTES)


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]

"""Versions in a bucket that keeps them: deleting an object deletes all of them, with delete markers (R41)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PaginatorConfigTypeDef


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object, or a delete marker."""

    key: str
    id: str
    is_latest: bool
    is_marker: bool
    bytes: int
    modified_at: datetime


def delete(client: S3Client, bucket: str, key: str) -> None:
    """Delete an object and all its versions, if the bucket keeps versions. Raises ClientError.

    The store's answer says whether it keeps versions: most buckets do not, and need no listing.
    """
    answer = client.delete_object(Bucket=bucket, Key=key)
    if not answer.get("DeleteMarker") and "VersionId" not in answer:
        return
    # Versions that were added meanwhile do not matter: keys are never reused.
    found = _of(client, bucket, key)
    try:
        for version in found:
            client.delete_object(Bucket=bucket, Key=key, VersionId=version.id)
    except ClientError:
        # Object Lock, for example. Callers repeat it until it succeeds, and each call adds a marker: one is enough.
        for version in found:
            if version.is_marker and not version.is_latest:
                client.delete_object(Bucket=bucket, Key=key, VersionId=version.id)
        raise


def purge(client: S3Client, bucket: str, key: str) -> None:
    """Delete the versions of a deleted object, or those before the current one."""
    for version in _of(client, bucket, key):
        if version.is_marker or not version.is_latest:
            client.delete_object(Bucket=bucket, Key=key, VersionId=version.id)


def hidden(client: S3Client, bucket: str, prefix: str, pages: PaginatorConfigTypeDef) -> Iterator[Version]:
    """Yield the newest version under each key that a plain listing does not show. Raises ClientError."""
    if "Status" not in client.get_bucket_versioning(Bucket=bucket):
        return
    listed: set[str] = set()
    for version in versions(client, bucket, prefix, pages):
        if (version.is_marker or not version.is_latest) and version.key not in listed:
            listed.add(version.key)
            yield version


def versions(client: S3Client, bucket: str, prefix: str, pages: PaginatorConfigTypeDef) -> Iterator[Version]:
    """Yield all versions and markers below a prefix, page by page. Raises ClientError."""
    for page in client.get_paginator("list_object_versions").paginate(
        Bucket=bucket, Prefix=prefix, PaginationConfig=pages
    ):
        for found in page.get("Versions", ()):
            yield _version(found, is_marker=False)
        for mark in page.get("DeleteMarkers", ()):
            yield _version(mark, is_marker=True)


def _of(client: S3Client, bucket: str, key: str) -> list[Version]:
    """Return those of one key, markers last: a marker deleted first would make the versions it hides visible."""
    found = [version for version in versions(client, bucket, key, {}) if version.key == key]
    return sorted(found, key=lambda version: version.is_marker)


def _version(found: Any, *, is_marker: bool) -> Version:  # noqa: ANN401  # a version or a mark, which have no common type
    return Version(
        key=found["Key"],
        id=found.get("VersionId", "null"),
        is_latest=bool(found.get("IsLatest")),
        is_marker=is_marker,
        bytes=found.get("Size", 0),
        modified_at=found["LastModified"].astimezone(UTC),
    )

"""Protections of a bucket: whether the public can read it, and whether it encrypts by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_NO_BLOCK = {"NoSuchPublicAccessBlockConfiguration"}
_NO_POLICY = {"NoSuchBucketPolicy"}
_NO_ENCRYPTION = {"ServerSideEncryptionConfigurationNotFoundError"}


def is_public(client: S3Client, bucket: str) -> bool:
    """Return whether the bucket's policy opens it to the public. Raises ClientError, also if the store cannot say."""
    try:
        return bool(client.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"])
    except ClientError as error:
        if _code(error) in _NO_POLICY:
            return False
        raise


def blocks_public_access(client: S3Client, bucket: str) -> bool:
    """Return whether the bucket prevents public access by mistake. Raises ClientError, also if the store cannot say."""
    try:
        settings = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if _code(error) in _NO_BLOCK:
            return False
        raise
    return all(settings.get(name) for name in BLOCKS)


def encryption(client: S3Client, bucket: str) -> str | None:
    """Return how the bucket encrypts by default. Raises ClientError, also if the store cannot say."""
    try:
        rules = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if _code(error) in _NO_ENCRYPTION:
            return None
        raise
    named = (rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules)
    return next((str(name) for name in named if name), None)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))

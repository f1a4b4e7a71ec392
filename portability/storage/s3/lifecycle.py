"""The lifecycle rule of a bucket that aborts abandoned uploads: read it, and set it without changing other rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RULE = "portability-uploads"
_NO_RULES = "NoSuchLifecycleConfiguration"


def upload_days(client: S3Client, bucket: str, prefix: str) -> int | None:
    """Return after how many days the bucket aborts all open uploads below a prefix; None: never. Raises ClientError."""
    rules = _configuration(client, bucket)["Rules"]
    return min((_days(rule) for rule in rules if _covers(rule, prefix)), default=None)


def set_upload_days(client: S3Client, bucket: str, prefix: str, days: int) -> None:
    """Add the rule, or replace the one that was added earlier. Raises ClientError."""
    configuration = _configuration(client, bucket)
    name = f"{RULE}-{prefix.rstrip('/').replace('/', '-')}".rstrip("-")[:255]
    others = [rule for rule in configuration["Rules"] if rule.get("ID") != name]
    # S3 has an old and a new form of rules and rejects a mixture of them.
    where = {"Prefix": prefix} if any("Prefix" in rule for rule in others) else {"Filter": {"Prefix": prefix}}
    rule = {"ID": name, "Status": "Enabled", **where, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}}
    rules: Any = {"Rules": [*others, rule]}
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules, **configuration["options"])


def _configuration(client: S3Client, bucket: str) -> dict[str, Any]:
    """Return all rules, and the settings that S3 resets unless they are sent again."""
    try:
        answer: Mapping[str, Any] = client.get_bucket_lifecycle_configuration(Bucket=bucket)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != _NO_RULES:
            raise
        answer = {}
    rules: Sequence[Mapping[str, Any]] = answer.get("Rules", ())
    size = "TransitionDefaultMinimumObjectSize"
    return {"Rules": rules, "options": {size: answer[size]} if answer.get(size) else {}}


def _covers(rule: Mapping[str, Any], prefix: str) -> bool:
    if rule["Status"] != "Enabled" or not _days(rule):
        return False
    narrowed = rule.get("Filter", {})
    both = narrowed.get("And", {})
    # A rule with a filter by tag or size never applies to an upload.
    if any(key not in {"Prefix", "And"} for key in narrowed) or any(key != "Prefix" for key in both):
        return False
    begins = rule.get("Prefix") or narrowed.get("Prefix") or both.get("Prefix") or ""
    return prefix.startswith(begins)


def _days(rule: Mapping[str, Any]) -> int:
    days: int = rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation", 0)
    return days

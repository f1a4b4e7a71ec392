from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import servers
from botocore.stub import Stubber

from portability.api.errors import StorageRefused, StorageUnavailable
from portability.api.storages import LifecycleStorage
from portability.storage.local import LocalStorage
from portability.storage.s3.bucket import S3Storage

LOGS = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}}
OLD = {"ID": "old", "Status": "Enabled", "Prefix": "old/", "Expiration": {"Days": 3}}


def rule(days: int = 3, **changes: Any) -> dict[str, Any]:
    abort = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}}
    return {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": ""}, **abort, **changes}


@dataclass
class Bucket:
    """A bucket of its own: rules belong to a bucket, not to a prefix."""

    client: Any
    endpoint: str
    name: str = field(default_factory=lambda: f"rules-{secrets.token_hex(6)}")


@pytest.fixture
def bucket(s3: servers.S3Server) -> Iterator[Bucket]:
    made = Bucket(boto3.client("s3", endpoint_url=s3.endpoint), s3.endpoint)
    made.client.create_bucket(Bucket=made.name)
    yield made
    made.client.close()


def opened_bucket(bucket: Bucket, prefix: str = "eu") -> S3Storage:
    return S3Storage(bucket.name, prefix, endpoint=bucket.endpoint, addressing="path")


@contextmanager
def stubbed() -> Iterator[tuple[S3Storage, Stubber]]:
    """A storage of AWS whose answers are made up."""
    storage = S3Storage("exports", region="eu-central-1")
    with Stubber(storage._open()) as stub:
        yield storage, stub


def put_rules(bucket: Bucket, *rules: dict[str, Any]) -> None:
    bucket.client.put_bucket_lifecycle_configuration(Bucket=bucket.name, LifecycleConfiguration={"Rules": list(rules)})


def rules(bucket: Bucket) -> dict[str, Any]:
    answer = bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.name)
    return {rule["ID"]: rule for rule in answer["Rules"]}


def test_a_bucket_without_rules_gets_one(bucket: Bucket) -> None:
    """None before, seven days afterwards; setting it again changes it and adds none."""
    storage = opened_bucket(bucket)
    assert storage.upload_days() is None
    storage.set_upload_days(7)
    assert storage.upload_days() == 7
    assert rules(bucket) == {"portability-uploads-eu": rule(7, ID="portability-uploads-eu", Filter={"Prefix": "eu/"})}
    storage.set_upload_days(5)
    assert opened_bucket(bucket).upload_days() == 5
    assert len(rules(bucket)) == 1


@pytest.mark.parametrize("others", [[LOGS], [LOGS, rule(3, Filter={"Prefix": "tmp/"})], [OLD], [LOGS, OLD]])
def test_every_other_rule_stays(bucket: Bucket, others: list[dict[str, Any]]) -> None:
    """Rules of others come back as they were, in the old form and in the new; two prefixes have a rule each."""
    put_rules(bucket, *others)
    before = rules(bucket)
    opened_bucket(bucket).set_upload_days(7)
    opened_bucket(bucket, "us/archives").set_upload_days(9)
    assert (opened_bucket(bucket).upload_days(), opened_bucket(bucket, "us/archives").upload_days()) == (7, 9)
    after = rules(bucket)
    assert {name: after.pop(name) for name in before} == before
    assert after.keys() == {"portability-uploads-eu", "portability-uploads-us-archives"}
    assert all(("Prefix" in one) == (OLD in others) for one in after.values())


@pytest.mark.parametrize(
    ("there", "days"),
    [
        (rule(3), 3),
        (rule(3, Filter={"Prefix": "e"}), 3),
        (rule(3, Filter={"Prefix": "eu/"}), 3),
        (rule(3, Filter={"Prefix": "eu/x"}), None),
        (rule(3, Filter={"Prefix": "us/"}), None),
        (rule(3, Status="Disabled"), None),
        (LOGS | {"Filter": {"Prefix": ""}}, None),
    ],
)
def test_a_rule_counts_where_it_covers_the_prefix(bucket: Bucket, there: dict[str, Any], days: int | None) -> None:
    """Enabled, for uploads, and for all our keys."""
    put_rules(bucket, there)
    assert opened_bucket(bucket).upload_days() == days


@pytest.mark.parametrize(
    ("there", "days"),
    [
        ({"Prefix": ""}, 3),
        ({"Prefix": "eu/2026"}, None),
        ({"Filter": {"Tag": {"Key": "a", "Value": "b"}}}, None),
        ({"Filter": {"And": {"Prefix": "", "Tags": [{"Key": "a", "Value": "b"}]}}}, None),
        ({"Filter": {"ObjectSizeGreaterThan": 5}}, None),
        ({}, 3),
    ],
)
def test_forms_that_other_stores_answer(there: dict[str, Any], days: int | None) -> None:
    """The old form, none at all, and filters that no upload can match."""
    kept = {name: value for name, value in rule(3).items() if name != "Filter"}
    with stubbed() as (storage, stub):
        stub.add_response("get_bucket_lifecycle_configuration", {"Rules": [kept | there]})
        assert storage.upload_days() == days


def test_what_else_the_configuration_says_is_said_again() -> None:
    """Without it, S3 would set the smallest size for transitions back to its default."""
    with stubbed() as (storage, stub):
        size = {"TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}
        stub.add_response("get_bucket_lifecycle_configuration", {"Rules": [LOGS], **size})
        ours = rule(7, ID="portability-uploads", Filter={"Prefix": ""})
        wanted = {"Bucket": "exports", "LifecycleConfiguration": {"Rules": [LOGS, ours]}, **size}
        stub.add_response("put_bucket_lifecycle_configuration", {}, wanted)
        storage.set_upload_days(7)
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status"), [("NotImplemented", 501), ("MethodNotAllowed", 405), ("AccessDenied", 403), ("", 405)]
)
def test_a_store_without_rules_says_so(code: str, status: int) -> None:
    """StorageRefused: asking again would not help."""
    with stubbed() as (storage, stub):
        for _ in range(2):
            stub.add_client_error("get_bucket_lifecycle_configuration", code, http_status_code=status)
        with pytest.raises(StorageRefused):
            storage.upload_days()
        with pytest.raises(StorageRefused):
            storage.set_upload_days(7)


def test_a_store_that_does_not_answer_now() -> None:
    """StorageUnavailable, and never taken for a bucket without rules: that would overwrite them."""
    with stubbed() as (storage, stub):
        stub.add_client_error("get_bucket_lifecycle_configuration", "SlowDown", http_status_code=503)
        with pytest.raises(StorageUnavailable):
            storage.set_upload_days(7)
        stub.assert_no_pending_responses()


def test_a_folder_has_no_rules(tmp_path: Path) -> None:
    """Only what can do it offers it."""
    assert not isinstance(LocalStorage(tmp_path), LifecycleStorage)
    assert isinstance(S3Storage("exports"), LifecycleStorage)

"""Buckets that keep versions: what is deleted is gone, with all its versions and marks (R41)."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import boto3
import pytest
import servers
from factories import MadeUpExporter, things, world
from sqlalchemy import update
from sweeping import found

from portability.api.errors import StorageRefused
from portability.api.storages import VersionedStorage
from portability.database import models
from portability.database.engine import now, writing
from portability.requests.states import ExportState
from portability.retention import recalls
from portability.storage.s3.bucket import S3Storage
from worker.clock import expiry
from worker.clock.sweep import sweep
from worker.write import object_keys
from worker.write.withdraw import withdraw_discarded

BUCKET = "versioned"
DAY = 86_400


@pytest.fixture
def client(s3: servers.S3Server) -> Any:
    client = boto3.client("s3", endpoint_url=s3.endpoint)
    if BUCKET not in {one["Name"] for one in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture
def versioned(client: Any, s3: servers.S3Server) -> S3Storage:
    del client
    return S3Storage(BUCKET, secrets.token_hex(6), endpoint=s3.endpoint, addressing="path", page_objects=2)


def put(versioned: S3Storage, key: str, body: bytes = b"12345") -> str:
    upload = versioned.begin(key)
    upload.write(body)
    upload.complete()
    return key


def kept(client: Any, versioned: S3Storage) -> list[tuple[str, bool]]:
    """Everything that the bucket still has below the prefix: key, and whether it is a delete marker."""
    page = client.list_object_versions(Bucket=BUCKET, Prefix=versioned._prefix)
    assert not page["IsTruncated"]
    entries = [(one["Key"], False) for one in page.get("Versions", ())]
    entries += [(one["Key"], True) for one in page.get("DeleteMarkers", ())]
    return [(key.removeprefix(versioned._prefix), is_marker) for key, is_marker in entries]


@pytest.mark.requirement("R41")
def test_delete_takes_every_version_along(client: Any, versioned: S3Storage) -> None:
    """Of this key, over several pages of the listing, and of no longer key; a second call is not an error."""
    for _ in range(5):
        put(versioned, "a/1")
    client.delete_object(Bucket=BUCKET, Key=f"{versioned._prefix}a/1")
    put(versioned, "a/1")
    put(versioned, "a/10")

    versioned.delete("a/1")
    versioned.delete("a/1")

    assert kept(client, versioned) == [("a/10", False)]
    assert list(versioned.hidden()) == []


def test_what_a_lock_keeps_gets_one_marker(client: Any, s3: servers.S3Server) -> None:
    """A deletion that Object Lock refuses is repeated: the error says why, and the bucket does not grow."""
    bucket = f"locked-{secrets.token_hex(4)}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=rule)
    locked = S3Storage(bucket, "", endpoint=s3.endpoint, addressing="path")
    put(locked, "a/1")
    for _ in range(4):
        with pytest.raises(StorageRefused) as refused:
            locked.delete("a/1")
        assert "Object Lock" in refused.value.hint
    page = client.list_object_versions(Bucket=bucket)
    assert (len(page["Versions"]), len(page["DeleteMarkers"])) == (1, 1)
    assert list(locked.list()) == []


def test_what_is_hidden_is_listed_and_purged(client: Any, versioned: S3Storage) -> None:
    """What an older release, or a person, has deleted with a plain request; what there is stays as it is."""
    for key in ("gone", "here", "here", "fresh"):
        put(versioned, key)
    client.delete_object(Bucket=BUCKET, Key=f"{versioned._prefix}gone")

    hidden = [one.key for one in versioned.hidden()]
    for key in hidden:
        versioned.purge(key)

    assert sorted(hidden) == ["gone", "here"]
    assert sorted(kept(client, versioned)) == [("fresh", False), ("here", False)]
    assert list(versioned.hidden()) == []


def test_a_bucket_without_versions_is_not_asked_for_them(s3: servers.S3Server) -> None:
    """One request to delete, none to list; nothing is hidden."""
    plain = S3Storage(s3.bucket, secrets.token_hex(6), endpoint=s3.endpoint, addressing="path")
    put(plain, "a")
    asked: list[str] = []
    plain._open().meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))

    plain.delete("a")

    assert asked == ["DeleteObject"]
    assert isinstance(plain, VersionedStorage)
    assert list(plain.hidden()) == []


@pytest.mark.requirement("R41")
def test_an_archive_that_ends_leaves_nothing(
    client: Any, versioned: S3Storage, control_url: str, tmp_path: Path
) -> None:
    """Expired or recalled: no version, no mark, no part of a volume and no excerpt beside it."""
    made = world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url, storage=versioned)
    expired, recalled = made.request("user:usr_1"), made.request("user:usr_2")
    made.advance_all()
    assert len([key for key, is_marker in kept(client, versioned) if not is_marker]) >= 2
    old, messages = update(models.export).where(models.export.c.id == expired), update(models.notification)
    with writing(made.engine) as connection:
        connection.execute(old.values(ended_at=now(-8 * DAY)))
    expiry.announce(made.engine, made.place.settings)
    with writing(made.engine) as connection:
        connection.execute(messages.where(models.notification.c.kind == "expiring").values(created_at=now(-3 * DAY)))
        recalls.recall(connection, recalled, reason="wrong person", actor="operator:test")
    assert expiry.expire(made.engine, made.place.settings) == 1

    withdraw_discarded(made.engine, lambda: versioned, {ExportState.EXPIRED})
    withdraw_discarded(made.engine, lambda: versioned, {ExportState.RECALLED})

    assert kept(client, versioned) == []


def test_a_sweep_finds_what_is_hidden(client: Any, versioned: S3Storage, control_url: str, tmp_path: Path) -> None:
    """Of names that are ours; another program's versions in the same place are left alone."""
    made = world(tmp_path, {}, database_url=control_url, storage=versioned)
    ours = put(versioned, object_keys.fresh("a" * 24, 1, 1))
    foreign = put(versioned, "somebody/else.zip")
    for key in (ours, foreign):
        client.delete_object(Bucket=BUCKET, Key=f"{versioned._prefix}{key}")

    assert found(sweep(made.engine, versioned, actor="operator:test", dry_run=True)) == {"version": 1}
    assert found(sweep(made.engine, versioned, actor="operator:test")) == {"version": 1}

    assert {key for key, _ in kept(client, versioned)} == {foreign, "portability-owner"}
    assert found(sweep(made.engine, versioned, actor="operator:test")) == {}

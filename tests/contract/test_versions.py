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

from portability import models, recalls
from portability.db import now, writing
from portability.states import ExportState
from portability.storage import VersionedStorage
from portability.storage.s3 import S3Storage
from worker import expire, object_keys
from worker.sweep import sweep
from worker.withdraw import withdraw_recalled, withdraw_state

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
def storage(client: Any, s3: servers.S3Server) -> S3Storage:
    del client
    return S3Storage(BUCKET, secrets.token_hex(6), endpoint=s3.endpoint, addressing="path", page_objects=2)


def put(storage: S3Storage, key: str, body: bytes = b"12345") -> str:
    upload = storage.begin(key)
    upload.write(body)
    upload.complete()
    return key


def kept(client: Any, storage: S3Storage) -> list[tuple[str, bool]]:
    """Everything that the bucket still has below the prefix: key, and whether it is a delete marker."""
    page = client.list_object_versions(Bucket=BUCKET, Prefix=storage._prefix)
    assert not page["IsTruncated"]
    entries = [(one["Key"], False) for one in page.get("Versions", ())]
    entries += [(one["Key"], True) for one in page.get("DeleteMarkers", ())]
    return [(key.removeprefix(storage._prefix), is_marker) for key, is_marker in entries]


@pytest.mark.requirement("R41")
def test_delete_takes_every_version_along(client: Any, storage: S3Storage) -> None:
    """Of this key, over several pages of the listing, and of none that begins like it; twice is no error."""
    for _ in range(5):
        put(storage, "a/1")
    client.delete_object(Bucket=BUCKET, Key=f"{storage._prefix}a/1")
    put(storage, "a/1")
    put(storage, "a/10")

    storage.delete("a/1")
    storage.delete("a/1")

    assert kept(client, storage) == [("a/10", False)]
    assert list(storage.hidden()) == []


def test_what_is_hidden_is_listed_and_purged(client: Any, storage: S3Storage) -> None:
    """What an older release, or a person, has deleted with a plain request; what there is stays as it is."""
    for key in ("gone", "here", "here", "fresh"):
        put(storage, key)
    client.delete_object(Bucket=BUCKET, Key=f"{storage._prefix}gone")

    hidden = [one.key for one in storage.hidden()]
    for key in hidden:
        storage.purge(key)

    assert sorted(hidden) == ["gone", "here"]
    assert sorted(kept(client, storage)) == [("fresh", False), ("here", False)]
    assert list(storage.hidden()) == []


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
def test_an_archive_that_ends_leaves_nothing(client: Any, storage: S3Storage, control_url: str, tmp_path: Path) -> None:
    """Expired or recalled: no version, no mark, no part of a volume and no excerpt beside it."""
    made = world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url, storage=storage)
    expired, recalled = made.request("user:usr_1"), made.request("user:usr_2")
    made.advance_all()
    assert len([key for key, is_marker in kept(client, storage) if not is_marker]) >= 2
    old, told = update(models.export).where(models.export.c.id == expired), update(models.notification)
    with writing(made.engine) as connection:
        connection.execute(old.values(ended_at=now(-8 * DAY)))
    expire.announce(made.engine, made.place.settings)
    with writing(made.engine) as connection:
        connection.execute(told.where(models.notification.c.kind == "expiring").values(created_at=now(-3 * DAY)))
        recalls.recall(connection, recalled, reason="wrong person", actor="operator:test")
    assert expire.expire(made.engine, made.place.settings) == 1

    withdraw_state(made.engine, lambda: storage, ExportState.EXPIRED)
    withdraw_recalled(made.engine, lambda: storage)

    assert kept(client, storage) == []


def test_a_sweep_finds_what_is_hidden(client: Any, storage: S3Storage, control_url: str, tmp_path: Path) -> None:
    """Of names that are ours; another program's versions in the same place are left alone."""
    made = world(tmp_path, {}, database_url=control_url, storage=storage)
    ours = put(storage, object_keys.fresh("a" * 24, 1, 1))
    theirs = put(storage, "somebody/else.zip")
    for key in (ours, theirs):
        client.delete_object(Bucket=BUCKET, Key=f"{storage._prefix}{key}")

    assert found(sweep(made.engine, storage, actor="operator:test", dry_run=True)) == {"version": 1}
    assert found(sweep(made.engine, storage, actor="operator:test")) == {"version": 1}

    assert {key for key, _ in kept(client, storage)} == {theirs, "portability-owner"}
    assert found(sweep(made.engine, storage, actor="operator:test")) == {}

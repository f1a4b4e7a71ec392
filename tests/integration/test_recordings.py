"""Recordings that are not as the platform's rows promise, read by the exporters of the platform itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from archives import export_json, members
from factories import World, world
from sqlalchemy import create_engine, select

from demo.plan import SeedPlan
from demo.seed import seed
from exporters.reference import schema
from portability.plugins import load_exporters
from portability.settings import Settings, load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage

PLAN = SeedPlan(tenants=1, users=1, contacts=5, calls=8, recordings=6, recording_seconds=(20, 20))


def exported_world(settings: Settings, tenant: str) -> tuple[World, str, list[Path]]:
    """The tenant's export, by the exporters that are installed."""
    made = world(settings.dir, load_exporters(PlatformSources(settings)), recordings_url=settings.recordings)
    identifier = made.request(f"tenant:{tenant}", profile="switch")
    made.advance_all()
    return made, identifier, made.fetch(identifier)


def keys_of(settings: Settings) -> list[str]:
    """Storage keys of all recordings, in the order in which they are exported."""
    table = schema.recordings
    with create_engine(settings.source).connect() as source:
        return list(source.scalars(select(table.c.storage_key).order_by(table.c.created_at, table.c.id)))


def test_each_damaged_recording_is_a_gap_and_the_others_are_whole(tmp_path: Path) -> None:
    """Missing, empty, shorter, longer, other bytes: each has its reason; the archive is signed and not complete."""
    settings = load_settings(dir=tmp_path)
    tenant = seed(settings.source, open_storage(settings.recordings), PLAN).examples.tenant
    lost, empty, shorter, longer, other, whole = (tmp_path / "recordings" / key for key in keys_of(settings))
    lost.unlink()
    empty.write_bytes(b"")
    shorter.write_bytes(shorter.read_bytes()[:-1])
    longer.write_bytes(longer.read_bytes() + b"\0")
    other.write_bytes(other.read_bytes()[:-1] + b"\7")
    made, identifier, paths = exported_world(settings, tenant)

    reasons = [gap["reason"] for gap in export_json(paths)["gaps"]]
    names = [name for name, _body in members(paths) if name.startswith("data/calls/recordings/")]
    assert made.verify(paths).ok
    assert (made.view(identifier)["state"], made.view(identifier)["complete"]) == ("ready", False)
    # The recording that is missing is missing in its table and in the vCon of its call.
    assert sorted(reasons) == ["changed", "changed", "missing", "missing", "truncated", "truncated"]
    assert len(names) == 4
    assert [body for _name, body in members(paths) if body == whole.read_bytes()] == [whole.read_bytes()]


@pytest.fixture
def kept_out(tmp_path: Path, s3_url: str) -> str:
    """The platform with its recordings on an S3 server that does not know us any more; the tenant's id."""
    settings = load_settings(dir=tmp_path, recordings_url=s3_url)
    return seed(settings.source, open_storage(settings.recordings), PLAN).examples.tenant


@pytest.mark.parametrize("credentials", ["wrong", "none"])
def test_a_recordings_store_that_refuses_us_costs_the_recordings_only(
    tmp_path: Path, kept_out: str, s3_url: str, monkeypatch: pytest.MonkeyPatch, credentials: str
) -> None:
    """401 and 403: every recording is a gap `source_refused`, every row is there, and requests are not repeated."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    if credentials == "none":
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    made, identifier, paths = exported_world(load_settings(dir=tmp_path, recordings_url=s3_url), kept_out)
    document = export_json(paths)
    line = next(line for line in document["datasets"] if line["dataset"] == "recordings")
    assert made.verify(paths).ok
    assert (made.view(identifier)["state"], made.view(identifier)["complete"]) == ("ready", False)
    # Attachments and documents lie in the same store.
    assert {gap["reason"] for gap in document["gaps"]} == {"source_refused"}
    assert sum(gap["dataset"] == "recordings" for gap in document["gaps"]) == PLAN.recordings
    assert (line["state"], line["records"], line["files"]) == ("partial", PLAN.recordings, 0)
    assert "wrong-secret" not in str(document)

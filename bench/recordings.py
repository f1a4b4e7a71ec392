"""`recordings`: a company's call recordings from the S3 server into a signed ZIP on the same server.

Compared with boto3's download_file and then upload_file of the same objects, one after the other: no ZIP, no hash.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from factories import World, world
from servers.s3 import S3Server
from sqlalchemy import create_engine

from bench.figures import Figure, interleaved
from bench.surroundings import Surroundings, surroundings
from demo.vault import store
from exporters.reference import declared, schema
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FILE_BYTES = 10_000_000
FILES = 10
LONG_FILES = 200
TENANT = "ten_bench"
SOURCE = "recordings"
BEGAN_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StoredRecordings:
    """Servers with the recordings."""

    made: World
    s3: S3Server
    client: S3Client
    """A client with boto3's default settings."""
    keys: Sequence[str]


def measure(*, long: bool) -> Figure:
    """Measure the seconds from claim to ready; each side transfers the same bytes."""
    with surroundings() as around, _place(around, LONG_FILES if long else FILES) as place:
        return interleaved("recordings", lambda: _export(place), lambda: _copy(place), target=0.65, n=3 if long else 5)


@contextmanager
def _place(around: Surroundings, files: int) -> Iterator[StoredRecordings]:
    recordings = around.s3.url(SOURCE)
    source = around.postgres.url(around.postgres.create_database())
    keys = _fill(source, recordings, files)
    settings = load_settings(dir=around.folder, source_url=source, recordings_url=recordings)
    made = world(
        around.folder,
        {"calls": declared.calls(PlatformSources(settings))},
        storage=open_storage(around.s3.url("bench")),
        database_url=around.postgres.url(around.postgres.create_database()),
        source_url=source,
        recordings_url=recordings,
    )
    yield StoredRecordings(made, around.s3, boto3.Session().client("s3", endpoint_url=around.s3.endpoint), keys)
    made.engine.dispose()


def _fill(source: str, recordings: str, files: int) -> Sequence[str]:
    """Store calls and their recordings; noise compresses like sound. Returns the keys."""
    storage, keys = open_storage(recordings), []
    engine = create_engine(source)
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        for number in range(files):
            key, at = f"{number:06}.wav", BEGAN_AT + timedelta(hours=number)
            body = random.Random(number).randbytes(FILE_BYTES)  # noqa: S311  # sound, not a secret
            store(storage, key, "audio/wav", [body])
            shared = {"tenant_id": TENANT, "created_at": at}
            call = {"id": f"cal_{number:06}", "direction": "inbound", "started_at": at, "agent_id": "agt_1"}
            recording = {
                "id": f"rec_{number:06}",
                "call_id": call["id"],
                "media_type": "audio/wav",
                "bytes": FILE_BYTES,
                "sha256": hashlib.sha256(body).hexdigest(),
                "storage_key": key,
            }
            connection.execute(schema.calls.insert().values(call | shared))
            connection.execute(schema.recordings.insert().values(recording | shared))
            keys.append(f"{SOURCE}/{key}")
    engine.dispose()
    return keys


def _export(place: StoredRecordings) -> float:
    identifier = place.made.request(f"tenant:{TENANT}", profile="switch")
    began = time.perf_counter()
    place.made.advance_all()
    seconds = time.perf_counter() - began
    view = place.made.view(identifier)
    files = sum(line["files"] for line in view["datasets"])
    if (view["state"], view["complete"], files) != ("ready", True, len(place.keys)):
        raise RuntimeError(f"export {identifier} is {view['state']} with {files} files")
    return seconds


def _copy(place: StoredRecordings) -> float:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "recording")
        for key in place.keys:
            place.client.download_file(place.s3.bucket, key, path)
            place.client.upload_file(path, place.s3.bucket, f"copies/{key}")
    return time.perf_counter() - began

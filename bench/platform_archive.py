"""A real archive of one volume: a made-up company's `switch` export, rows in JSON Lines and CSV, and recordings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson
from factories import world

from demo.plan import SeedPlan
from demo.seed import seed
from portability.database.engine import reading
from portability.plugins import load_exporters
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage
from portability.trust import keys

CONTACTS = 500
RECORDING_SECONDS = (60.0, 60.0)
RECORDING_RATE_HZ = 16_000
"""A recording is 1.92 MB of uncompressed sound."""
RECORDINGS, CALLS_AND_CHATS = 140, 2_000
"""A volume of 190 MB; 85 % of its unpacked size is sound."""
LONG_RECORDINGS, LONG_CALLS_AND_CHATS = 1_460, 20_000
"""A volume of 2 GB with about the same proportions."""


@dataclass(frozen=True, slots=True)
class PlatformArchive:
    """The only volume, and a JWK Set to verify it with."""

    volume: Path
    jwks: Path


def platform_archive(folder: Path, *, long: bool) -> PlatformArchive:
    """Make an archive below `folder`, by the real pipeline with default settings, on SQLite and a folder."""
    calls = LONG_CALLS_AND_CHATS if long else CALLS_AND_CHATS
    plan = SeedPlan(
        tenants=1,
        contacts=CONTACTS,
        calls=calls,
        chats=calls,
        recordings=LONG_RECORDINGS if long else RECORDINGS,
        recording_seconds=RECORDING_SECONDS,
        recording_rate_hz=RECORDING_RATE_HZ,
    )
    settings = load_settings(dir=folder / "platform")
    tenant = seed(settings.source, open_storage(settings.recordings), plan).examples.tenant
    built = world(
        folder / "work",
        load_exporters(PlatformSources(settings)),
        database_url=settings.database,
        source_url=settings.source,
        recordings_url=settings.recordings,
        slices_max=1,
    )
    identifier = built.request(f"tenant:{tenant}", profile="switch", formats=["jsonl", "csv"])
    built.advance_all()
    view, paths = built.view(identifier), built.fetch(identifier)
    if (view["state"], view["complete"], len(paths)) != ("ready", True, 1):
        raise RuntimeError(f"export {identifier} is {view['state']}, in {len(paths)} volumes")
    jwks = folder / "jwks.json"
    with reading(built.engine) as connection:
        jwks.write_bytes(orjson.dumps(keys.jwks(connection)))
    built.engine.dispose()
    return PlatformArchive(paths[0], jwks)

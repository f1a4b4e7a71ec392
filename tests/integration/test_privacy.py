"""What must never leave does not, and tenants are walls: looked for in every byte that a deployment writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from archives import export_json, members, records
from factories import World, world
from sqlalchemy import create_engine, select, update
from unpacked_forms import inside
from workers import deployment

from demo.plan import Examples, SeedPlan
from demo.seed import seed
from exporters.reference import schema
from portability.database.engine import writing
from portability.law.profiles import Profile
from portability.plugins import load_exporters
from portability.requests import instructions
from portability.requests.forms import offered_formats
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage

PLAN = SeedPlan(tenants=2, users=8, contacts=20, calls=30, chats=30, events=200, recordings=3)
FEW = SeedPlan(tenants=2, users=4, contacts=8, calls=24, chats=24, events=120, recordings=3)
CANARY = re.compile(rb"canary", re.IGNORECASE)


@pytest.fixture
def seeded_platform(tmp_path: Path) -> Iterator[tuple[World, Examples]]:
    yield from _instructed(tmp_path, PLAN)


@pytest.fixture
def platform_of_few(tmp_path: Path) -> Iterator[tuple[World, Examples]]:
    yield from _instructed(tmp_path, FEW)


def _instructed(tmp_path: Path, plan: SeedPlan) -> Iterator[tuple[World, Examples]]:
    """A workplace over a seeded platform, with every contact of every tenant instructed."""
    settings = load_settings(dir=tmp_path)
    examples = seed(settings.source, open_storage(settings.recordings), plan).examples
    made = world(tmp_path, load_exporters(PlatformSources(settings)))
    with create_engine(settings.source).connect() as source:
        tenants = list(source.scalars(select(schema.organisations.c.id)))
    with writing(made.engine) as connection:
        for tenant in tenants:
            instructions.add(connection, tenant, contact_id=None, exporters=None, actor="operator:test")
    yield made, examples
    made.engine.dispose()


def test_every_forbidden_column_is_seeded_with_a_canary(platform_of_few: tuple[World, Examples]) -> None:
    """The search below can fail: each `never` column of each table holds at least one canary."""
    made, _examples = platform_of_few
    forbidden = [c for table in schema.metadata.sorted_tables for c in table.c if "never" in c.info]
    with create_engine(made.place.settings.source).connect() as source:
        for column in forbidden:
            values = [str(value).encode() for value in source.scalars(select(column))]
            assert any(CANARY.search(value) for value in values), f"{column.table.name}.{column.name}"
    assert len(forbidden) > 30


@pytest.mark.requirement("R22")
@pytest.mark.parametrize("profile", list(Profile))
def test_no_canary_is_in_any_byte_of_any_archive(platform_of_few: tuple[World, Examples], profile: Profile) -> None:
    """Every subject of the platform, every profile: no member of any volume holds a byte of a forbidden column."""
    made, _examples = platform_of_few
    subjects: list[tuple[str, str | None]] = []
    with create_engine(made.place.settings.source).connect() as source:
        if profile is Profile.SWITCH:
            subjects += [(f"tenant:{t}", None) for t in source.scalars(select(schema.organisations.c.id))]
        else:
            subjects += [(f"user:{u}", None) for u in source.scalars(select(schema.users.c.id))]
            contacts = source.execute(select(schema.contacts.c.id, schema.contacts.c.tenant_id))
            subjects += [(f"contact:{contact}", tenant) for contact, tenant in contacts]
    formats = [name for name in offered_formats(profile) if name != "vcon"]
    identifiers = [made.request(s, tenant=t, profile=profile, formats=formats) for s, t in subjects]
    made.advance_all()

    forms: set[str] = set()
    summaries = 0
    for identifier in identifiers:
        assert made.view(identifier)["state"] == "ready"
        for name, body in members(made.fetch(identifier)):
            for path, content in ((name, body), *inside(name, body)):
                forms.update([path.rpartition(".")[2]])
                summaries += path == "summary.pdf/text" and len(content) > 200
                assert not CANARY.search(content), f"{identifier}: {path}"
    assert summaries == len(identifiers)
    assert forms >= {"xlsx", "sqlite/rows", "eml/text", "vcf"} or forms >= {"sqlite/rows", "parquet/rows", "vcf"}


def test_a_deployment_leaves_no_canary_and_no_name_in_logs_and_redis(tmp_path: Path, redis_url: str) -> None:
    """Logs, Redis, object keys and the control database's audit log hold opaque ids, codes and counts."""
    folder = tmp_path / "state"
    with deployment(folder, workers=1, REDIS_URL=redis_url) as running:
        source = f"sqlite:///{folder}/platform.sqlite"
        examples = seed(source, open_storage((folder / "recordings").as_uri()), PLAN).examples
        answers = [
            running.run(  # a company decides over some of the data
                *("request", "--profile", "access", "--subject", f"user:{examples.user}", "--wait", "--json"),
                expect=3,
            ),
            running.run("instructions", "add", "--tenant", examples.contact_tenant),
            running.run(
                *("request", "--profile", "access", "--subject", f"contact:{examples.contact}", "--wait", "--json"),
                *("--tenant", examples.contact_tenant),
            ),
        ]
        with create_engine(source).connect() as connection:
            user = connection.execute(select(schema.users).where(schema.users.c.id == examples.user)).mappings().one()
        written = b"".join([*_everything(redis_url), running.log.read_bytes()])
        written += "".join(answer.stdout + answer.stderr for answer in answers).encode()
        written += "".join(str(path) for path in (folder / "archives").rglob("*")).encode()

    assert b"advance" in written
    assert not CANARY.search(written)
    for secret in (examples.user, examples.contact, user["email"], user["full_name"], user["phone"]):
        assert secret
        assert secret.encode() not in written


@pytest.mark.requirement("R1")
def test_a_contact_gets_nothing_of_another_tenant_with_the_same_number(seeded_platform: tuple[World, Examples]) -> None:
    """The same verified phone number at tenant B is another subject: no record of the archive belongs to B."""
    made, _examples = seeded_platform
    source = create_engine(made.place.settings.source)
    contacts = schema.contacts
    with source.begin() as connection:
        ours = connection.execute(select(contacts).order_by(contacts.c.id)).mappings().first()
        assert ours is not None
        is_elsewhere = contacts.c.tenant_id != ours["tenant_id"]
        verified_at = datetime(2020, 1, 1, tzinfo=UTC)
        same = {"phone": "+628111222333", "phone_verified_at": verified_at, "email": "same@example.com"}
        connection.execute(update(contacts).where(is_elsewhere | (contacts.c.id == ours["id"])).values(**same))
        connection.execute(update(schema.calls).values(caller_number="+628111222333", contact_id=None))
        calls_of_ours = set(
            connection.scalars(select(schema.calls.c.id).where(schema.calls.c.tenant_id == ours["tenant_id"]))
        )
        ids_elsewhere = {
            value
            for table in schema.metadata.sorted_tables
            if "tenant_id" in table.c and "id" in table.c
            for value in connection.scalars(select(table.c.id).where(table.c.tenant_id != ours["tenant_id"]))
        }
    identifier = made.request(f"contact:{ours['id']}", tenant=ours["tenant_id"])
    made.advance_all()
    paths = made.fetch(identifier)

    assert {call["id"] for call in records(paths, "calls", "calls")} == calls_of_ours
    assert len(calls_of_ours) > 0
    content = b"".join(body for _name, body in members(paths)).decode(errors="replace")
    assert not [value for value in ids_elsewhere if value in content]


@pytest.mark.requirement("R1", "R9")
def test_without_an_instruction_a_contact_gets_the_name_of_the_tenant_to_ask(tmp_path: Path) -> None:
    """Processor data stays where it is until the tenant orders its export; the ledger says so for each dataset."""
    settings = load_settings(dir=tmp_path)
    examples = seed(settings.source, open_storage(settings.recordings), PLAN).examples
    made = world(tmp_path, load_exporters(PlatformSources(settings)))
    identifier = made.request(f"contact:{examples.contact}", tenant=examples.contact_tenant)
    made.advance_all()
    lines = export_json(made.fetch(identifier))["datasets"]
    datasets = [line for line in lines if line["exporter"] != "portability"]

    assert {line["state"] for line in datasets} == {"needs_instruction"}
    assert all(line["tenants"] == [examples.contact_tenant] for line in datasets)
    assert {line["exporter"] for line in datasets} == {"calls", "chats", "crm", "interactions", "trail"}


def _everything(url: str) -> Iterator[bytes]:
    """Every key and value of a Redis, in its own dump format and as it reads."""
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            yield key
            if client.type(key) == b"hash":
                yield from (part for pair in client.hgetall(key).items() for part in pair)
            else:
                yield client.dump(key) or b""

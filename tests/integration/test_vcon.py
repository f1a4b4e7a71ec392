"""Every call and chat of a seeded platform as a vCon, in real archives of every profile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from archives import export_json, members, records
from factories import World, world
from sqlalchemy import create_engine, select
from vcon_schemas import faults

from demo.plan import Examples, SeedPlan
from demo.seed import seed
from exporters.reference import schema
from portability.database.engine import writing
from portability.plugins import load_exporters
from portability.requests import instructions
from portability.requests.forms import DEFAULT_FORMATS
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage

PLAN = SeedPlan(tenants=2, users=8, contacts=20, calls=30, chats=30, events=200, recordings=20)
DERIVED = {"summary", "sentiment", "report"}


@pytest.fixture
def seeded_platform(tmp_path: Path) -> Iterator[tuple[World, Examples]]:
    """A workplace over a seeded platform, whose tenant has instructed."""
    settings = load_settings(dir=tmp_path)
    examples = seed(settings.source, open_storage(settings.recordings), PLAN).examples
    made = world(tmp_path, load_exporters(PlatformSources(settings)))
    with writing(made.engine) as connection:
        instructions.add(connection, examples.contact_tenant, contact_id=None, exporters=None, actor="operator:test")
    yield made, examples
    made.engine.dispose()


def verified_members(made: World, subject: str, **asked: Any) -> dict[str, bytes]:
    """Members of a verified archive, by path."""
    identifier = made.request(subject, **asked)
    made.advance_all()
    paths = made.fetch(identifier)
    assert made.verify(paths).ok
    # Made-up data has activities that name people by an address which was not theirs alone.
    assert {gap["reason"] for gap in export_json(paths)["gaps"]} <= {"needs_review"}
    for exporter, table in (("calls", "calls"), ("chats", "conversations")):
        named = {f"data/{exporter}/vcon/{one['id']}.vcon.json" for one in records(paths, exporter, table)}
        assert named == {name for name, _ in members(paths) if name.startswith(f"data/{exporter}/vcon/")}
        assert named
    return dict(members(paths))


def vcons(found: dict[str, bytes]) -> dict[str, Any]:
    return {name: json.loads(body) for name, body in found.items() if name.endswith(".vcon.json")}


def test_every_conversation_of_a_contact_is_a_valid_vcon(seeded_platform: tuple[World, Examples]) -> None:
    """By the default formats; each names its media, which are there with that size and hash."""
    made, examples = seeded_platform
    assert "vcon" in DEFAULT_FORMATS
    found = verified_members(made, f"contact:{examples.contact}", tenant=examples.contact_tenant)
    media = 0
    for name, vcon in vcons(found).items():
        assert faults(vcon) == [], name
        for one in (*vcon.get("dialog", ()), *vcon.get("attachments", ())):
            if "filename" in one:
                body = found[_beside(name, one["filename"])]
                assert one["portability"]["bytes"] == len(body)
                assert one["portability"]["sha256"] == hashlib.sha256(body).hexdigest()
                media += 1
    assert media > 0
    assert DERIVED & {one["type"] for vcon in vcons(found).values() for one in vcon.get("analysis", ())}


def test_portability_holds_no_conclusion_of_software(seeded_platform: tuple[World, Examples]) -> None:
    """A portability export has no sentiment, summary and intent; it has the transcript (WP242 section III)."""
    made, examples = seeded_platform
    found = verified_members(made, f"contact:{examples.contact}", tenant=examples.contact_tenant, profile="portability")
    kinds = {one["type"] for vcon in vcons(found).values() for one in vcon.get("analysis", ())}
    assert kinds == {"transcript"}


def test_a_tenant_gets_its_own_conversations_alone(seeded_platform: tuple[World, Examples]) -> None:
    """A switch export has the vCons of all contacts of the tenant, in several volumes, and no id of another tenant."""
    made, examples = seeded_platform
    tenant = examples.contact_tenant
    found = verified_members(made, f"tenant:{tenant}", profile="switch")
    with create_engine(made.place.settings.source).connect() as source:
        others = {
            str(value)
            for table in (schema.calls, schema.conversations, schema.contacts, schema.recordings)
            for value in source.scalars(select(table.c.id).where(table.c.tenant_id != tenant))
        }
    assert others
    assert not [name for name, body in found.items() if b"canary" in body.lower()]
    for name, vcon in vcons(found).items():
        assert faults(vcon) == [], name
        assert vcon["portability"]["tenant_id"] == tenant
        text = json.dumps(vcon)
        assert not [value for value in others if value in text]


def test_without_vcon_the_archive_says_so(seeded_platform: tuple[World, Examples]) -> None:
    """A request for tables only gets tables only, and a statement of what was left out."""
    made, examples = seeded_platform
    identifier = made.request(f"contact:{examples.contact}", tenant=examples.contact_tenant, formats=["csv"])
    made.advance_all()
    paths = made.fetch(identifier)
    left = [one for one in export_json(paths)["not_included"] if one["dataset"] == "vcon"]
    assert [(one["exporter"], one["reason"]) for one in left] == [
        ("calls", "format_not_asked_for"),
        ("chats", "format_not_asked_for"),
    ]
    assert not vcons(dict(members(paths)))


def _beside(name: str, relative: str) -> str:
    """A relative path as a reader follows it."""
    parts = [*PurePosixPath(name).parent.parts]
    for part in PurePosixPath(relative).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)

"""The export whose archive was kept when the format was frozen, and that every later release can make again."""

from __future__ import annotations

from pathlib import Path

from judges.cases import Archive, exported, platform

from demo.plan import SeedPlan
from portability.law.profiles import Profile
from portability.requests.forms import default_formats

PLAN = SeedPlan(
    tenants=1,
    users=1,
    contacts=2,
    calls=3,
    chats=2,
    events=12,
    recordings=2,
    recording_seconds=(0.25, 0.25),
    hostile_share=0.0,
)


def frozen_archive(folder: Path) -> Archive:
    """Everything about a contact: calls, chats, tickets, recordings, in all formats that `access` has by itself."""
    with platform(folder, PLAN) as made:
        ids, formats = made.examples, list(default_formats(Profile.ACCESS))
        subject, tenant = f"contact:{ids.contact}", ids.contact_tenant
        return exported(made.world, subject, tenant=tenant, profile="access", formats=formats)

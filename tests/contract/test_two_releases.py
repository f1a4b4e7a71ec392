"""Workers of an earlier release leave alone what they do not understand: it waits for a worker of this release."""

from __future__ import annotations

import json
from pathlib import Path

import feeding
import pytest
from factories import MadeUpExporter, World, dataset, large_things, world
from repository import ROOT

from portability.database.engine import reading
from portability.requests import slices
from worker.export import advance

OF_VERSION_2 = """
account: memberships organisation profile
billing: invoices payment_methods subscription
calls: analyses calls recordings transcripts vcon
chats: attachments conversations messages vcon
configuration: agents flows integrations roles
cookies: analytics_ids preferences sessions
crm: activities companies contacts deals
devices: devices ip_addresses user_agents
inquiries: inquiries replies
interactions: ai_agent_actions routing_scores satisfaction tickets
marketing: campaigns consents preferences
performance: api_timings error_logs
portability: attestations authorisations deadlines decisions downloads events instructions legal_holds links mandates
portability: messages recalls receipts requests transfers
trail: contact_trail processing_trail
usage: clicks feature_uses navigation_paths page_views
"""
"""The datasets of commit fc7a20c, the oldest release that can run beside the present code, by its own register."""


def of_version_2() -> set[tuple[str, str]]:
    lines = (line.split(": ") for line in OF_VERSION_2.strip().splitlines())
    return {(exporter, name) for exporter, names in lines for name in names.split()}


def versions(made: World, identifier: str) -> list[int]:
    with reading(made.engine) as connection:
        return [row["version"] for row in slices.of(connection, identifier)]


def begun(folder: Path, name: str) -> tuple[World, str]:
    """An export whose first volume of several is stored."""
    exporter = MadeUpExporter(large_things(600), 100, datasets=(dataset(name),))
    made = world(folder, {"portability": exporter}, volume_bytes=65536, piece_bytes=8192)
    identifier = made.request()
    held = made.claim()
    assert held is not None
    advance(made.place, held)
    assert made.is_open(identifier)
    return made, identifier


def test_datasets_that_an_earlier_release_does_not_know_are_named() -> None:
    """A dataset that is added is named in `slices.LATER_DATASETS`, or an earlier worker fails exports that have it."""
    register = json.loads((ROOT / "docs" / "register.json").read_text())
    now = {(each["exporter"], each["dataset"]) for each in register["datasets"]}
    assert now - of_version_2() == slices.LATER_DATASETS
    assert of_version_2() <= now


@pytest.mark.parametrize(("name", "version"), [("requests", 2), ("notes", 3), ("received_transfers", 3)])
def test_what_was_begun_with_a_later_dataset_waits_for_this_release(tmp_path: Path, name: str, version: int) -> None:
    """An earlier worker would not find the dataset of the plan, and would fail the export after its attempts."""
    made, identifier = begun(tmp_path, name)
    assert versions(made, identifier) == [version]


def test_what_has_not_begun_is_of_no_release(tmp_path: Path) -> None:
    """Whichever worker plans it exports what it knows."""
    made = world(tmp_path, {"portability": MadeUpExporter((), datasets=(dataset("notes"),))})
    assert versions(made, made.request()) == [2]


def test_an_archive_of_a_feed_waits_for_this_release(tmp_path: Path) -> None:
    """An earlier worker knows no feed: it would read everything, and the feed would lose its place."""
    feed = feeding.begin(world(tmp_path, {"made": MadeUpExporter(())}))
    assert versions(feed.world, feed.request()) == [3]

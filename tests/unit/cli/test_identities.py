"""`portability identities` on the reference platform: who may see it, what they see, and what is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable

import platform_data as platform
import pytest
from click.testing import Result
from factories import World

from portability.database.engine import open_engine, reading
from portability.trust import audit

Run = Callable[..., Result]


@pytest.fixture
def made(made: World) -> World:
    """With the hand-made platform as its source."""
    engine = open_engine(f"sqlite:///{made.folder / 'platform.sqlite'}")
    platform.fill(engine)
    engine.dispose()
    return made


@pytest.mark.slow
def test_an_officer_sees_how_a_person_was_found(made: World, run: Run) -> None:
    """A table with values for people; numbers for machines; an event with the pseudonym before any source is asked."""
    shown = run("identities", "user:usr_1").stdout
    assert platform.EMAIL in shown
    assert "con_1" in shown
    done = json.loads(run("identities", "user:usr_1", "--json").stdout)
    found = {(one["source"], one["kind"]): one for one in done["identities"]}
    contact = found["crm", "contact_id"]
    assert contact["verified_by"] == "source"
    assert done["identities"][contact["through"][0] - 1]["kind"] == "email"
    assert platform.EMAIL not in json.dumps(done)
    assert "con_1" not in json.dumps(done)
    with reading(made.engine) as connection:
        events = [event for event in audit.events(connection) if event["action"] == "identities.read"]
    assert [event["detail"]["subject"] for event in events] == [done["subject"]] * 2
    assert str(events[0]["actor"]).startswith("operator:")


@pytest.mark.parametrize("who", ["staff:sam", "auditor:amy", "tenant_admin:adm@ten_a", "subject:usr_1"])
def test_others_do_not_see_it(made: World, run: Run, who: str) -> None:
    """Support sees no content, and an auditor reads logs: nothing is asked or recorded."""
    done = run("identities", "user:usr_1", "--as", who)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "[not_allowed]" in done.output
    with reading(made.engine) as connection:
        assert not [event for event in audit.events(connection) if event["action"] == "identities.read"]

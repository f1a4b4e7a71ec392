"""Referrals to tenants, and whose data must not be erased now, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from factories import World

from portability.database.engine import writing
from portability.requests import exports, referrals

pytestmark = pytest.mark.slow

Run = Callable[..., Result]


def parsed(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def referred(made: World) -> str:
    """A ready export with a referral of the contact con_1 to the tenant ten_1, which is informed."""
    identifier = made.request(tell_tenants=True)
    made.advance_all()
    with writing(made.engine) as connection:
        row = exports.get(connection, identifier)
        referrals.note(connection, made.place.settings, row, {"ten_1": ["con_1"]})
    return identifier


def test_a_tenant_orders_the_export(run: Run, made: World, referred: str) -> None:
    """The list has the due date; the administrator answers, and the archive gets a further revision."""
    (one,) = parsed(run("referrals", "list", "--tenant", "ten_1", "--json"))
    assert (one["tenant"], one["people"], one["ground"], one["state"]) == ("ten_1", ["con_1"], "consent", "open")
    assert (one["export_id"], one["alarm"]) == (referred, "none")
    assert one["due_at"] is not None
    done = parsed(run("referrals", "instruct", one["id"], "--as", "tenant_admin:ada@ten_1", "--json"))
    assert (done["state"], done["export_id"]) == ("instructed", referred)
    assert referred in run("referrals", "list").stdout
    (instruction,) = parsed(run("instructions", "list", "--json"))
    assert (instruction["tenant"], instruction["contact_id"]) == ("ten_1", "con_1")
    assert made.view(referred)["revision"] == 2


def test_a_tenant_refuses(run: Run, referred: str) -> None:
    """With a code; a second answer, an unknown code and another tenant's administrator are refused."""
    (one,) = parsed(run("referrals", "list", "--json"))
    other = run("referrals", "refuse", one["id"], "--reason", "law", "--as", "tenant_admin:bob@ten_2")
    assert other.exit_code == 2
    assert run("referrals", "refuse", one["id"], "--reason", "no").exit_code == 2
    assert parsed(run("referrals", "refuse", one["id"], "--reason", "law", "--json"))["reason"] == "law"
    assert run("referrals", "instruct", one["id"]).exit_code == 2
    assert run("referrals", "instruct", "ref_0").exit_code == 2
    assert referred in run("list").stdout


def test_whose_data_must_not_be_erased_now(run: Run, made: World) -> None:
    """A request that is not delivered holds its subject, until an officer records a ground."""
    identifier = made.request("user:usr_jane")
    made.advance_all()
    (one,) = parsed(run("holds", "subjects", "--json"))
    assert (one["subject"], one["reasons"], one["exports"]) == ("user:usr_jane", ["delivery"], [identifier])
    assert run("holds", "permit", identifier, "--ground", "because").exit_code == 2
    assert run("holds", "permit", identifier, "--ground", "court", "--as", "staff:sam").exit_code == 2
    assert parsed(run("holds", "permit", identifier, "--ground", "court", "--json"))["ground"] == "court"
    assert parsed(run("holds", "subjects", "--json")) == []

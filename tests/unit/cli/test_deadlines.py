"""`portability deadlines`, `extend` and `list --unanswered`: what an officer sees and records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from factories import World
from repository import ROOT

Run = Callable[..., Result]
OWN = """
[dpdp]
period = { days = 45 }

[short]
title = "Contract with ten_a, clause 7: five days"
profiles = ["access", "portability"]
period = { days = 5 }
countries = ["DE"]
tenants = ["ten_a"]

[quick]
title = "A law of a country: three days"
profiles = ["access"]
period = { days = 3 }
countries = ["US"]
"""


@pytest.fixture
def own_laws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "regimes.toml"
    path.write_text(OWN)
    monkeypatch.setenv("PORTABILITY_REGIMES_FILE", str(path))
    monkeypatch.setenv("PORTABILITY_REGIMES", "ccpa,fadp,data_act,dpdp,short,quick")


@pytest.mark.usefixtures("own_laws")
def test_the_laws_are_listed_with_the_origin_of_their_figures(run: Run) -> None:
    """A figure of the deployment is marked as its policy; names of tenants are not in the JSON that the API shares."""
    listed = {law["name"]: law for law in json.loads(run("deadlines", "--json").stdout)}
    assert list(listed) == ["ccpa", "fadp", "data_act", "dpdp", "short", "quick"]
    assert (listed["ccpa"]["period"], listed["ccpa"]["figures"]) == (
        {"days": 45},
        {"access": "law", "portability": "law", "extension": "law"},
    )
    assert (listed["dpdp"]["period"], listed["dpdp"]["figures"]) == ({"days": 45}, {"access": "policy"})
    assert listed["fadp"]["figures"]["extension"] == "policy"
    assert (listed["dpdp"]["described_by"], listed["ccpa"]["described_by"]) == ("deployment", "built_in")
    assert listed["dpdp"]["checked"].startswith("copies of s. 11 and 13 of the Act in English")
    assert listed["short"]["checked"] is None
    assert (listed["short"]["countries"], listed["short"]["some_tenants_only"]) == (["DE"], True)
    assert "ten_a" not in json.dumps({**listed["short"], "title": ""})
    table = run("deadlines").stdout
    assert "45 days (policy for access)" in table
    assert "60 days (policy)" in table


@pytest.mark.usefixtures("own_laws")
def test_a_request_says_which_law_set_its_due_date(run: Run) -> None:
    """With the residence, the law of another country does not apply."""
    asked = ("request", "--profile", "access", "--subject", "user:usr_1", "--received-at", "2026-01-12", "--json")
    plain, german = (
        json.loads(run(*asked, *more).stdout) for more in ((), ("--since", "2020-01-01", "--residence", "de"))
    )
    assert (plain["due_by"], plain["residence"]) == ({"regime": "quick", "figure": "law"}, None)
    assert (german["due_by"], german["residence"]) == ({"regime": "fadp", "figure": "law"}, "DE")
    assert run(*asked, "--residence", "Germany").exit_code == 2
    assert "due 2026-02-12 00:00 UTC (fadp)" in run("show", german["id"]).stdout


def test_a_due_date_by_policy_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Act of China states no figure: a reader of the request learns that the period is the deployment's."""
    monkeypatch.setenv("PORTABILITY_REGIMES", "pipl,data_act")
    asked = ("request", "--profile", "access", "--subject", "user:usr_1", "--received-at", "2026-01-12")
    view = json.loads(run(*asked, "--json").stdout)
    assert view["due_by"] == {"regime": "pipl", "figure": "policy"}
    assert "(pipl, a period of this deployment's policy)" in run("show", view["id"]).stdout


def test_the_customer_s_extension_of_a_switch_is_recorded(run: Run, made: World) -> None:
    """The day that the customer names belongs to the transition; the provider's extension needs its ground."""
    identifier = made.request("tenant:ten_1", profile="switch")
    officer = ("--as", "officer:olga")
    no_ground = run("extend", identifier, "--reason", "terabytes", *officer)
    assert (no_ground.exit_code, "technical" in no_ground.stderr) == (2, True)
    no_end = run("extend", identifier, "--reason", "letter 7", "--by-customer", *officer)
    assert (no_end.exit_code, "--until" in no_end.stderr) == (2, True)
    by_customer = run("extend", identifier, "--reason", "letter 7", "--by-customer", "--until", "2999-05-31", *officer)
    assert by_customer.exit_code == 0, by_customer.stderr
    view = made.view(identifier)
    assert (view["due_at"], view["retrieval_ends_at"]) == ("2999-06-01T00:00:00Z", "2999-07-01T00:00:00Z")


def test_requests_without_an_answer_are_listed_by_their_due_date(run: Run) -> None:
    """The request that is due first comes first, however late it was recorded; an answered request is not listed."""
    asked = ("request", "--profile", "access", "--json", "--subject")
    received = {"user:usr_1": "2026-03-02", "user:usr_2": "2026-01-12", "user:usr_3": "2026-02-10"}
    made_of = {who: json.loads(run(*asked, who, "--received-at", day).stdout)["id"] for who, day in received.items()}
    run("cancel", made_of["user:usr_3"], "--as", "operator:olga")

    listed = [row["id"] for row in json.loads(run("list", "--unanswered", "--json").stdout)]
    first = [row["id"] for row in json.loads(run("list", "--unanswered", "--limit", "1", "--json").stdout)]

    assert listed == [made_of["user:usr_2"], made_of["user:usr_1"]]
    assert first == listed[:1]


@pytest.mark.parametrize("name", ["DeadlineNear", "ExportOverdue", "ExportStuck", "QueueDeep"])
def test_a_runbook_about_due_dates_leads_to_the_requests(name: str) -> None:
    """`portability deadlines` lists laws: a person who is called for a deadline needs the list of requests."""
    page = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text()

    assert "portability list --unanswered" in page
    assert "portability deadlines" not in page

"""`portability report`: the figures of the page, as tables, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from click.testing import Result
from factories import World
from report_rows import EARLIER, fill_report, month_ago

pytestmark = pytest.mark.slow

Run = Callable[..., Result]


@pytest.fixture
def period(made: World) -> tuple[str, str]:
    """The options that name the first month of the rows."""
    at = datetime.now(UTC)
    fill_report(made.engine, at)
    return "--first", month_ago(EARLIER, at)


def test_the_figures_are_printed_in_each_form(run: Run, period: tuple[str, str]) -> None:
    """JSON has all tables, CSV one, the screen all; rounded counts have no small number."""
    exact = json.loads(run("report", *period, "--json").stdout)
    assert (exact["answers"][0]["received"], exact["answers"][0]["median_seconds"]) == (11, 1800)
    lines = [*csv.DictReader(io.StringIO(run("report", *period, "--csv", "refusals").stdout))]
    refused = [[*line.values()] for line in lines if {"1", "2"} & {*line.values()}]
    assert refused == [["identity", "1", "0"], ["law", "0", "2"]]
    rounded = run("report", *period, "--rounded").stdout
    for title in ("Received", "Answers", "Requests", "Refusals", "Recalls", "Agreements", "Sources"):
        assert title in rounded
    assert "<5" in rounded


@pytest.mark.usefixtures("period")
def test_who_may_not_read_the_request_log_gets_no_report(run: Run) -> None:
    """Staff are refused; a wrong month is named."""
    refused = run("report", "--as", "staff:sam")
    assert (refused.exit_code, "[not_allowed]" in refused.stderr) == (2, True)
    wrong = run("report", "--first", "2026-13")
    assert wrong.exit_code == 2
    assert "'2026-13'" in wrong.stderr


@pytest.mark.parametrize("arguments", [("requests", "--csv"), ("report", "--csv", "refusals")])
def test_an_answer_has_one_form(run: Run, arguments: tuple[str, ...]) -> None:
    """Who asks for CSV and JSON gets neither silently: a program would read the one as the other."""
    done = run(*arguments, "--json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["message"]) == (2, "--csv and --json exclude each other")

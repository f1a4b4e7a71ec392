from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
import pytest
from volumes import CALLS

from archive.summary.chart import BARS_MAX, axis, extent, heights
from archive.summary.figures import DatasetName, Summary, joined, subject_language, subject_name, summarize
from portability.api import JSON

LINE: Mapping[str, JSON] = {
    "exporter": "calls",
    "dataset": "calls",
    "title": "Calls",
    "records": 3,
    "files": 1,
    "bytes": 9,
}


def summary(lines: Sequence[Mapping[str, JSON]] = (LINE,), **export: JSON) -> Summary:
    document = {"datasets": lines, "gaps": [], **export}
    return summarize(document, [("calls", CALLS)], lambda *_of: {"2026-02": 1, "2026-01": 2}, None)


def test_figures_are_the_sums_of_the_ledger() -> None:
    """All lines of an exporter are one kind, in the order of the ledger; an exporter without data is left out."""
    chats = {**LINE, "exporter": "chats", "dataset": "messages", "records": 5, "files": 0}
    empty = {**LINE, "exporter": "crm", "records": 0, "files": 0}
    found = summary([LINE, empty, chats, {**LINE, "dataset": "recordings", "files": 4}])
    assert [(kind.exporter, kind.records, kind.files) for kind in found.kinds] == [("calls", 6, 5), ("chats", 5, 0)]
    assert (found.records, found.files, found.bytes) == (11, 5, 36)


def test_a_dataset_of_several_lines_counts_its_months_once() -> None:
    """What companies decide over has lines of its own, and the index has the dataset as a whole."""
    found = summary([LINE, {**LINE, "state": "needs_instruction", "records": 0}])
    assert found.kinds[0].months == found.months == {"2026-01": 2, "2026-02": 1}
    assert [*found.months] == ["2026-01", "2026-02"]


def test_what_is_absent_is_grouped_by_its_reason() -> None:
    """Gaps of a dataset are counted with its title; the reason of most datasets comes first."""
    gap = {"exporter": "calls", "dataset": "calls", "what": "c1", "reason": "missing"}
    other = {**gap, "dataset": "recordings", "reason": "truncated"}
    secret: Mapping[str, JSON] = {
        "exporter": "account",
        "dataset": "profile",
        "name": "hash",
        "what": "a hash",
        "kind": "secret",
        "records": 1,
    }
    found = summary(
        gaps=[gap, other, gap, {**other, "dataset": "transcripts"}],
        withheld=[secret, {**secret, "name": "seed", "records": None}],
        reviews=[
            {"exporter": "calls", "dataset": "calls", "decision": "not_theirs", "reason": "content", "records": 2},
            {"exporter": "calls", "dataset": "calls", "decision": "theirs", "reason": "content", "records": 7},
        ],
    )
    assert [(one.code, [n for _, n in one.lines]) for one in found.missing] == [("truncated", [1, 1]), ("missing", [2])]
    assert found.missing[1].lines[0][0]["title"] == "Calls"
    assert [(one.code, [n for _, n in one.lines]) for one in found.withheld] == [("secret", [1, 0])]
    assert [(one.code, [n for _, n in one.lines]) for one in found.examined] == [("content", [2])]


def test_replaced_values_are_added_up() -> None:
    """Over all datasets, by rule."""
    found = summary([{**LINE, "redactions": {"card-number": 2}}, {**LINE, "redactions": {"card-number": 3, "nik": 0}}])
    assert found.replaced == {"card-number": 5}


@pytest.mark.parametrize(
    ("kind", "known", "name", "language"),
    [
        ("user", {("account", "profile"): {"full_name": "Ann", "locale": "id-ID"}}, "Ann", "id-ID"),
        ("contact", {("crm", "contacts"): {"full_name": "Ben", "language": None}}, "Ben", None),
        ("user", {("account", "profile"): {"full_name": " "}, ("crm", "contacts"): {"full_name": "Cem"}}, "Cem", None),
        (
            "tenant",
            {("account", "organisation"): {"name": "Aurora"}, ("crm", "contacts"): {"language": "de"}},
            "Aurora",
            None,
        ),
        ("email", {("crm", "contacts"): {"full_name": 7}}, None, None),
        ("user", {}, None, None),
    ],
)
def test_the_data_says_who_it_is_about(
    kind: str, known: Mapping[DatasetName, JSON], name: str | None, language: str | None
) -> None:
    """The first record that has a name; the language is a person's, never that of a company's first customer."""

    def first_record(of: DatasetName) -> bytes | None:
        return orjson.dumps(known[of]) if of in known else None

    assert subject_name(kind, first_record) == name
    assert subject_language(kind, first_record) == language


def test_an_axis_has_months_until_they_are_too_many() -> None:
    """Sixty months are months; sixty-one are years."""
    five_years = {"2021-01": 4, "2025-12": 4}
    shown = axis(five_years)
    assert shown is not None
    assert (shown.unit, shown.count, shown.name(0), shown.name(59)) == ("month", BARS_MAX, "2021-01", "2025-12")
    assert (shown.bars(five_years)[0], shown.bars(five_years)[59], sum(shown.bars(five_years))) == (4, 4, 8)
    longer = axis({"2021-01": 4, "2026-01": 4})
    assert longer is not None
    assert (longer.unit, longer.count, longer.name(5)) == ("year", 6, "2026")


def test_a_wrong_date_does_not_squeeze_the_chart() -> None:
    """The axis is where most records are, and ends with the last of them; the rest is outside."""
    months = {"0001-01": 1, "2024-05": 20, "2025-05": 20, "9999-12": 1}
    shown = axis(months)
    assert shown is not None
    assert (shown.unit, shown.name(0), shown.count) == ("year", "2024", 2)
    assert sum(months.values()) - sum(shown.bars(months)) == 2


@pytest.mark.parametrize("months", [{}, {"2026-01": 100}, {"2026-01": 3, "2026-02": 4}, {"not a ti": 9, "2026-13": 9}])
def test_too_little_makes_no_chart(months: Mapping[str, int]) -> None:
    """One month, fewer than eight records, or values that name something else."""
    assert axis(months) is None


def test_the_extent_is_the_first_and_the_last_month() -> None:
    """Whatever the order."""
    assert extent({"2026-02": 1, "2025-11": 1, "no date": 1}) == ("2025-11", "2026-02")
    assert extent({}) is None


def test_a_bar_that_is_not_empty_is_visible() -> None:
    """One of ten thousand has a height, too."""
    assert heights([0, 1, 5_000, 10_000]) == [0.0, 0.03, 0.5, 1.0]
    assert heights([0, 0]) == [0.0, 0.0]


def test_months_of_several_kinds_are_joined_in_order() -> None:
    """As sums."""
    assert [*joined([{"2026-02": 1}, {"2026-01": 2, "2026-02": 3}]).items()] == [("2026-01", 2), ("2026-02", 4)]

"""Keys within JSON values: declared keys are delivered, each other key is a gap until it is declared (ADR 42)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, members, records
from factories import MadeUpExporter, dataset, world
from gap_sources import retry_gaps
from hypothesis import example, given
from hypothesis import strategies as st

from portability.api import JSON, Dataset, Field, FieldType, NestedKey, Provenance, Record, Role
from portability.api.rows import Rows, lines
from worker.read import nested_keys

pytestmark = pytest.mark.requirement("R27")
FAMILY = {"spouse": "Ulla Umbrella", "child": {"name": "Kim Kidd", "born": "2019-05-04"}, "referrer": "Rolf Rain"}
CUSTOM: dict[str, Any] = {"loyalty": "gold", "family": FAMILY, "Ulla Umbrella": "spouse"}
LOYALTY = NestedKey("/loyalty")


def keyed(*keys: NestedKey) -> Dataset:
    """A dataset with a field of objects and its declared keys."""
    custom = Field("custom", FieldType.OBJECT, "Custom values.", Provenance.PROVIDED, keys=keys)
    return dataset("things", Role.CONTROLLER, custom)


def decided(value: Any, *paths: str) -> tuple[JSON, list[str]]:
    """What is left of one value, and what its gaps name."""
    found, gaps = nested_keys.decided(keyed(*map(NestedKey, paths)), [{"id": "1", "text": "x", "custom": value}])
    assert {gap.reason for gap in gaps} <= {"coverage_undecided"}
    return found[0]["custom"], [gap.what for gap in gaps]


@pytest.mark.parametrize(
    ("value", "paths", "left", "gaps"),
    [
        (CUSTOM, ["/loyalty"], {"loyalty": "gold"}, ["/family", "/*"]),
        (CUSTOM, [], {}, ["/loyalty", "/family", "/*"]),
        (
            CUSTOM,
            ["/loyalty", "/family/spouse", "/family/child/name", "/Ulla Umbrella"],
            {**CUSTOM, "family": {"spouse": "Ulla Umbrella", "child": {"name": "Kim Kidd"}}},
            ["/family/child/born", "/family/referrer"],
        ),
        # What is declared is the key, not what may be below it one day.
        ({"loyalty": {"level": "gold"}}, ["/loyalty"], {"loyalty": {}}, ["/loyalty/level"]),
        ({"a": {"b": {"c": 1}, "d": 2}}, ["/a/*"], {"a": {"b": {}, "d": 2}}, ["/a/b/c"]),
        ([{"a": 1}, {"a": 2, "b": [{"c": 3}]}, "text", None], ["/a"], [{"a": 1}, {"a": 2}, "text", None], ["/b"]),
        ({"a": [[{"b": 1, "c": 2}]]}, ["/a/b"], {"a": [[{"b": 1}]]}, ["/a/c"]),
        ({"a/b": 1, "c~d": 2}, ["/a~1b", "/c~0d"], {"a/b": 1, "c~d": 2}, []),
        ({"": 1}, ["/"], {"": 1}, []),
        (None, [], None, []),
        ("text", [], "text", []),
    ],
)  # fmt: skip
def test_only_declared_keys_are_left(value: Any, paths: list[str], left: Any, gaps: list[str]) -> None:
    """Every level is declared by path; the elements of a list have the path of the list."""
    assert decided(value, *paths) == (left, [f"things/custom{path}" for path in gaps])


@pytest.mark.parametrize("name", ["Ulla Umbrella", "ulla@mail.example", "+4930901820999", "Ulla", "a b", "x" * 65])
def test_a_gap_shows_no_key_that_may_be_a_person(name: str) -> None:
    """Tenants use names and addresses as keys: a gap shows identifiers only, and `*` for every other key."""
    assert decided({name: 1})[1] == ["things/custom/*"]
    assert decided({"shoe_size": {name: 1}}, "/shoe_size")[1] == ["things/custom/shoe_size/*"]


def test_a_gap_names_a_path_once() -> None:
    """However many records have it; of many paths the first hundred, and that there are more."""
    rows: list[Record] = [{"id": str(n), "custom": {"a": n}} for n in range(500)]
    assert [gap.what for gap in nested_keys.decided(keyed(), rows)[1]] == ["things/custom/a"]
    many = decided({f"k{n}": n for n in range(500)})[1]
    assert (len(many), many[-1]) == (101, "things/custom: more keys")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
@example(":")
@example([{"a": ":"}])
def test_what_is_declared_is_unchanged(value: Any) -> None:
    """Without declared keys no object keeps a key; and a value without other keys is the same object."""
    left, gaps = decided(value)
    kept: list[tuple[str, Any]] = []
    json.loads(json.dumps(left), object_pairs_hook=kept.extend)
    assert kept == []
    assert (left is value) is (gaps == [])
    assert decided(left) == (left, [])


def test_rows_are_treated_as_records_are() -> None:
    """A source by column gives the same values and lines as one by record."""
    names = ["id", "text", "custom"]
    columns: list[list[JSON]] = [["1", "2"], ["x", "y"], [CUSTOM, {"loyalty": 2**60}]]
    rows = Rows(names, columns, bytes(lines(names, columns)))

    found, gaps = nested_keys.decided(keyed(LOYALTY), rows)

    assert isinstance(found, Rows)
    assert [record["custom"] for record in found] == [{"loyalty": "gold"}, {"loyalty": 2**60}]
    assert b"Ulla" not in found.lines
    assert len(gaps) == 2


def test_a_bottomless_value_ends() -> None:
    """A value may contain itself."""
    circle: list[Any] = [{"a": 1}]
    circle.append(circle)
    left, gaps = decided(circle, "/a")
    assert "things/custom/*" in gaps
    assert str(left).count("{'a': 1}") == 99


def test_spouse_child_and_referrer_stay_out(tmp_path: Path) -> None:
    """Seen: they went out in the copy of a contact. The export is partial, and the path is named."""
    made = world(
        tmp_path, {"made": MadeUpExporter([{"id": "1", "text": "x", "custom": CUSTOM}], datasets=(keyed(LOYALTY),))}
    )
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)
    content = b"\n".join(name.encode() + body for name, body in members(paths))
    document = export_json(paths)

    for secret in ("Ulla Umbrella", "Kim Kidd", "2019-05-04", "Rolf Rain"):
        assert secret.encode() not in content
    assert [record["custom"] for record in records(paths, "made", "things")] == [{"loyalty": "gold"}]
    assert (document["complete"], document["outcome"]["own"]) == (False, "partial")
    assert [line["state"] for line in document["datasets"]] == ["partial"]
    assert [(gap["what"], gap["reason"]) for gap in document["gaps"]] == [
        ("things/custom/family", "coverage_undecided"),
        ("things/custom/*", "coverage_undecided"),
    ]
    assert made.verify(paths).ok


def test_a_company_gets_all_keys(tmp_path: Path) -> None:
    """In `switch` the tenant gets its own data whole: nothing is undecided."""
    made = world(
        tmp_path, {"made": MadeUpExporter([{"id": "1", "text": "x", "custom": CUSTOM}], datasets=(keyed(LOYALTY),))}
    )
    identifier = made.request("tenant:ten_a", profile="switch")
    made.advance_all()
    paths = made.fetch(identifier)

    assert [record["custom"] for record in records(paths, "made", "things")] == [CUSTOM]
    assert (export_json(paths)["complete"], export_json(paths)["gaps"]) == (True, [])


def test_a_key_about_another_person_is_marked_and_texts_are_masked(tmp_path: Path) -> None:
    """A decision may be that a key exists and is about another person; addresses in other texts are masked."""
    keys = (
        NestedKey("/family", is_about_other=True),
        NestedKey("/notes/text"),
        NestedKey("/own"),
    )
    value: dict[str, Any] = {"family": FAMILY, "notes": [{"text": "Ask bob@x.example."}, {"text": 7}], "own": "usr_1"}
    made = world(
        tmp_path, {"made": MadeUpExporter([{"id": "1", "text": "x", "custom": value}], datasets=(keyed(*keys),))}
    )
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)

    assert [record["custom"] for record in records(paths, "made", "things")] == [
        {
            "family": "[redacted:other-person]",
            "notes": [{"text": "Ask [redacted:other-address]."}, {"text": 7}],
            "own": "usr_1",
        }
    ]
    (line,) = export_json(paths)["datasets"]
    assert (line["state"], line["redactions"]) == ("with_remarks", {"other-address": 1, "other-person": 1})
    assert export_json(paths)["complete"] is True


@pytest.mark.slow
def test_a_retry_delivers_what_was_declared_meanwhile(tmp_path: Path) -> None:
    """A retry alone closes nothing; after the declaration the records are delivered again and the gap is closed."""
    rows: list[Any] = [{"id": str(n), "text": "x", "custom": {"loyalty": n, "shoe": n}} for n in range(5)]
    exporter = MadeUpExporter(rows, datasets=(keyed(LOYALTY),))
    made = world(tmp_path, {"made": exporter})
    identifier = made.request()
    made.advance_all()
    assert [gap["what"] for gap in export_json(made.fetch(identifier))["gaps"]] == ["things/custom/shoe"] * 2

    retry_gaps(made, identifier)
    assert export_json(made.fetch(identifier))["complete"] is False

    exporter.datasets = (keyed(LOYALTY, NestedKey("/shoe")),)
    retry_gaps(made, identifier)
    paths = made.fetch(identifier)
    document = export_json(paths)

    assert (document["complete"], document["gaps"]) == (True, [])
    corrected = [body for name, body in members(paths) if "correction.jsonl" in name]
    assert sorted((json.loads(line) for body in corrected for line in body.splitlines()), key=str) == rows

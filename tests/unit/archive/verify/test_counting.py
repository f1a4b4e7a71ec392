"""What an archive says about its records is compared with what is in it; figures are written out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from archive import counts
from archive.counts import BadCounts, DatasetCount
from archive.verify import counting
from archive.verify.counting import WrongCounts

PIECE = {"path": "data/made/things.jsonl", "exporter": "made", "dataset": "things", "records": 3}
DATASET = {"exporter": "made", "dataset": "things", "records": 2, "files": 1, "bytes": 10, "corrections": 1}


def text(datasets: Any = (DATASET,), pieces: Any = (PIECE,), form: str = "portability/1") -> bytes:
    return orjson.dumps({"format": form, "datasets": datasets, "pieces": pieces})


def test_records_and_corrections_are_the_lines() -> None:
    """Two new records and one that replaces another one are three lines of JSON."""
    stated = counting.checked(text(), {"data/made/things.jsonl": 3})

    assert stated.datasets == [DatasetCount("made", "things", 2, 1, 10, 1)]


@pytest.mark.parametrize(
    ("content", "lines", "file", "said"),
    [
        (text(), {"data/made/things.jsonl": 2}, "data/made/things.jsonl", "2 records; counts.json says 3"),
        (text(), {}, "data/made/things.jsonl", "not there"),
        (text(pieces=[]), {}, None, None),
        (text([{**DATASET, "records": 4}]), {"data/made/things.jsonl": 3}, None, "3 records in its pieces; 5"),
        (text([]), {"data/made/things.jsonl": 3}, None, "3 records in its pieces; 0"),
        (text([{**DATASET, "records": -1}]), {}, None, "missing or of another type"),
        (text([{**DATASET, "files": "1"}]), {}, None, "missing or of another type"),
        (text([{**DATASET, "records": True}]), {}, None, "missing or of another type"),
        (text({"a": 1}), {}, None, "not a list"),
        (text(form="portability/2"), {}, None, "format portability/1"),
        (b"[]", {}, None, "format portability/1"),
        (b"{", {}, None, "format portability/1"),
    ],
)
def test_a_wrong_count_is_named_with_its_file(
    content: bytes, lines: dict[str, int], file: str | None, said: str | None
) -> None:
    """The first thing that is wrong, as two numbers. A dataset without JSON Lines has nothing to compare."""
    if said is None:
        assert counting.checked(content, lines).pieces == []
        return
    with pytest.raises(WrongCounts, match=said) as raised:
        counting.checked(content, lines)
    assert raised.value.file == file


def test_tables_of_other_formats_are_not_counted() -> None:
    """A cell of CSV may contain line breaks: its lines say nothing."""
    table = {**PIECE, "path": "data/made/things.csv"}

    assert len(counting.checked(text(pieces=[PIECE, table]), {PIECE["path"]: 3, table["path"]: 9}).pieces) == 2  # type: ignore[dict-item]


def archive(*volumes: Any, records: int = 5, corrections: int = 1) -> dict[str, Any]:
    total = {**DATASET, "records": records, "files": 2, "bytes": 20, "corrections": corrections, "state": "complete"}
    return {"volumes": list(volumes), "datasets": [total]}


def listed(name: str, **numbers: int) -> dict[str, Any]:
    return {"name": name, "counts": [{**DATASET, **numbers}]}


def test_all_volumes_together_are_the_ledger() -> None:
    """2 + 3 records are 5; a volume that is left out, or counted twice, is named as a difference."""
    two, three = listed("a-001"), listed("a-002", records=3, corrections=0)

    assert list(counting.of_archive(archive(two, three), {})) == []
    assert list(counting.of_archive(archive(two), {})) == [
        "all volumes together: made/things: 2 records; expected 5",
        "all volumes together: made/things: 1 files; expected 2",
        "all volumes together: made/things: 10 bytes; expected 20",
    ]
    assert list(counting.of_archive(archive(two, three, records=4), {})) == [
        "all volumes together: made/things: 5 records; expected 4"
    ]


def test_a_volume_is_as_the_list_says() -> None:
    """Also one that lost its counts: the list says that it has some."""
    document = archive(listed("a-001"), listed("a-002", records=3, corrections=0))
    found = counts.VolumeCounts([DatasetCount("made", "things", 1, 1, 10, 1)], [])

    assert list(counting.of_archive(document, {"a-001": found})) == [
        "a-001: made/things: 1 records; expected 2",
    ]
    assert len(list(counting.of_archive(document, {"a-001": None}))) == 4
    assert list(counting.of_archive(document, {"b-001": None})) == []


def test_an_archive_with_a_volume_that_does_not_count_has_no_sums() -> None:
    """Releases before November 2026 did not count; the volumes that do are still compared one by one."""
    assert list(counting.of_archive(archive({"name": "a-001"}, listed("a-002")), {})) == []
    assert list(counting.of_archive({"volumes": [], "datasets": []}, {})) == []


@pytest.mark.parametrize("broken", [{"name": "a", "counts": 7}, {"name": "a", "counts": [{}]}])
def test_a_list_of_another_form_is_a_difference(broken: dict[str, Any]) -> None:
    """Whatever a stranger's document contains."""
    (said,) = counting.of_archive(archive(broken), {})

    assert said.startswith("export.json: ")


def test_datasets_without_anything_do_not_count() -> None:
    """A ledger has lines for everything that was looked for; a volume only for what it contains."""
    nothing = DatasetCount("made", "nothing")

    assert list(counts.differences([nothing], [])) == []
    assert counts.total([nothing]) == {}


def test_counts_of_a_stranger_are_read_strictly() -> None:
    """Extra members are ignored; anything missing is refused."""
    assert counts.from_json([{**DATASET, "state": "complete"}]) == [DatasetCount("made", "things", 2, 1, 10, 1)]
    with pytest.raises(BadCounts):
        counts.from_json([{"exporter": "made"}])


@pytest.mark.parametrize(
    "wrong", [{"volumes": 5}, {"volumes": [5]}, {"datasets": 5}, {"datasets": "x"}, {"datasets": {}}]
)
def test_lists_of_another_type_end_no_verification(wrong: dict[str, object]) -> None:
    """A validly signed export.json with a number for a list ended `portability verify` with a traceback."""
    found = list(counting.of_archive({**archive(listed("a-001"), listed("a-002")), **wrong}, {}))
    assert all("\n" not in fault for fault in found)


@pytest.mark.parametrize("name", ["ann@secret.example", "a\nb", "x" * 101, ""])
def test_counts_name_exporters_and_datasets_only(name: str) -> None:
    """Faults repeat these names: what can be no name of an exporter is a fault that repeats nothing."""
    count = {"exporter": "calls", "dataset": name, "records": 1, "files": 0, "bytes": 1, "corrections": 0}
    with pytest.raises(BadCounts, match=r"^a count is missing or of another type$"):
        counts.from_json([count])

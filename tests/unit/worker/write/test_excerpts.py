from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_strategies import datasets_with_records

import worker.write.excerpts as excerpts_module
from archive.parts import Content, Member
from archive.viewer.parts import Cut, Excerpt
from portability.api import Dataset, Field, FieldType, Provenance, Record, Role, Subject, SubjectKind, encoded
from portability.errors import VolumeFault
from portability.plugins import load_formats
from portability.storage.local import LocalStorage
from worker.plan.plan import PlanLine
from worker.write.excerpts import BYTES_MAX, RECORDS_MAX, VALUE_CHARS_MAX, Excerpts, discard, key, load, save, withdraw

JSON_LINES = load_formats(["jsonl"])["jsonl"]
SUBJECT = Subject(SubjectKind.USER, None, "sub_1")


def dataset_of_texts(kind: FieldType = FieldType.STRING) -> Dataset:
    fields = (
        Field("id", FieldType.STRING, "The thing.", Provenance.PROVIDED),
        Field("said", kind, "What it said.", Provenance.PROVIDED),
    )
    return Dataset("things", "Things", "Things.", fields, Provenance.PROVIDED, Role.CONTROLLER, ("id",))


def line(of: Dataset, exporter: str = "made") -> PlanLine:
    return PlanLine(exporter, of, frozenset(field.name for field in of.fields), SUBJECT)


def only(excerpts: Excerpts, of: Dataset) -> Excerpt:
    (shown,) = excerpts.shown([line(of)])
    return shown


def taken(of: Dataset, records: Sequence[Record]) -> Excerpts:
    excerpts = Excerpts()
    excerpts.take("made", of, records)
    return excerpts


def member(path: str, of: Dataset, *, records: int | None = None, file: str | None = None) -> Member:
    return Member(f"data/{path}", 10, "00", Content("made", of, "audio/wav", records, file))


@given(datasets_with_records(), st.data())
def test_the_first_records_are_kept_as_json_lines(made: tuple[Dataset, list[Record]], data: st.DataObject) -> None:
    """However the records arrive, the excerpt holds the lines that JSON Lines writes of them."""
    of, records = made
    excerpts = Excerpts()
    place = data.draw(st.integers(0, len(records)))
    for part in (records[:place], records[place:]):
        excerpts.take("made", of, part)
    expected = b"".join(encoded(JSON_LINES, of, records))
    assert b"".join(kept + b"\n" for kept in only(excerpts, of).lines) == expected


@pytest.mark.slow
@given(datasets_with_records(), st.lists(st.sampled_from(["a.wav", "b.wav", None]), max_size=3))
def test_thawing_gives_what_was_frozen(made: tuple[Dataset, list[Record]], files: list[str | None]) -> None:
    """Excerpts of an earlier volume continue in the next one as if the volume had not ended."""
    of, records = made
    excerpts = taken(of, records)
    excerpts.note("v-001", [member(f"made/{n}", of, file=file) for n, file in enumerate(files)])
    again = Excerpts.from_json(excerpts.to_json())
    assert only(again, of) == only(excerpts, of)
    for each in (excerpts, again):
        each.take("made", of, records)
    assert again.to_json() == excerpts.to_json()


def test_a_dataset_is_capped_by_records() -> None:
    """The viewer stays small: it has the first RECORDS_MAX records of a dataset."""
    of = dataset_of_texts()
    kept = only(taken(of, [{"id": str(n), "said": None} for n in range(RECORDS_MAX + 30)]), of)
    assert [orjson.loads(kept.lines[n])["id"] for n in (0, -1)] == ["0", str(RECORDS_MAX - 1)]
    assert len(kept.lines) == RECORDS_MAX


def test_a_dataset_is_capped_by_bytes_and_never_skips() -> None:
    """After the first record that does not fit none is taken: what is shown is a beginning, not a selection."""
    of = dataset_of_texts()
    long = "x" * VALUE_CHARS_MAX
    records: list[Record] = [{"id": str(n), "said": long} for n in range(200)]
    excerpts = taken(of, records)
    excerpts.take("made", of, [{"id": "small", "said": ""}])
    sizes = list(accumulate(map(len, only(excerpts, of).lines)))
    assert sizes[-1] <= BYTES_MAX < sizes[-1] + len(long)
    assert b"small" not in only(excerpts, of).lines[-1]


def test_all_datasets_together_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    """TOTAL_BYTES_MAX holds over all datasets, also after a thaw."""
    monkeypatch.setattr(excerpts_module, "TOTAL_BYTES_MAX", 100)
    of = dataset_of_texts()
    excerpts = taken(of, [{"id": "1", "said": "x" * 60}])
    excerpts = Excerpts.from_json(excerpts.to_json())
    excerpts.take("other", of, [{"id": "1", "said": "x" * 60}])
    assert [len(shown.lines) for shown in excerpts.shown([line(of), line(of, "other")])] == [1, 0]


@pytest.mark.parametrize(
    ("kind", "value"), [(FieldType.STRING, "é😀" * 50_000), (FieldType.OBJECT, {"list": ["é😀" * 50_000]})]
)
def test_a_long_value_is_cut_and_reported(kind: FieldType, value: object) -> None:
    """Ten megabytes in a field leave room for other records; how long the value is stays known."""
    of = dataset_of_texts(kind)
    kept = only(taken(of, [{"id": "1", "said": None}, {"id": "2", "said": value}]), of)  # type: ignore[dict-item]  # JSON
    (cut,) = kept.cuts
    whole = value if isinstance(value, str) else '{"list": ["' + "é😀" * 50_000 + '"]}'
    assert cut == Cut(1, "said", len(whole))
    assert orjson.loads(kept.lines[1])["said"] == whole[:VALUE_CHARS_MAX]


def test_files_are_capped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not named is counted; what was named keeps its volume."""
    monkeypatch.setattr(excerpts_module, "MEMBERS_MAX", 2)
    of = dataset_of_texts()
    excerpts = Excerpts()
    excerpts.note("v-001", [member("made/things.jsonl", of, records=1), member("made/things/a.wav", of, file="a.wav")])
    excerpts.note("v-002", [member("made/things/b.wav", of, file="b.wav")])
    kept = only(Excerpts.from_json(excerpts.to_json()), of)
    assert [(shown.path, shown.volume, shown.file) for shown in kept.members] == [
        ("data/made/things.jsonl", "v-001", None),
        ("data/made/things/a.wav", "v-001", "a.wav"),
    ]
    assert kept.more_members == 1


def test_a_record_that_json_lines_refuse_is_left_to_the_files() -> None:
    """An export without JSON Lines may hold what they refuse: the viewer shows less, the export continues."""
    of = dataset_of_texts()
    kept = only(taken(of, [{"id": "1", "said": "a lone \ud800"}]), of)
    assert kept.lines == []


def test_excerpts_lie_beside_the_last_stored_volume(tmp_path: Path) -> None:
    """The next volume continues from the last committed one, whatever is stored beside others."""
    storage = LocalStorage(tmp_path)
    of = dataset_of_texts()
    volumes = ["e1/00001.1.aa.zip", "e1/00002.1.aa.zip"]
    assert only(load(storage, []), of).lines == []
    for said, object_key in zip(("first", "second"), volumes, strict=True):
        save(storage, object_key, taken(of, [{"id": said}]))
    assert b"second" in only(load(storage, volumes), of).lines[0]
    discard(storage, volumes)
    assert list(storage.list()) == []
    assert only(load(storage, volumes), of).lines == []


def test_a_dead_workers_excerpts_are_withdrawn(tmp_path: Path) -> None:
    """Nothing of an abandoned volume stays: neither the object nor an unfinished upload."""
    storage = LocalStorage(tmp_path)
    save(storage, "e1/00001.1.aa.zip", Excerpts())
    left = storage.begin(key("e1/00002.1.aa.zip"))
    left.write(b"half")
    for object_key in ("e1/00001.1.aa.zip", "e1/00002.1.aa.zip"):
        withdraw(storage, object_key)
    assert list(storage.list()) == []
    assert list(storage.uploads()) == []
    left.abort()


@pytest.mark.parametrize(
    "frozen", [b"", b"no zlib", zlib.compress(b"{"), zlib.compress(b'{"version":1}'), zlib.compress(b'{"version":9}')]
)
def test_damaged_excerpts_are_reported(frozen: bytes) -> None:
    """Storage that returns other bytes is an internal fault, not a crash."""
    with pytest.raises(VolumeFault, match="excerpts in storage"):
        Excerpts.from_json(frozen)

"""What an unpacked archive of a stranger may hold, and what becomes of it; archives are made by hand here."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import volumes
from handmade import CREATED, content, table, unpacked_archive
from importing import import_as, undone
from sqlalchemy import select

from archive.counts import DatasetCount
from archive.parts import Content
from exporters.reference import schema
from portability.api.errors import BadInput
from portability.database.engine import open_engine
from portability.storage.local import LocalStorage
from portability.trust.signing import Jwks, SignatureFault
from receiver.binding.target import ImportTarget
from receiver.faults import OlderRevision
from receiver.importer import archive_import, lines
from receiver.importer.contents import bags
from receiver.importer.faults import BadArchive, BadTarget, NotImportable
from receiver.importer.report import EXAMPLES, ImportReport
from receiver.importer.values import Reason


def call(identifier: str = "c1", **values: object) -> dict[str, Any]:
    """A record of calls/calls."""
    return {"id": identifier, "tenant_id": "ten_a", "direction": "inbound", "created_at": CREATED, **values}


def recording(identifier: str, file: str | None) -> dict[str, Any]:
    """A record of calls/recordings."""
    return {"id": identifier, "tenant_id": "ten_a", "call_id": "c1", "created_at": CREATED, "file": file}


def sound(name: str, body: bytes, *, part: int = 0, truncated: bool = False) -> tuple[str, bytes, Content]:
    """A member with a recording, or a piece of one."""
    suffix = f".part-{part:04}" if part else ""
    return f"calls/recordings/{name}{suffix}", body, content("recordings", file=name, truncated=truncated)


def imported(folders: Sequence[Path], folder: Path, **options: Any) -> ImportReport:
    """Imported as the company that the archives of this module are about, under its own id."""
    return import_as(folders, f"sqlite:///{folder}/target.db", ImportTarget(tenant="ten_a"), **options)


def stored(folder: Path, table: str, *columns: str) -> list[tuple[Any, ...]]:
    engine = open_engine(f"sqlite:///{folder}/target.db")
    of = schema.metadata.tables[table]
    with engine.connect() as connection:
        found = connection.execute(select(*(of.c[name] for name in columns)).order_by(of.c.id))
        rows = [tuple(row) for row in found]
    engine.dispose()
    return rows


def test_refused_records_are_reported_and_the_others_are_taken(tmp_path: Path) -> None:
    """Each refusal has its line, field and reason; the first refusals are listed, and all are counted."""
    records: list[object] = [
        call("good"),
        b"{no json}\n",
        [1, 2],
        {**call(), "id": None},
        {**call(), "id": 7},
        call("type", duration_seconds="long"),
        call("boolean", consented_to_recording=1),
        call("time", started_at="2026-01-02 03:04:05"),
        call("day", started_at="2026-02-31T00:00:00Z"),
        call("decimal", cost=1.5),
        call("decimal2", cost="1e5"),
        call("null", direction=None),
        {name: value for name, value in call("absent").items() if name != "tenant_id"},
        call("nested", custom=json.loads("[" * 300 + "]" * 300)),
        b'{"id": "double", "custom": {"plan": "free", "plan": "paid"}}\n',
        *(call(f"more-{n}", cost=n) for n in range(EXAMPLES)),
        call("last"),
    ]

    report = imported(unpacked_archive(tmp_path, [table("calls", *records)]), tmp_path)

    (dataset,) = report.datasets
    assert stored(tmp_path, "calls", "id") == [("good",), ("last",)]
    assert [(one.line, one.id, one.field, one.reason) for one in dataset.examples][:14] == [
        (2, None, None, Reason.NOT_JSON),
        (3, None, None, Reason.NOT_AN_OBJECT),
        (4, None, "id", Reason.NO_ID),
        (5, None, "id", Reason.NO_ID),
        (6, "type", "duration_seconds", Reason.WRONG_TYPE),
        (7, "boolean", "consented_to_recording", Reason.WRONG_TYPE),
        (8, "time", "started_at", Reason.WRONG_TYPE),
        (9, "day", "started_at", Reason.WRONG_TYPE),
        (10, "decimal", "cost", Reason.WRONG_TYPE),
        (11, "decimal2", "cost", Reason.WRONG_TYPE),
        (12, "null", "direction", Reason.MISSING_VALUE),
        (13, "absent", "tenant_id", Reason.MISSING_VALUE),
        (14, "nested", "custom", Reason.OUT_OF_RANGE),
        (15, None, None, Reason.DOUBLE_NAME),
    ]
    assert (dataset.new, report.refused, len(dataset.examples)) == (2, 14 + EXAMPLES, EXAMPLES)


def test_secrets_and_unknown_fields_are_ignored_and_reported(tmp_path: Path) -> None:
    """A column that never leaves never comes in, and a field without a column is not lost silently."""
    record = call("c1", staff_name="from outside", media_host="from outside", mood="good")

    report = imported(unpacked_archive(tmp_path, [table("calls", record)]), tmp_path)

    (dataset,) = report.datasets
    assert stored(tmp_path, "calls", "staff_name", "media_host") == [(None, None)]
    assert dataset.ignored_fields == {"staff_name", "media_host", "mood"}
    assert dataset.absent_columns == ["voiceprint", "staff_name", "media_host"]


def test_a_storage_key_from_outside_is_ignored(tmp_path: Path) -> None:
    """An archive never decides where a file is stored: it could be another one's place."""
    record = {**recording("r1", None), "storage_key": "other/secret.wav"}

    report = imported(unpacked_archive(tmp_path, [table("recordings", record)]), tmp_path)

    assert stored(tmp_path, "recordings", "storage_key") == [(None,)]
    assert report.datasets[0].ignored_fields == {"storage_key"}


def test_the_last_of_two_records_counts(tmp_path: Path) -> None:
    """What a retry brought lies behind, and is newer."""
    first = [table("calls", call("c1", outcome="old"), call("c2"))]
    second = [table("calls", call("c1", outcome="new"))]

    report = imported(unpacked_archive(tmp_path, first, second, revisions=(1, 2)), tmp_path)

    assert stored(tmp_path, "calls", "id", "outcome") == [("c1", "new"), ("c2", None)]
    assert (report.datasets[0].new, report.datasets[0].changed) == (2, 1)


def test_files_in_pieces_cut_off_late_and_missing(tmp_path: Path) -> None:
    """Pieces are joined, a later revision replaces an incomplete one, a late file is found by its record's id."""
    records = [recording(name, f"{name}.wav") for name in ("cut", "pieces", "whole")]
    first = [
        table("recordings", *records, recording("late", None), recording("never", None)),
        sound("whole.wav", b"whole"),
        sound("pieces.wav", b"one", part=1),
        sound("cut.wav", b"cu", truncated=True),
    ]
    second = [sound("pieces.wav", b"two", part=2), sound("lost.wav", b"nobody's")]
    third = [sound("cut.wav", b"cut no more"), sound("late.wav", b"late")]
    folders = unpacked_archive(tmp_path, first, second, third, revisions=(1, 1, 2))
    storage = LocalStorage(tmp_path / "files")

    report = imported(folders, tmp_path, storage=storage)

    keys = dict(stored(tmp_path, "recordings", "id", "storage_key"))
    found = {name: b"".join(storage.read(key)) for name, key in keys.items() if key}
    assert found == {"whole": b"whole", "pieces": b"onetwo", "cut": b"cut no more", "late": b"late"}
    assert report.datasets[0].files is not None
    assert report.datasets[0].files.as_json() == {"new": 4, "same": 0, "missing": 1, "truncated": 0, "left": 0}
    assert keys["whole"] == f"calls/recordings/{hashlib.sha256(b'whole').hexdigest()}/whole.wav"


def test_what_a_killed_import_has_left_of_a_file_is_deleted(tmp_path: Path) -> None:
    """The import that continues stores the file again, and its undo finds it, too; uploads of others stay."""
    folders = unpacked_archive(tmp_path, [table("recordings", recording("a", "a.wav")), sound("a.wav", b"sound")])
    storage = LocalStorage(tmp_path / "files")
    key = f"calls/recordings/{hashlib.sha256(b'sound').hexdigest()}/a.wav"
    other = f"calls/recordings/{hashlib.sha256(b'other').hexdigest()}/a.wav"
    left = [storage.begin(one) for one in (key, other)]

    report = imported(folders, tmp_path, storage=storage)
    assert [one.key for one in storage.uploads()] == [other]
    assert b"".join(storage.read(key)) == b"sound"

    left.append(storage.begin(key))
    undone(f"sqlite:///{tmp_path}/target.db", report, storage=storage)
    assert [one.key for one in storage.uploads()] == [other]
    assert not list(storage.list())
    for upload in left:
        upload.abort()  # closes its file


def test_a_file_that_stays_cut_off_is_taken_and_counted(tmp_path: Path) -> None:
    """A part of a recording is better than none, if it is reported."""
    members = [table("recordings", recording("r1", "r1.wav")), sound("r1.wav", b"half", truncated=True)]

    report = imported(unpacked_archive(tmp_path, members), tmp_path, storage=LocalStorage(tmp_path / "files"))

    assert report.datasets[0].files is not None
    assert (report.datasets[0].files.new, report.datasets[0].files.truncated) == (1, 1)


def test_without_a_storage_files_are_left_and_rows_keep_their_files(tmp_path: Path) -> None:
    """A row that has its file already does not lose it."""
    folders = unpacked_archive(tmp_path, [table("recordings", recording("r1", "r1.wav")), sound("r1.wav", b"sound")])
    imported(folders, tmp_path, storage=LocalStorage(tmp_path / "files"))
    before = stored(tmp_path, "recordings", "storage_key")

    report = imported(folders, tmp_path)

    assert report.datasets[0].files is not None
    assert (report.datasets[0].files.left, report.datasets[0].same) == (1, 1)
    assert stored(tmp_path, "recordings", "storage_key") == before != [(None,)]


def test_a_damaged_file_rolls_its_dataset_back(tmp_path: Path) -> None:
    """Neither rows nor object are there; the dataset before it stays."""
    members = [table("calls", call()), table("recordings", recording("r1", "r1.wav")), sound("r1.wav", b"sound")]
    folders = unpacked_archive(tmp_path, members)
    (folders[0] / "data/calls/recordings/r1.wav").write_bytes(b"SOUND")
    storage = LocalStorage(tmp_path / "files")

    with pytest.raises(BadArchive, match=r"r1\.wav differs from its entry"):
        imported(folders, tmp_path, storage=storage)

    assert stored(tmp_path, "calls", "id") == [("c1",)]
    assert stored(tmp_path, "recordings", "id") == []
    assert list(storage.list()) == []


def test_a_damaged_table_rolls_back(tmp_path: Path) -> None:
    """All lines were read and written before the hash was known: none of them stays."""
    folders = unpacked_archive(tmp_path, [table("calls", call())])
    path = folders[0] / "data/calls/calls.jsonl"
    path.write_bytes(path.read_bytes().replace(b"inbound", b"unbound"))

    with pytest.raises(BadArchive):
        imported(folders, tmp_path)
    assert stored(tmp_path, "calls", "id") == []


def _drop(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def _edit(name: str, old: bytes, new: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes().replace(old, new))


DAMAGES: Mapping[str, Callable[[Path], object]] = {
    "no manifest": _drop("manifest-sha256.txt"),
    "no tag manifest": _drop("tagmanifest-sha256.txt"),
    "not a signature": _drop("signature.jwt"),
    "no data package": _drop("datapackage.json"),
    "no export.json": _drop("export.json"),
    "another manifest": _edit("manifest-sha256.txt", b"calls.jsonl", b"other.jsonl"),
    "another data package": _edit("datapackage.json", b'"x-file"', b'"y-file"'),
    "another export.json": _edit("export.json", b"complete", b"COMPLETE"),
    "an invalid signature": _edit("signature.jwt", b".", b"!"),
    "no table": _drop("data/calls/calls.jsonl"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: str) -> None:
    """Every tag file is in the tag manifest, and nothing is imported without it."""
    folders = unpacked_archive(tmp_path, [table("calls", call()), sound("r1.wav", b"x")])
    DAMAGES[damage](folders[0])

    with pytest.raises(BadArchive):
        imported(folders, tmp_path)


def test_a_piece_with_fewer_records_than_stated_rolls_back(tmp_path: Path) -> None:
    """Its hash is right, so it was signed so: the sender lost a record, and nothing of the dataset is taken."""
    name, body, _ = table("calls", call())
    folders = unpacked_archive(tmp_path, [(name, body, content("calls", records=2))])

    with pytest.raises(BadArchive, match=r"calls\.jsonl has 1 records; its volume says 2"):
        imported(folders, tmp_path)
    assert stored(tmp_path, "calls", "id") == []


ONE = DatasetCount("calls", "calls", records=1)


@pytest.mark.parametrize(
    ("counted", "ledger", "said"),
    [
        ([[ONE], [ONE]], 3, "all volumes together: calls/calls: 2 records; expected 3"),
        ([[ONE], []], 2, "export-e1-002: counts.json: calls/calls: 1 records in its pieces; 0 are stated"),
    ],
)
def test_an_archive_that_contradicts_itself_changes_nothing(
    tmp_path: Path, counted: list[list[DatasetCount]], ledger: int, said: str
) -> None:
    """A volume was left out, or says something else than its pieces: refused before the first row."""
    stated = {"exporter": "calls", "dataset": "calls", "title": "Calls", "state": "complete", "gaps": 0}
    stated |= {"records": ledger, "files": 0, "bytes": 0, "corrections": 0}
    members = [[table("calls", call("c1"))], [table("calls", call("c2"))]]
    (tmp_path / "same").mkdir()
    same = unpacked_archive(tmp_path / "same", *members, counted=counted)
    listed = [
        {
            "number": number,
            "name": folder.name,
            "tagmanifest_sha256": hashlib.sha256((folder / "tagmanifest-sha256.txt").read_bytes()).hexdigest(),
            "counts": [one.to_json() for one in counts],
        }
        for number, (folder, counts) in enumerate(zip(same, counted, strict=True), 1)
    ]
    folders = unpacked_archive(tmp_path, *members, counted=counted, volumes=listed, datasets=[stated])

    with pytest.raises(BadArchive, match=re.escape(said)):
        imported(folders, tmp_path)
    assert not (tmp_path / "target.db").exists()


def test_with_keys_the_signature_is_checked_again(tmp_path: Path) -> None:
    """Manifests that fit each other are not enough: the signature holds the tag manifest."""
    folders = unpacked_archive(tmp_path, [table("calls", call())])
    assert imported(folders, tmp_path, jwks=volumes.JWKS).refused == 0

    with pytest.raises(SignatureFault):
        imported(folders, tmp_path, jwks=volumes.key_set(volumes.new_key()))
    _edit("tagmanifest-sha256.txt", b"README.html", b"readme.html")(folders[0])
    with pytest.raises(BadArchive, match="differs from the signed one"):
        imported(folders, tmp_path, jwks=volumes.JWKS)


def test_missing_and_foreign_volumes_are_refused(tmp_path: Path) -> None:
    """The closing volume's list decides what belongs."""
    folders = unpacked_archive(tmp_path, [table("calls", call())], [table("calls", call("c2"))])

    with pytest.raises(BadArchive, match="volumes are missing: 1"):
        imported(folders[1:], tmp_path)
    with pytest.raises(BadArchive, match="closing volume"):
        imported(folders[:1], tmp_path)
    with pytest.raises(BadInput, match="are the same volume"):
        imported([*folders, folders[0]], tmp_path)


@pytest.mark.parametrize("swapped", [0, 1], ids=["a volume", "the closing volume"])
@pytest.mark.parametrize("jwks", [None, volumes.JWKS], ids=["unsigned", "signed"])
def test_a_volume_of_another_attempt_is_refused(tmp_path: Path, swapped: int, jwks: Jwks | None) -> None:
    """It has the same export, number and signing key: with it records would be missing, and the report be complete."""
    made = []
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
        members = [table("calls", call(f"{attempt}1"))], [table("calls", call(f"{attempt}2"))]
        made.append(unpacked_archive(tmp_path / attempt, *members))
    first, second = made
    mixed = [*second]
    mixed[swapped] = first[swapped]

    with pytest.raises(BadArchive, match="export-e1-001 is not the volume 1 that the closing volume lists"):
        imported(mixed, tmp_path, jwks=jwks)
    assert not (tmp_path / "target.db").exists()


def test_a_volume_of_another_export_is_named(tmp_path: Path) -> None:
    """It is refused as one of another export, also if the volume with its number is here."""
    folders = unpacked_archive(tmp_path, [table("calls", call())])
    (tmp_path / "other").mkdir()
    other = unpacked_archive(tmp_path / "other", [table("calls", call())], export="e2")

    with pytest.raises(BadInput, match="export-e2-001 belongs to another export"):
        imported([*folders, *other], tmp_path)


@pytest.mark.parametrize("profile", ["access"])
def test_copies_to_read_are_not_imported(tmp_path: Path, profile: str) -> None:
    """Only what was made to move with."""
    with pytest.raises(NotImportable):
        imported(unpacked_archive(tmp_path, [table("calls", call())], profile=profile), tmp_path)


def test_what_has_no_place_is_reported(tmp_path: Path) -> None:
    """A third-party dataset is left out and named; so is a dataset that exists only in another form."""
    csv = Content("crm", content("deals").dataset, "text/csv")
    members = [table("moods", {"id": "m1"}, exporter="moods"), ("crm/deals.csv", b"id\r\nd1\r\n", csv)]

    report = imported(unpacked_archive(tmp_path, members), tmp_path)

    assert [(one.exporter, one.dataset, one.reason) for one in report.left] == [
        ("crm", "deals", "the archive has no JSON Lines of it, which are the exact copy"),
        ("moods", "moods", "the reference schema has no table for it"),
    ]


def test_an_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is not a stranger's to spend."""
    monkeypatch.setattr(lines, "LINE_BYTES", 1000)

    with pytest.raises(BadArchive, match="a line of more than"):
        list(lines.records(itertools.repeat(b"x" * 600)))


def test_tables_of_another_program_are_refused(tmp_path: Path) -> None:
    """A table of that name without our columns: nothing is written into it."""
    engine = open_engine(f"sqlite:///{tmp_path}/target.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE calls (id TEXT PRIMARY KEY)")
    engine.dispose()

    with pytest.raises(BadTarget, match="the table calls lacks the column"):
        imported(unpacked_archive(tmp_path, [table("calls", call())]), tmp_path)


@pytest.mark.parametrize("url", ["nonsense", "oracle://x", "mysql://x", "http://x"])
def test_other_databases_are_refused(tmp_path: Path, url: str) -> None:
    """SQLite and PostgreSQL; the URL, which may hold a password, is not repeated."""
    with pytest.raises(BadTarget) as caught:
        import_as(unpacked_archive(tmp_path, [table("calls", call())]), url, ImportTarget(tenant="ten_a"))
    assert url not in str(caught.value)


def test_a_folder_without_volumes_is_bad_input(tmp_path: Path) -> None:
    """An empty folder is not an empty archive."""
    with pytest.raises(BadInput, match="no unpacked volume"):
        bags(tmp_path)


def test_a_folder_that_is_a_volume_is_enough(tmp_path: Path) -> None:
    """The folder itself, its parent, or what `receive` made around them."""
    (folder,) = unpacked_archive(tmp_path, [table("calls", call())])
    received = tmp_path / "received"
    shutil.copytree(folder, received / "archive" / folder.name)

    assert bags(folder) == [folder]
    assert bags(folder.parent) == [folder]
    assert bags(received) == [received / "archive" / folder.name]


def _noted(total: list[int], seen: list[int], size: int) -> Callable[[int], object]:
    total.append(size)
    return seen.append


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    """All records and files, whether they were there or not."""
    members = [table("calls", call()), table("recordings", recording("r1", "r1.wav")), sound("r1.wav", b"sound")]
    folders = unpacked_archive(tmp_path, members)
    for _ in range(2):
        seen: list[int] = []
        total: list[int] = []
        imported(
            folders,
            tmp_path,
            storage=LocalStorage(tmp_path / "files"),
            started=partial(_noted, total, seen),
        )
        assert sum(seen) == total[0]


def test_records_of_requests_are_reported_as_left_out() -> None:
    """The receiving platform has no table for them; the file of a volume without data is not a dataset."""
    lines = frozenset({"application/jsonl"})
    (left,) = archive_import.left("portability", "requests", None, lines)
    assert (left.dataset, left.reason) == ("requests", "the reference schema has no table for it")
    assert [*archive_import.left("portability", "empty", None, frozenset({"text/plain"}))] == []
    assert [*archive_import.left("portability", "forms", None, frozenset({"text/vcard"}))] == [], "copies of records"


@pytest.mark.slow
def test_an_older_revision_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    """It is refused until the import of the newer revision is undone; an import of the same revision is repeated."""

    def archive(name: str, *outcomes: str) -> list[Path]:
        of_volumes = [[table("calls", call("c1", outcome=outcome))] for outcome in outcomes]
        (tmp_path / name).mkdir()
        revisions = range(1, len(outcomes) + 1)
        return unpacked_archive(tmp_path / name, *of_volumes, revisions=revisions, revision=len(outcomes))

    first, both = archive("first", "old"), archive("both", "old", "new")
    imported(first, tmp_path)
    newer = imported(both, tmp_path)
    for dry_run in True, False:
        with pytest.raises(OlderRevision, match="revision 2 of export e1 is imported here; this is 1"):
            imported(first, tmp_path, dry_run=dry_run)
    assert stored(tmp_path, "calls", "outcome") == [("new",)]
    again = imported(both, tmp_path)
    assert stored(tmp_path, "calls", "outcome") == [("new",)]
    for report in again, newer:
        undone(f"sqlite:///{tmp_path}/target.db", report)
    assert stored(tmp_path, "calls", "outcome") == [("old",)]
    assert imported(first, tmp_path).datasets[0].same == 1

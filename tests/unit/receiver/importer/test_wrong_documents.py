"""Documents of an unpacked archive that are JSON, agree with the manifest, and have members of other types."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from handmade import CREATED, table, unpacked_archive
from importing import import_as

from portability.api.errors import PortabilityError
from portability.trust.signing import Jwks
from receiver.binding.target import ImportTarget

ADDRESS = "ann@secret.example\n"
COUNT: dict[str, object] = {
    "exporter": "crm",
    "dataset": "deals",
    "records": 1,
    "files": 0,
    "bytes": 1,
    "corrections": 0,
}
RESOURCE: dict[str, object] = {"path": "data/calls/calls.jsonl", "x-exporter": "calls", "x-dataset": "calls"}
RESOURCE |= {"mediatype": "application/jsonl", "bytes": 1}


COUNTED: dict[str, object] = {"number": 1, "name": "export-e1-001", "counts": [COUNT]}
HOSTILE_TEXTS = (ADDRESS, "a\0b", "\x1b[2J", "\u202eb", "x" * 1_000_000)
"""An address with an end of a line, NUL, a command of a terminal, another direction of letters, and too long."""
WRONG_RESOURCES: list[Mapping[str, object]] = [
    *({name: text} for name in ("x-exporter", "x-dataset", "mediatype") for text in HOSTILE_TEXTS),
    *({name: number} for name in ("bytes", "x-records") for number in (-1, True, "1", 1 << 53, (1 << 64) - 1)),
]


def signed(folder: Path, **claims: object) -> None:
    """Give the signature of an unpacked volume other claims; without keys no one checks it."""
    path = folder / "signature.jwt"
    header, payload, signature = path.read_text().split(".")
    before = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    after = urlsafe_b64encode(json.dumps({**before, **claims}).encode()).decode().rstrip("=")
    path.write_text(f"{header}.{after}.{signature}")


def one_call(folder: Path, **archive: Any) -> Path:
    """The only volume of an archive with a call."""
    record = {"id": "c1", "tenant_id": "ten_a", "direction": "inbound", "created_at": CREATED}
    (made,) = unpacked_archive(folder, [table("calls", record)], **archive)
    return made


def refusal(folder: Path, into: Path) -> str:
    """Why a volume is refused, in one short line; nothing was made for it."""
    with pytest.raises(PortabilityError) as raised:
        import_as([folder], f"sqlite:///{into}/target.db", ImportTarget(tenant="ten_a"))
    assert not (into / "target.db").exists()
    text = str(raised.value)
    assert len(text.splitlines()) == 1
    assert len(text) < 300
    assert "ann@" not in text
    return text


def changed(folder: Path, name: str, **members: object) -> None:
    """Give a document other members, and its line in the tag manifest the new hash."""
    path, manifest = folder / name, folder / "tagmanifest-sha256.txt"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    document: dict[str, Any] = {**json.loads(path.read_bytes()), **members}
    path.write_text(json.dumps(document))
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    assert before in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(before, after))


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("export.json", {"profile": ["switch"]}),
        ("export.json", {"subject_kind": {}}),
        ("export.json", {"revision": "1"}),
        ("export.json", {"volumes": 5}),
        ("export.json", {"volumes": [5]}),
        ("export.json", {"volumes": [None]}),
        ("export.json", {"volumes": [{"number": []}]}),
        ("datapackage.json", {"resources": None}),
        ("datapackage.json", {"resources": 5}),
        *(("datapackage.json", {"resources": [{**RESOURCE, **wrong}]}) for wrong in WRONG_RESOURCES),
        *(("export.json", {name: text}) for name in ("format", "profile", "subject_kind") for text in HOSTILE_TEXTS),
        *(("export.json", {"export": text}) for text in (*HOSTILE_TEXTS, ["e1"], "e2")),
        *(("export.json", {"subject": text}) for text in (*HOSTILE_TEXTS, ["s"])),
        *(("export.json", {"revision": number}) for number in (0, 2, True, 1 << 31, 1 << 63)),
        *(("export.json", {"volumes": [{"number": 1, "name": name}]}) for name in (None, *HOSTILE_TEXTS)),
        ("export.json", {"volumes": [{"number": 1 << 63, "name": "a"}]}),
        *(
            ("export.json", {"volumes": [COUNTED], "datasets": wrong})
            for wrong in (5, "x", [5], [COUNT | {"bytes": -1}])
        ),
        *(("export.json", {"volumes": [COUNTED | {"counts": [COUNT | {"dataset": text}]}]}) for text in HOSTILE_TEXTS),
    ],
)
def test_a_member_of_another_type_is_a_bad_archive(tmp_path: Path, name: str, members: dict[str, object]) -> None:
    """A stranger's folder is refused with one clear line, whatever its documents hold; nothing is made or imported."""
    folder = one_call(tmp_path)
    changed(folder, name, **members)

    assert name in refusal(folder, tmp_path)


@pytest.mark.parametrize(
    "claims",
    [
        *({name: number} for name in ("volume", "revision") for number in (0, -1, True, "1", 1 << 31, (1 << 64) - 1)),
        *({name: text} for name in ("export", "iss") for text in (*HOSTILE_TEXTS, None, 5)),
    ],
)
def test_a_claim_that_no_database_stores_is_a_bad_archive(tmp_path: Path, claims: dict[str, object]) -> None:
    """Numbers beyond 31 bits and texts with NUL ended the command with a traceback, or blamed the target database."""
    folder = one_call(tmp_path)
    signed(folder, **claims)

    assert "signature.jwt" in refusal(folder, tmp_path)


def test_volumes_that_are_missing_are_named_within_a_line(tmp_path: Path) -> None:
    """A closing volume may list millions: the error names the first numbers, and how many more there are."""
    folder = one_call(tmp_path)
    listed = [{"number": number, "name": f"v{number}"} for number in range(1, 100_001)]
    changed(folder, "export.json", volumes=listed)

    assert refusal(folder, tmp_path) == "volumes are missing: 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 99989 more"


@pytest.mark.parametrize(
    "members",
    [
        *({"feed": text} for text in (*HOSTILE_TEXTS, "f" * 65, None)),
        *({"number": number} for number in (0, 1 << 31, (1 << 64) - 1)),
        {"tombstones": [{"exporter": ADDRESS, "dataset": "calls", "path": f"tombstones/{ADDRESS}/calls.jsonl"}]},
        *({"number": 2, "after": {"export": text}} for text in HOSTILE_TEXTS),
    ],
)
def test_a_feed_that_no_database_stores_is_a_bad_archive(tmp_path: Path, members: dict[str, object]) -> None:
    """What an archive says about its feed is kept in the target's database, too."""
    known = {"feed": "feed_1", "number": 1, "tombstones": [], "cursor": "c", **members}
    folder = one_call(tmp_path, tags={"changes.json": json.dumps(known).encode()})

    assert "changes.json" in refusal(folder, tmp_path)


def test_what_a_report_repeats_of_an_archive_is_bounded_and_storable(tmp_path: Path) -> None:
    """Each record had fields of its own, and an id of 100,000 characters: the report grew with the archive.

    The inbox stores it as JSON in PostgreSQL, which takes no NUL.
    """
    good = {"tenant_id": "ten_a", "direction": "inbound", "created_at": CREATED}
    many = [{**good, "id": f"c{number}", **{f"f{number}_{one}": 1 for one in range(500)}} for number in range(5)]
    bad = [{**good, "id": "x" * 100_000}, {"id": "a\0b"}, {**good, "id": "c9", "y\0" * 100_000: 1}]
    folders = unpacked_archive(tmp_path, [table("calls", *bad, *many)])

    report = import_as(folders, f"sqlite:///{tmp_path}/target.db", ImportTarget(tenant="ten_a"))
    (calls,) = report.datasets

    assert (calls.new, calls.quarantined.total(), calls.refused.total()) == (6, 1, 1)
    assert [one.id for one in calls.examples] == ["a?b", "x" * 200]
    assert len(calls.ignored_fields) == 1_000
    written = json.dumps(report.as_json(), ensure_ascii=False)
    assert len(written) < 50_000
    assert "\\u0000" not in written


def test_a_key_set_without_keys_accepts_no_archive(tmp_path: Path) -> None:
    """A caller who gives a JWK Set wants signatures checked: an empty one is not the same as none."""
    folder = one_call(tmp_path)
    with pytest.raises(PortabilityError, match="JWK Set has no key"):
        import_as([folder], f"sqlite:///{tmp_path}/target.db", ImportTarget(tenant="ten_a"), jwks=Jwks({}))

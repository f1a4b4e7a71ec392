"""Writes golden archives of the present format again.

`PYTHONPATH=tests:tests/support .venv/bin/python tests/golden/make.py`

Only before the first release of a format version; released archives are never made again and must always verify.
The data is that of a fixed seed, so ids of records stay; export ids, keys and times are those of the run. The private
key is in a temporary folder and gone afterwards.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jwt
import volumes
from factories import World
from judges.cases import Archive, Platform, exported, platform

from archive.parts import FORMAT
from archive.verify.archives import verify
from demo.plan import SeedPlan
from portability.storage import open_storage, source_files
from portability.trust.signing import Jwks

TARGET = Path(__file__).parent / FORMAT.replace("/", "-")
PLAN = SeedPlan(
    tenants=1,
    users=1,
    contacts=2,
    calls=3,
    chats=2,
    events=12,
    recordings=2,
    recording_seconds=(0.25, 0.25),
    hostile_share=0.0,
)
# Some of everything, so that the repository stays small.
OF_USER = ["account", "billing", "marketing", "devices", "cookies", "trail"]
OF_CONTACT = ["calls", "crm", "interactions"]
OF_TENANT = ["account", "chats", "configuration"]
Keys = Mapping[str, Any]
Change = Callable[[dict[str, bytes]], object]


@dataclass(frozen=True, slots=True)
class Golden:
    """Some volumes, the keys to verify them, and the codes of the faults that must always be found."""

    name: str
    volumes: Sequence[Path]
    jwks: str
    codes: Sequence[str] = ()
    partial: bool = False


def main() -> None:
    """Make all of them; fail if one is not as expected."""
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir()
    # Recordings are deleted between two exports: what the file source found before must not count any more.
    not_cached = patch.object(source_files, "KNOWN_SECONDS", 0.0)
    with not_cached, tempfile.TemporaryDirectory() as folder, platform(Path(folder), PLAN) as made:
        goldens = [*golden_archives(made)]
    account, switch = goldens[0].volumes[0], goldens[3].volumes
    goldens += [*incomplete(switch, goldens), *by_other_keys(account), *broken(account)]
    documents = [described(golden) for golden in goldens]
    (TARGET / "cases.json").write_text(json.dumps(documents, indent=1) + "\n")


def golden_archives(made: Platform) -> Iterator[Golden]:
    """One for each profile, one with a gap, and a small one to break."""
    ids, world = made.examples, made.world
    contact, tenant = f"contact:{ids.contact}", ids.contact_tenant
    in_volumes = with_settings(world, volume_members=16)
    account = exported(world, f"user:{ids.user}", profile="access", include=["account"])
    write_keys("jwks", account.jwks)
    yield kept("account of a user", account)
    yield kept("access of a user", exported(world, f"user:{ids.user}", profile="access", include=OF_USER))
    asked = exported(world, contact, tenant=tenant, profile="portability", include=OF_CONTACT)
    yield kept("portability of a contact", asked)
    asked = exported(in_volumes, f"tenant:{ids.tenant}", profile="switch", include=OF_TENANT)
    yield kept("switch of a tenant in two volumes", asked)
    recordings = open_storage(world.place.settings.recordings)
    for stored in [*recordings.list()]:
        recordings.delete(stored.key)
    yield kept(
        "access of a contact with gaps", exported(world, contact, tenant=tenant, profile="access", include=["calls"])
    )


def incomplete(switch: Sequence[Path], goldens: Sequence[Golden]) -> Iterator[Golden]:
    """Volumes that are whole and not all, or too many."""
    first, last = switch
    stranger = goldens[1].volumes[0]
    yield Golden("without its first volume", [last], "jwks", ["missing_volume"])
    yield Golden("without its closing volume", [first], "jwks", ["missing_closing_volume"])
    yield Golden("known to be partial", [first], "jwks", partial=True)
    yield Golden("with a volume of another export", [*switch, stranger], "jwks", ["foreign_volume"])


def by_other_keys(account: Path) -> Iterator[Golden]:
    """The same volume where its key has ended, or is another."""
    keys = json.loads((TARGET / "jwks.json").read_text())
    now = datetime.now(UTC)
    for name, ended, codes in (
        ("retired-later", {"retired_at": now + timedelta(days=1)}, []),
        ("retired-before", {"retired_at": now - timedelta(days=1)}, ["signed_after_retirement"]),
        ("revoked", {"revoked_at": now + timedelta(days=1)}, ["revoked_key"]),
    ):
        texts = {field: moment.isoformat(timespec="seconds") for field, moment in ended.items()}
        write_keys(f"jwks-{name}", {"keys": [{**key, **texts} for key in keys["keys"]]})
        yield Golden(f"key {name}", [account], f"jwks-{name}", codes)
    write_keys("jwks-stranger", {"keys": [volumes.new_key("stranger").as_dict(private=False)]})
    yield Golden("key unknown", [account], "jwks-stranger", ["unknown_key"])


def broken(account: Path) -> Iterator[Golden]:
    """Possible manipulations of a volume."""
    with zipfile.ZipFile(account) as archive:
        token = archive.read(f"{account.stem}/signature.jwt").decode()
    claims = jwt.decode(token, options={"verify_signature": False})
    header = jwt.get_unverified_header(token)
    unsigned = jwt.encode(claims, "", algorithm="none", headers=header | {"alg": "none"}).encode()
    by_hmac = jwt.encode(claims, "s" * 64, algorithm="HS256", headers=header | {"alg": "HS256"}).encode()
    profile, table = "data/account/profile.jsonl", "data/account/profile.csv"
    changes: Mapping[str, tuple[Change, Sequence[str]]] = {
        "changed": (lambda files: files.update({profile: files[profile][::-1]}), ["changed"]),
        "missing": (lambda files: files.pop(table), ["missing", "count_mismatch"]),
        "added": (lambda files: files.update({"read-me-first.html": b"<p>Pay here"}), ["added"]),
        "renamed": (lambda files: files.update({"data/a.csv": files.pop(table)}), ["renamed"]),
        "repacked": (lambda _files: None, ["repacked"]),
        "unsigned": (lambda files: files.update({"signature.jwt": unsigned}), ["forbidden_algorithm"]),
        "by-hmac": (lambda files: files.update({"signature.jwt": by_hmac}), ["forbidden_algorithm"]),
    }
    for name, (change, codes) in changes.items():
        path = Path(shutil.copy(account, TARGET / f"{name}.zip"))
        volumes.pack_again(path, change)
        yield Golden(name, [path], "jwks", codes)
    raw = account.read_bytes()
    truncated, hidden = TARGET / "truncated.zip", TARGET / "hidden.zip"
    truncated.write_bytes(raw[: len(raw) // 2])
    yield Golden("truncated", [truncated], "jwks", ["truncated_zip", "missing_closing_volume"])
    hidden.write_bytes(raw)
    volumes.insert_before_directory(hidden, raw[: raw.index(b"PK\x03\x04", 4)])
    yield Golden("hidden", [hidden], "jwks", ["hidden_entry"])


def kept(name: str, archive: Archive) -> Golden:
    """Whole volumes, copied to where they stay."""
    return Golden(name, [Path(shutil.copy(volume, TARGET)) for volume in archive.volumes], "jwks")


def with_settings(world: World, **changes: object) -> World:
    """The same world under other settings."""
    return replace(world, place=replace(world.place, settings=world.place.settings.model_copy(update=changes)))


def write_keys(name: str, keys: Keys) -> None:
    """A JWK Set, public halves only."""
    (TARGET / f"{name}.json").write_text(json.dumps(keys, indent=1) + "\n")


def described(golden: Golden) -> dict[str, Any]:
    """What is expected of it. Raises AssertionError where it is not so now."""
    jwks = Jwks.parse(json.loads((TARGET / f"{golden.jwks}.json").read_text()))
    result = verify(golden.volumes, jwks, partial=golden.partial)
    assert [fault.code for fault in result.errors] == list(golden.codes), (golden.name, result.errors)
    return {
        "name": golden.name,
        "volumes": [path.name for path in golden.volumes],
        "jwks": f"{golden.jwks}.json",
        "partial": golden.partial,
        "ok": result.ok,
        "files": result.files,
        "bytes": result.bytes,
        "errors": [{"code": fault.code, "volume": fault.volume, "file": fault.file} for fault in result.errors],
    }


if __name__ == "__main__":
    main()

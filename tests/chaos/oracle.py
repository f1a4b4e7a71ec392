"""The oracle: judges a seed from outside, by rows, storage, processes and the archives themselves."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import orjson
from archives import export_json
from sqlalchemy import select

from archive.verify.archives import verify
from chaos import contents, rows, source
from chaos.contents import Contents
from chaos.stack import ChaosStack
from portability.api.errors import StorageError
from portability.api.storages import LitteredStorage
from portability.database import deployment, models
from portability.database.engine import reading
from portability.errors import UnknownExport
from portability.requests import exports
from portability.trust import keys
from portability.trust.signing import Jwks
from worker.clock import orphans, sweep

CALM_SECONDS = 30.0
LOOK_SECONDS = 0.5
WHOLE = ("complete", "with_remarks")
"""Outcomes without a gap; whether a company decides over more data does not depend on faults."""
VOLUME = models.volume

BESIDE = re.compile(rf"{deployment.OWNER}|journal(-keys)?/.*|[a-z2-7]+/[0-9]+\.closing")
"""Objects that have no row: who owns the storage, the journal, and the markers of closings."""


@dataclass
class Objects:
    """Every object that was ever seen: none may change under its key."""

    seen: dict[str, tuple[str, int]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    _next: float = 0

    def watch(self, stack: ChaosStack, *, now: bool = False) -> None:
        if not now and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_SECONDS
        # A marker may be written again: a closing that a restore lost is made anew.
        for found in (one for one in stack.storage.list() if not BESIDE.fullmatch(one.key)):
            is_as = (found.etag, found.bytes)
            if self.seen.setdefault(found.key, is_as) != is_as:
                self.changed.add(found.key)


def archive(stack: ChaosStack, identifier: str) -> list[Path]:
    """Every object that storage has of an export: no table is asked which of them are its volumes."""
    folder = stack.deployment.folder / "judged" / identifier
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for found in sorted(stack.storage.list(f"{identifier}/"), key=lambda found: found.key):
        paths.append(folder / found.key.rpartition("/")[2])
        paths[-1].write_bytes(b"".join(stack.storage.read(found.key)))
    return [path for path in paths if path.suffix == ".zip"]


def problems_of(
    stack: ChaosStack, identifier: str, wanted: Contents | None, there: source.Rows | None = None
) -> Iterator[str]:
    """Return what is wrong with one export: it needs one complete archive that verifies, with every source record.

    Args:
        stack: where the export was made, after a sweep.
        identifier: the export.
        wanted: what an undisturbed archive of the subject holds.
        there: for a company, the rows of the platform.
    """
    with reading(stack.engine) as connection:
        jwks = Jwks.parse(orjson.loads(orjson.dumps(keys.jwks(connection))))
        try:
            row = exports.get(connection, identifier)
        except UnknownExport:
            yield f"lost: {identifier} was accepted and has no row"
            return
    if row["state"] != "ready" or row["outcome_own"] not in WHOLE:
        state, reason = row["state"], row["error_code"]
        yield f"lost: {identifier} is {state} ({reason or 'no reason'}), outcome: {row['outcome_own']}"
        return
    try:
        paths = archive(stack, identifier)
    except StorageError as error:
        yield f"lost: {identifier} is ready and cannot be read: {error}"
        return
    verified = verify(paths, jwks)
    if not verified.ok:
        yield f"lost: {identifier} does not verify: {[str(fault) for fault in verified.errors[:3]]}"
        return
    if export_json(paths)["outcome"]["own"] not in WHOLE:
        yield f"lost: {identifier}: its export.json does not say that it is complete"
    seen, varying = contents.of(paths), stack.happened.varying
    if there is not None:
        yield from source.problems(seen, there, varying)
    if wanted is not None:
        missing, extra = contents.differences(seen, wanted, varying)
        if missing:
            yield f"silent: {missing} things are not in the archive of {identifier}"
        if extra:
            yield f"doubled: {extra} things are in the archive of {identifier} too often"


def left_behind(stack: ChaosStack) -> Iterator[str]:
    """What should not be there once everything has ended and was swept."""
    with reading(stack.engine) as connection:
        volumes = connection.execute(select(VOLUME)).mappings().all()
    known = {row["object_key"]: row["bytes"] for row in volumes if row["state"] == "stored"}
    stored = {found.key: found.bytes for found in stack.storage.list() if not BESIDE.fullmatch(found.key)}
    for key in stored.keys() - known.keys():
        yield f"left: the object {key} has no row"
    for key in known.keys() - stored.keys():
        yield f"lost: the object {key} is gone"
    for key in known.keys() & stored.keys():
        if known[key] != stored[key]:
            yield f"lost: the object {key} has {stored[key]} bytes, its row {known[key]}"
    for row in volumes:
        if row["state"] != "stored":
            yield f"left: a row of a volume that is {row['state']}: {row['object_key']}"
    yield from (f"left: an open upload of {upload.key}" for upload in stack.storage.uploads())
    if isinstance(stack.storage, LitteredStorage):
        yield from (f"left: {litter.name} in storage" for litter in stack.storage.litter())
    yield from (f"left: the temporary file {path.name}" for path in stack.temporary.iterdir())
    if held := rows.leases(stack.engine):
        yield f"left: {held} leases"


def calm(stack: ChaosStack) -> Iterator[str]:
    """Wait until nothing works any more, and everything is up; tells what keeps it from that."""
    deadline = time.monotonic() + CALM_SECONDS

    def is_calm() -> bool:
        stack.mend()
        return stack.is_calm() and rows.leases(stack.engine) == 0

    while not is_calm():
        if time.monotonic() > deadline:
            more = stack.family() - {process.pid for process in stack.processes}
            yield f"left: {len(more)} processes too many, {rows.leases(stack.engine)} leases"
            return
        time.sleep(0.05)


def swept(stack: ChaosStack) -> int:
    """Sweep as `portability sweep` does, and once more as if a day had passed; returns what only the second found."""
    sweep.sweep(stack.engine, stack.storage, actor="operator:chaos")
    with patch.object(orphans, "YOUNG", timedelta(minutes=-5)):
        return sweep.sweep(stack.engine, stack.storage, actor="operator:chaos").found


def judge(
    stack: ChaosStack,
    accepted: Mapping[str, str],
    reference: Mapping[str, Contents],
    there: Mapping[str, source.Rows] | None = None,
) -> tuple[list[str], int]:
    """What is wrong after a seed, and how much only a later sweep would have removed; [] where all is well.

    Args:
        stack: where nothing breaks any more.
        accepted: subjects by export.
        reference: what an undisturbed archive of each subject holds.
        there: the rows that the platform has, of subjects that are companies.
    """
    found = list(calm(stack))
    young = swept(stack)
    for identifier, subject in accepted.items():
        found += problems_of(stack, identifier, reference.get(subject), (there or {}).get(subject))
    found += left_behind(stack)
    return found, young

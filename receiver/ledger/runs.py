"""Runs: each import has an id; a run that was killed is continued by the next run of the same archive."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select, update

from portability.api.errors import BadInput
from portability.database.engine import now
from receiver.faults import OlderRevision, UndoUnfinished, UnknownImport
from receiver.ledger import pending_files
from receiver.ledger.tables import CHANGE, FEED, ID, KEY, RUN, exist

RUNNING, DONE, EXPIRED, UNDOING = "running", "done", "expired", "undoing"


@dataclass(frozen=True, slots=True)
class Source:
    """The archive of a run."""

    issuer: str
    export: str
    revision: int
    subject: str
    read_at: datetime | None = None
    """When the export began, as the archive says; None: it does not say it."""


def begin(connection: Connection, target: str, source: Source, journal_days: int, identifier: str | None = None) -> str:
    """Return the id of a new run, or of the run of this archive that did not end.

    With an `identifier` the run has this id, and a run that has it already is continued. The journal of a run that is
    continued is kept for `journal_days` from now at least.
    """
    sweep(connection)
    if identifier and state_of(connection, identifier) is not None:
        # It may have ended, and its process before that was noted anywhere else.
        again = update(RUN).where(RUN.c.id == identifier, RUN.c.state == DONE)
        connection.execute(again.values(state=RUNNING, ended_at=None))
        _keep(connection, journal_days, RUN.c.id == identifier)
        return identifier
    same = (RUN.c.issuer == source.issuer, RUN.c.export == source.export, RUN.c.revision == source.revision)
    query = select(RUN.c.id).where(RUN.c.target == target, *same, RUN.c.state == RUNNING)
    if not identifier and (unfinished := connection.scalar(query.limit(1))) is not None:
        _keep(connection, journal_days, RUN.c.id == unfinished)
        return str(unfinished)
    identifier = identifier or _dropped(connection, RUN.c.target == target, *same) or secrets.token_hex(8)
    values = {"issuer": source.issuer, "export": source.export, "revision": source.revision, "subject": source.subject}
    values["read_at"] = source.read_at
    times = {"began_at": now(), "keep_until": _in_days(journal_days)}
    connection.execute(insert(RUN).values(id=identifier, target=target, state=RUNNING, **times, **values))
    return identifier


def keep_imported(connection: Connection, target: str, source: Source, journal_days: int) -> None:
    """Keep the journals of ended imports of an archive for some days from now at least: it is imported again."""
    same = (RUN.c.issuer == source.issuer, RUN.c.export == source.export, RUN.c.revision == source.revision)
    _keep(connection, journal_days, RUN.c.target == target, *same, RUN.c.state == DONE)


def _keep(connection: Connection, days: int, *which: ColumnElement[bool]) -> None:
    """Keep journals for some days from now, if they would be deleted before."""
    until = _in_days(days)
    connection.execute(update(RUN).where(*which, RUN.c.keep_until < until).values(keep_until=until))


def _in_days(days: int) -> ColumnElement[datetime]:
    return now(timedelta(days=days).total_seconds())


def _dropped(connection: Connection, *of_archive: ColumnElement[bool]) -> str | None:
    """Return the id of the run that `drop_repeated` has deleted, for the next run of this archive.

    A slower process may still import with this id: both continue one run.
    """
    query = select(RUN.c.repeat).where(*of_archive, RUN.c.state == DONE, RUN.c.repeat != "").limit(1)
    if found := connection.scalar(query):
        connection.execute(update(RUN).where(RUN.c.repeat == found).values(repeat=None))
    return found


def _enter_again(connection: Connection, identifier: str) -> bool:
    """Enter a run again that another process has ended by `drop_repeated`; returns whether one has.

    This process imports the same archive, and ends the run again.
    """
    earlier = connection.execute(select(RUN).where(RUN.c.repeat == identifier)).mappings().one_or_none()
    if earlier:
        connection.execute(update(RUN).where(RUN.c.id == earlier["id"]).values(repeat=None))
        run = {**earlier, "id": identifier, "repeat": None, "state": RUNNING, "began_at": now(), "ended_at": None}
        connection.execute(insert(RUN).values(run))
    return bool(earlier)


def check_newest(connection: Connection, target: str, source: Source) -> None:
    """Check that no later revision of the export was imported into a target. Raises OlderRevision."""
    of = (RUN.c.target == target, RUN.c.issuer == source.issuer, RUN.c.export == source.export)
    newest = connection.scalar(select(func.max(RUN.c.revision)).where(*of))
    if newest is not None and newest > source.revision:
        raise OlderRevision(f"revision {newest} of export {source.export} is imported here; this is {source.revision}")


def check_none_undoing(connection: Connection, target: str) -> None:
    """Check that no import into a target is undone in part. Raises UndoUnfinished.

    A new import would find rows and values of it that are as in its archive; the rest of the undoing removes them.
    """
    undone = select(RUN.c.id).where(RUN.c.target == target, RUN.c.state == UNDOING).order_by(RUN.c.id).limit(1)
    if found := connection.scalar(undone):
        hint = f"`portability imports undo {found}` to its end, then import"
        raise UndoUnfinished(f"import {found} into this target is undone in part", hint=hint)


def newer(connection: Connection, target: str, source: Source) -> frozenset[str]:
    """Return the imports into a target whose archives are of a later time than this archive of the same issuer."""
    if source.read_at:
        later = select(RUN.c.id).where(RUN.c.target == target, RUN.c.issuer == source.issuer)
        return frozenset(connection.scalars(later.where(RUN.c.read_at > source.read_at)))
    return frozenset()


def subject_of(connection: Connection, target: str, issuer: str) -> str | None:
    """Return the issuer's pseudonym of the subject of the last import into a target."""
    query = select(RUN.c.subject).where(RUN.c.target == target, RUN.c.issuer == issuer)
    return connection.scalar(query.order_by(RUN.c.began_at.desc()).limit(1))


def state_of(connection: Connection, identifier: str) -> str | None:
    """Return the state of a run; None: there is no such run."""
    return connection.scalar(select(RUN.c.state).where(RUN.c.id == identifier)) if exist(connection) else None


def check_kept(connection: Connection, identifier: str) -> None:
    """Check that a run is not undone meanwhile, nor its target forgotten: what it adds would belong to no import.

    A run that another process has ended as a repeated import without a change goes on here.
    Nor ended by another process that imports the same archive, if the next archive was begun since then: this process
    would bring back the values before it.

    Raises: UnknownImport; BadInput if it has ended and is followed by another.
    """
    state = state_of(connection, identifier)
    if state == DONE and _is_followed(connection, identifier):
        hint = "nothing is lost; let one process at a time import an archive"
        raise BadInput(f"another process has ended import {identifier} meanwhile, and others follow it", hint=hint)
    if state in {None, UNDOING} and not _enter_again(connection, identifier):
        hint = "import the archive again if it is still wanted"
        raise UnknownImport(f"import {identifier} was undone, or its target forgotten, while it ran", hint=hint)


def _is_followed(connection: Connection, identifier: str) -> bool:
    """Return whether an import of the same issuer into the same target has begun since the end of a run."""
    later = RUN.alias()
    same = (later.c.target == RUN.c.target, later.c.issuer == RUN.c.issuer, later.c.began_at >= RUN.c.ended_at)
    query = select(RUN.c.id).join(later, and_(later.c.id != RUN.c.id, *same)).where(RUN.c.id == identifier)
    return connection.scalar(query.limit(1)) is not None


def begin_undo(connection: Connection, identifier: str) -> Mapping[str, int]:
    """Stop the import of a run, if it still runs, at its next batch; returns what was undone of it before a kill."""
    connection.execute(update(RUN).where(RUN.c.id == identifier).values(state=UNDOING, ended_at=None))
    return undone_counts(connection, identifier)


def undone_counts(connection: Connection, identifier: str) -> Mapping[str, int]:
    """Return what was undone of a run until now, by all processes that undo it.

    Raises UnknownImport if one has ended it.
    """
    found = connection.execute(select(RUN.c.undone).where(RUN.c.id == identifier)).one_or_none()
    if not found:
        message = f"another process has ended the undoing of import {identifier} meanwhile"
        raise UnknownImport(message, hint="nothing is left to undo; that process has the report")
    return dict(orjson.loads(found.undone or "{}"))


def tables_of(connection: Connection, identifier: str) -> frozenset[str]:
    """Return the names of the tables whose rows are in the journal of a run."""
    return frozenset(connection.scalars(select(CHANGE.c.name).where(CHANGE.c.run == identifier).distinct()))


def note_undone(connection: Connection, identifier: str, counts: Mapping[str, int]) -> None:
    """Note what is undone of a run, in the transaction of its batch."""
    connection.execute(update(RUN).where(RUN.c.id == identifier).values(undone=orjson.dumps(counts).decode()))


def end(connection: Connection, identifier: str) -> None:
    """Note that a run has imported everything."""
    change = update(RUN).where(RUN.c.id == identifier)
    connection.execute(change.values(state=DONE, ended_at=now()))


def drop_repeated(connection: Connection, identifier: str) -> str | None:
    """Delete a run that has changed nothing, if an import of the same archive has ended; returns that import.

    The archive was imported before, by a command that was ended before it could say so, for example. That import keeps
    the id of the deleted run: another process may still be at it. Its journal is kept for the time of both, and
    it leads to the files that a killed batch of the deleted run has left.
    """
    for table in (CHANGE, ID, FEED):
        if connection.scalar(select(table.c.run).where(table.c.run == identifier).limit(1)):
            return None
    run, earlier = RUN.alias(), RUN
    same = [earlier.c[name] == run.c[name] for name in ("target", "issuer", "export", "revision")]
    ended = select(earlier.c.id).join(run, and_(run.c.id == identifier, earlier.c.id != identifier, *same))
    found = connection.scalar(ended.where(earlier.c.state == DONE).order_by(earlier.c.began_at.desc()).limit(1))
    if found:
        until = connection.scalar(select(RUN.c.keep_until).where(RUN.c.id == identifier))
        connection.execute(update(RUN).where(RUN.c.id == found, RUN.c.keep_until < until).values(keep_until=until))
        pending_files.move(connection, identifier, found)
        connection.execute(delete(RUN).where(RUN.c.id == identifier))
        connection.execute(update(RUN).where(RUN.c.id == found).values(repeat=identifier))
    return found


def sweep(connection: Connection) -> None:
    """Delete journals whose time is over; their imports can no longer be undone.

    The clock of the database decides: that of a machine may be days ahead, and no journal comes back. The keys of files
    that a killed batch has left stay: the next import with their storage deletes the files.
    """
    is_over = RUN.c.keep_until <= now()
    connection.execute(delete(CHANGE).where(CHANGE.c.run.in_(select(RUN.c.id).where(is_over))))
    connection.execute(update(RUN).where(is_over).values(state=EXPIRED))


def listed(connection: Connection) -> Sequence[Row[Any]]:
    """Return all runs, the newest first, after deleting journals whose time is over."""
    if not exist(connection):
        return []
    sweep(connection)
    later = (RUN.c.read_at, RUN.c.undone, RUN.c.repeat)  # an earlier release has made no such columns
    columns = [column for column in RUN.c if column not in {*later}]
    return connection.execute(select(*columns).order_by(RUN.c.began_at.desc(), RUN.c.id)).all()


def forget(connection: Connection, target: str, person: str | None) -> int:
    """Delete all that is remembered of a target, and entries about this person in journals of companies.

    `person` is as in `CHANGE.person`. Returns the number of deleted entries. Raises BadInput while a killed batch of
    the target has left files.
    """
    if not exist(connection):
        return 0
    pending_files.check_none(connection, RUN.c.target == target)
    about = CHANGE.c.target == target
    if person is not None:
        parts = select(CHANGE.c.name + "/" + CHANGE.c.local_id).where(CHANGE.c.person == person)
        about = about | (CHANGE.c.person == person) | CHANGE.c.parent.in_(parts)
    count = connection.execute(delete(CHANGE).where(about)).rowcount
    for table in (KEY, ID, RUN, FEED):
        connection.execute(delete(table).where(table.c.target == target))
    return count

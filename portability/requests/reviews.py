"""Reviews: records of which it is unclear whether they are the subject's, and the decisions of officers on them.

A review is noted when an export is closed. A decision applies to all exports of the subject that begin later, and to a
retry of gaps: the identity that names the record becomes verified, or it is left out. Decisions are numbered for each
subject: an export stores the last number in force, so that a retry knows which decisions came after it was read.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, func, insert, literal, select, update

from portability.api import JSON, Identity
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import now
from portability.errors import NotAllowed, WrongState
from portability.people import subject_locks
from portability.people.resolution import Decided
from portability.requests import exports
from portability.requests.policy import Actor, ActorRole
from portability.trust import audit

TABLE, EXPORT = models.review, models.export
NOTED_MAX = 1000
"""Limit of a subject's open reviews: further records are noted when these are decided."""
SHOWN = ("id", "exporter", "dataset", "record", "at_tenant", "state", "reason", "decided_by")


class UnknownReview(BadInput):
    """A record that has no review, or the id of a review that does not exist."""

    code = "unknown_review"
    default_hint = "`portability reviews list ID` lists an export's reviews"


class ReviewState(StrEnum):
    """The state of a review."""

    OPEN = "open"
    THEIRS = "theirs"
    NOT_THEIRS = "not_theirs"


class ReviewReason(StrEnum):
    """Why an officer decided as they did: what showed it."""

    CONTENT = "content"
    """The officer looked at the record: its content shows whose it is."""
    SUBJECT = "subject"
    """The subject named details of the record, or said that it is another person's."""
    TENANT = "tenant"
    """The tenant knows whose it is."""
    RECORDS = "records"
    """Other records show who had the address at that time."""
    UNPROVEN = "unproven"
    """Nothing shows that it is the subject's: it may be another person's (GDPR Art. 15(4))."""


def note(connection: Connection, export: Mapping[Any, Any], found: Iterable[tuple[Identity, str]]) -> None:
    """Note the reviews of a locked export: the identity that names each record, and its dataset `exporter/dataset`."""
    if not (named_by := {(i.tenant, i.kind, i.value): name for i, name in found}):
        return
    known = {(row["at_tenant"], row["kind"], row["record"]): row["state"] for row in of(connection, export)}
    met = [row["id"] for row in of(connection, export) if _key(row) in named_by]
    connection.execute(update(TABLE).where(TABLE.c.id.in_(met)).values(seen_at=now()))
    room = NOTED_MAX - sum(state == ReviewState.OPEN for state in known.values())
    subject = {name: export[name] for name in ("subject_kind", "subject_id", "tenant")}
    rows = []
    for (tenant, kind, record), dataset in named_by.items():
        exporter, _, name = dataset.partition("/")
        named = {"kind": kind, "at_tenant": tenant, "exporter": exporter, "dataset": name, "record": record}
        if (tenant, kind, record) not in known:
            rows.append({**subject, **named, "id": f"rev_{secrets.token_hex(10)}"})
    if rows := rows[: max(room, 0)]:
        connection.execute(insert(TABLE).values(state=ReviewState.OPEN, found_at=now(), seen_at=now()), rows)


def of(connection: Connection, export: Mapping[Any, Any]) -> Sequence[RowMapping]:
    """Return the reviews of an export's subject, also those that are decided, by record and tenant."""
    order = (TABLE.c.exporter, TABLE.c.dataset, TABLE.c.record, TABLE.c.at_tenant, TABLE.c.id)
    return connection.execute(select(TABLE).where(_same_subject(export)).order_by(*order)).mappings().all()


def waiting(connection: Connection) -> Sequence[RowMapping]:
    """Return the subjects with open reviews, the longest waiting first: their newest export, the number, since when."""
    names = ("subject_kind", "subject_id", "tenant")
    same = (EXPORT.c[name].is_not_distinct_from(TABLE.c[name]) for name in names)
    newest = select(EXPORT.c.id).where(*same).order_by(EXPORT.c.created_at.desc(), EXPORT.c.id).limit(1)
    since = func.min(TABLE.c.found_at).label("found_at")
    shown = (newest.scalar_subquery().label("export_id"), func.count().label("records"), since)
    query = select(*shown).where(TABLE.c.state == literal(str(ReviewState.OPEN), literal_execute=True))
    grouped = query.group_by(*(TABLE.c[name] for name in names)).order_by(since)
    return connection.execute(grouped).mappings().all()


def find(
    connection: Connection, export: Mapping[Any, Any], dataset: str, record: str, at_tenant: str | None = None
) -> str:
    """Return the id of the review of a record in `exporter/dataset`. Raises UnknownReview, BadInput."""
    found = [
        row
        for row in of(connection, export)
        if (f"{row['exporter']}/{row['dataset']}", row["record"]) == (dataset, record)
        and at_tenant in {None, row["at_tenant"]}
    ]
    if not found:
        raise UnknownReview(f"export {export['id']} has no review of {dataset} {record!r}")
    if len(found) > 1:
        raise BadInput(f"{len(found)} tenants have {dataset} {record!r}", hint="add --tenant")
    return str(found[0]["id"])


def decide(
    connection: Connection, export_id: str, review_id: str, decision: ReviewState, *, reason: str, actor: Actor
) -> None:
    """Record whose a record is; `portability retry --gaps` then delivers it, or closes its gap.

    A decision that it is not the subject's can be corrected later; a decision that it is the subject's cannot, because
    the record may have been delivered.

    Raises: UnknownExport, UnknownReview; WrongState if it is decided already; NotAllowed; BadInput.
    """
    if decision is ReviewState.OPEN or reason not in set(ReviewReason):
        raise BadInput(f"invalid reason {reason!r} of a review", hint=f"known reasons: {', '.join(ReviewReason)}")
    if reason == ReviewReason.UNPROVEN and decision is ReviewState.THEIRS:
        raise BadInput("a record that is not proven to be the subject's is not delivered", hint="use --not-theirs")
    subject_locks.lock(connection, subject_locks.name_of_row(exports.get(connection, export_id)))
    export = exports.lock(connection, export_id)
    rows = {row["id"]: row for row in of(connection, export)} if export["erased_at"] is None else {}
    if review_id not in rows:
        raise UnknownReview(f"export {export_id} has no review with the id {review_id!r}")
    row = rows[review_id]
    if row["state"] in {ReviewState.THEIRS, decision}:
        hint = "recall the export if it has the record" if row["state"] == ReviewState.THEIRS else None
        raise WrongState(f"the review of {row['dataset']} {row['record']!r} is already decided", hint=hint)
    _check_decider(connection, export, actor)
    values = {"state": decision, "reason": reason, "decided_by": str(actor), "decided_at": now()}
    number = last(rows.values()) + 1
    connection.execute(update(TABLE).where(TABLE.c.id == review_id).values(**values, number=number))
    names: audit.Detail = {name: row[name] for name in ("exporter", "dataset", "record")}
    detail: audit.Detail = {"review": review_id, **names, "decision": decision, "reason": reason}
    audit.record(connection, "review.decided", actor=str(actor), export_id=export_id, detail=detail)


def last(rows: Iterable[Mapping[Any, Any]]) -> int:
    """Return the number of the last decision among reviews; 0: no decision."""
    return max((row["number"] or 0 for row in rows), default=0)


def until(rows: Iterable[Mapping[Any, Any]], number: int) -> Decided:
    """Return the decisions of reviews up to a number, for the resolution of a subject."""
    decided = (row for row in rows if row["number"] is not None and row["number"] <= number)
    return {(row["at_tenant"], row["kind"], row["record"]): row["state"] == ReviewState.THEIRS for row in decided}


def is_lost(
    rows: Iterable[Mapping[Any, Any]],
    export: Mapping[Any, Any],
    base: int,
    raw: Iterable[Identity],
    led: Iterable[Identity],
) -> bool:
    """Return whether the source no longer shows a record as unclear that an export met, so that a retry may miss it.

    `raw` are the subject's identities without decisions, `led` those to which the records lead that are the subject's.
    `base` is the number of the last decision with which the export was read.
    """
    certain = {(i.tenant, i.kind, i.value) for i in raw if i.verified}
    later: dict[tuple[str | None, str, str], bool] = {}
    for i in led:
        later[i.tenant, i.kind, i.value] = later.get((i.tenant, i.kind, i.value), False) or i.verified
    for row in rows:
        if row["seen_at"] < export["began_at"] or (row["number"] is not None and row["number"] <= base):
            continue
        is_theirs = row["state"] == ReviewState.THEIRS
        if _key(row) in certain or _key(row) not in later or (later[_key(row)] and not is_theirs):
            return True
    return False


def examined(connection: Connection, export: Mapping[Any, Any]) -> list[dict[str, JSON]]:
    """Count the decided reviews that are in force in an export, by dataset, decision and reason, for its archive."""
    rows = (row for row in of(connection, export) if row["number"] is not None) if export["reviewed"] else ()
    names = ("exporter", "dataset", "state", "reason")
    counted = Counter(tuple(row[name] for name in names) for row in rows if row["number"] <= export["reviewed"])
    return [
        {"exporter": exporter, "dataset": dataset, "decision": decision, "reason": reason, "records": count}
        for (exporter, dataset, decision, reason), count in sorted(counted.items())
    ]


def view(row: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return a review as JSON."""
    shown: dict[str, JSON] = {name: row[name] for name in SHOWN}
    return {**shown, "found_at": rfc3339(row["found_at"]), "decided_at": rfc3339(row["decided_at"])}


def _check_decider(connection: Connection, export: Mapping[Any, Any], actor: Actor) -> None:
    """Check that an officer or operator decides who has not requested an export of the subject (four eyes)."""
    if actor.role not in {ActorRole.OFFICER, ActorRole.OPERATOR}:
        raise NotAllowed("only a person can decide on a review", hint="log in as a privacy officer")
    asked = select(EXPORT.c.requested_by, EXPORT.c.requested_identity).where(subject_locks.of_row(EXPORT, export))
    if any(actor.did(*requested) for requested in connection.execute(asked)):
        raise NotAllowed("you cannot decide on the data of a person that you requested", hint="ask a colleague")


def _key(row: Mapping[Any, Any]) -> tuple[str | None, str, str]:
    return row["at_tenant"], row["kind"], row["record"]


def _same_subject(export: Mapping[Any, Any]) -> ColumnElement[bool]:
    return subject_locks.of_row(TABLE, export)

"""Saved lists: which requests, in which order and whose, under a name; a person's own, and those of the team."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from portability.api.errors import BadInput
from portability.database import models, named_locks
from portability.database.engine import now
from portability.errors import NotAllowed
from portability.requests.desk_queue import DeskList
from portability.requests.policy import Actor, ActorRole
from portability.trust import audit

TABLE = models.desk_view
NAME_MAX = 60
VIEWS_MAX = 20
"""Lists of a person, and of the team."""
TEAM = ""
"""The owner of the team's lists."""


class UnknownView(BadInput):
    """The id of a saved list that does not exist, or that belongs to another person."""

    code = "unknown_view"
    default_hint = "reload the page of requests"


def save(connection: Connection, name: str, wanted: DeskList, *, actor: Actor, for_team: bool = False) -> str:
    """Store a list under a name, in place of the owner's list of the same name, and return its id.

    `wanted.assignee` is empty for a list of the person who looks.

    Raises: BadInput for the name, or if there are VIEWS_MAX lists; NotAllowed for a list of the team by a person who is
    not an officer.
    """
    name = " ".join(name.split())
    if not re.fullmatch(rf"[^\x00-\x1f\x7f]{{1,{NAME_MAX}}}", name):
        raise BadInput(f"the name of a list has 1 to {NAME_MAX} characters")
    if for_team:
        _check_officer(actor)
    owner = TEAM if for_team else actor.identity
    values = {"state": wanted.view, "sort": wanted.sort, "assignee": wanted.assignee}
    values |= {"saved_by": str(actor)}
    # Of two lists that are saved at the same moment the second sees the first one's row.
    named_locks.lock(connection, f"lists of {owner}")
    same = (TABLE.c.owner == owner, TABLE.c.name == name)
    known = connection.scalar(select(TABLE.c.id).where(*same))
    if known is not None:
        connection.execute(update(TABLE).where(TABLE.c.id == known).values(**values, saved_at=now()))
        _record(connection, "view.saved", actor, known, owner)
        return str(known)
    if (connection.scalar(select(func.count()).where(TABLE.c.owner == owner)) or 0) >= VIEWS_MAX:
        raise BadInput(f"there are {VIEWS_MAX} saved lists already", hint="delete one of them")
    identifier = f"vew_{secrets.token_hex(10)}"
    connection.execute(insert(TABLE).values(id=identifier, owner=owner, name=name, **values, saved_at=now()))
    _record(connection, "view.saved", actor, identifier, owner)
    return identifier


def of(connection: Connection, identity: str, *, with_team: bool) -> Sequence[RowMapping]:
    """Return the lists of a person by name, before them those of the team if the person belongs to it."""
    owners = [identity, *([TEAM] if with_team else [])]
    query = select(TABLE).where(TABLE.c.owner.in_(owners)).order_by(TABLE.c.owner, TABLE.c.name)
    return connection.execute(query).mappings().all()


def delete_view(connection: Connection, view_id: str, *, actor: Actor) -> None:
    """Delete a list: one's own, or, by an officer, one of the team. Raises UnknownView, NotAllowed."""
    row = connection.execute(select(TABLE).where(TABLE.c.id == view_id)).mappings().one_or_none()
    if row is None or row["owner"] not in {TEAM, actor.identity}:
        raise UnknownView(f"no saved list has the id {view_id!r}")
    if row["owner"] == TEAM:
        _check_officer(actor)
    if not connection.execute(delete(TABLE).where(TABLE.c.id == view_id)).rowcount:
        raise UnknownView(f"the saved list {view_id!r} was deleted meanwhile")
    _record(connection, "view.deleted", actor, view_id, row["owner"])


def _check_officer(actor: Actor) -> None:
    if actor.role != ActorRole.OFFICER:
        raise NotAllowed("only an officer saves and deletes lists of the team")


def _record(connection: Connection, action: str, actor: Actor, view_id: str, owner: str) -> None:
    detail: audit.Detail = {"view": view_id, "team": owner == TEAM}
    audit.record(connection, action, actor=str(actor), detail=detail)

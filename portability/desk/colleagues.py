"""Who works on requests: staff and officers who have logged in lately, for lists of colleagues to assign to.

The login provider knows the accounts, and does not list them for other programs. So each login of such a role is noted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, select

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now
from portability.database.rows import insert_row, inserting
from portability.requests.policy import ActorRole

TABLE = models.colleague
KEPT_SECONDS = 90 * 86_400
"""How long a person is listed after the last login."""
LISTED_MAX = 500
ROLES = (ActorRole.OFFICER, ActorRole.STAFF)


class UnknownColleague(BadInput):
    """The id of a person who has not logged in lately as staff or officer."""

    code = "unknown_colleague"
    default_hint = "the person logs in once: then the list has them"


def note_login(connection: Connection, identifier: str, roles: Collection[str]) -> None:
    """Note that an account has logged in with these roles; without a role of ROLES it is listed no longer."""
    role = next((str(role) for role in ROLES if role in roles), None)
    if role is None:
        connection.execute(delete(TABLE).where(TABLE.c.id == identifier))
        return
    values = {"role": role, "logged_in_at": now()}
    added = inserting(connection, TABLE).on_conflict_do_update(index_elements=[TABLE.c.id], set_=values)
    insert_row(connection, added, {"id": identifier, **values})


def listed(connection: Connection) -> Sequence[RowMapping]:
    """Return the people who have logged in lately, by id; of more than LISTED_MAX those who logged in last."""
    query = select(TABLE).where(TABLE.c.logged_in_at >= now(-KEPT_SECONDS)).order_by(TABLE.c.logged_in_at.desc())
    return sorted(connection.execute(query.limit(LISTED_MAX)).mappings(), key=lambda row: str(row["id"]))


def check(connection: Connection, identifier: str) -> None:
    """Check that requests can be assigned to a person. Raises UnknownColleague."""
    known = select(TABLE.c.id).where(TABLE.c.id == identifier, TABLE.c.logged_in_at >= now(-KEPT_SECONDS))
    if connection.scalar(known) is None:
        raise UnknownColleague("the colleague is not known here")


def has_outdated(connection: Connection) -> bool:
    """Return whether a person has not logged in for so long that the row has to be deleted."""
    return connection.scalar(select(TABLE.c.id).where(_outdated()).limit(1)) is not None


def purge(connection: Connection) -> None:
    """Delete the rows of people who have not logged in for KEPT_SECONDS."""
    connection.execute(delete(TABLE).where(_outdated()))


def _outdated() -> ColumnElement[bool]:
    return TABLE.c.logged_in_at < now(-KEPT_SECONDS)

"""What a login may see of an export: all of its own, only the state of others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection, RowMapping

from portability.api import JSON
from portability.api.times import rfc3339
from portability.delivery import links
from portability.errors import UnknownExport
from portability.requests import exports, policy
from portability.requests.policy import Action, Actor, Facts
from portability.transfers import authorisations
from portability.transfers.authorisations import UnknownAuthorisation
from web.auth import permit
from web.context import AppContext
from web.logins import Login

ID = re.compile(r"[a-z2-7]{24}")


def found(
    place: AppContext, login: Login, connection: Connection, export_id: str, action: Action, *, thing: str = ""
) -> tuple[RowMapping, Actor]:
    """Return an export and the actor that acts on it. `thing` is what a second login counts for; empty: the export.

    Raises: UnknownExport where it does not exist or the login has no access to it.
    """
    if not ID.fullmatch(export_id):
        raise UnknownExport(f"no export has the id {export_id!r}")
    row = exports.get(connection, export_id)
    return row, permit(place, login, action, facts_of(connection, row), export_id=export_id, thing=thing)


def own_authorisation(
    place: AppContext,
    login: Login,
    connection: Connection,
    authorisation_id: str,
    action: Action = Action.AUTHORISE,
) -> Actor:
    """Return the actor that does something with an authorisation.

    Raises: UnknownAuthorisation where it does not exist or the login has no access to it.
    """
    row = authorisations.get(connection, authorisation_id)
    try:
        facts = Facts(row["subject_kind"], row["subject_id"], row["tenant"], row["created_by"])
        return permit(place, login, action, replace(facts, requested_identity=row["created_identity"]))
    except UnknownExport:
        raise UnknownAuthorisation(f"no authorisation has the id {authorisation_id!r}") from None


def facts_of(connection: Connection, row: RowMapping) -> Facts:
    """Return the facts that the policy needs about an export."""
    return Facts.of(row, to_admin=links.to_admin(connection, row))


def shown(connection: Connection, actor: Actor, row: RowMapping) -> Mapping[str, JSON]:
    """Return the export as the actor may see it: only its subject sees its contents and its links."""
    seen = exports.view(connection, row["id"])
    if policy.allowed(actor, Action.SEE_OWN, facts_of(connection, row)):
        return {**seen, "links": [_link(each) for each in links.of(connection, row["id"])]}
    progress = seen["progress"]
    state = {name: value for name, value in seen.items() if name not in {"datasets", "volumes", "attestations"}}
    return {**state, "progress": {name: progress[name] for name in ("datasets", "datasets_expected")}}  # type: ignore[index,call-overload]  # it is a mapping


def _link(row: RowMapping) -> dict[str, JSON]:
    times: dict[str, JSON] = {n: rfc3339(row[n]) for n in ("created_at", "expires_at", "revoked_at")}
    return {"id": row["id"], "audience": row["audience"], **times}

"""What somebody may see of an export: all of their own, the state alone of another's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import Connection, RowMapping

from portability import exports, links, policy
from portability.api import JSON
from portability.errors import UnknownExport
from portability.policy import Action, Actor, Facts
from web.auth import Login, permit
from web.place import Place

ID = re.compile(r"[a-z2-7]{24}")


def found(
    place: Place, login: Login, connection: Connection, export_id: str, action: Action
) -> tuple[RowMapping, Actor]:
    """The export, and as whom they act on it. Raises UnknownExport for what is not there and what is not theirs."""
    if not ID.fullmatch(export_id):
        raise UnknownExport(f"no export has the id {export_id!r}")
    row = exports.get(connection, export_id)
    return row, permit(place, login, action, facts_of(connection, row), export_id=export_id)


def facts_of(connection: Connection, row: RowMapping) -> Facts:
    """What the policy has to know of an export."""
    return Facts.of(row, to_admin=links.to_admin(connection, row))


def shown(connection: Connection, actor: Actor, row: RowMapping) -> Mapping[str, JSON]:
    """The export as this actor may see it: what is in it, and its links, are for those whose data it is."""
    seen = exports.view(connection, row["id"])
    if policy.allowed(actor, Action.SEE_OWN, facts_of(connection, row)):
        return {**seen, "links": [_link(each) for each in links.of(connection, row["id"])]}
    progress = seen["progress"]
    told = {name: value for name, value in seen.items() if name not in {"datasets", "volumes", "attestations"}}
    return {**told, "progress": {name: progress[name] for name in ("datasets", "datasets_expected")}}  # type: ignore[index,call-overload]  # it is a mapping


def _link(row: RowMapping) -> dict[str, JSON]:
    times: dict[str, JSON] = {n: exports.rfc3339(row[n]) for n in ("created_at", "expires_at", "revoked_at")}
    return {"id": row["id"], "audience": row["audience"], **times}

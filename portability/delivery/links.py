"""Links: signed, expiring, revocable permission to download one export (docs/links.md, requirement R42).

The token is a JWS; only the SHA-256 of the whole token string is stored. A token must be recorded and signed by us, so
neither read access to the database nor a key is enough to make one. Resolving a link consumes nothing. A download that
begins is a claim; their number is limited, and each may be resumed for as long as it is valid.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, func, insert, select

from portability.api import ADDRESS_KINDS, JSON, SubjectKind
from portability.api.errors import BadInput
from portability.database import deployment, history, models
from portability.database.engine import now
from portability.delivery import link_tokens
from portability.delivery.downloads import claim_name
from portability.errors import LinkInvalid, UnknownLink, WrongState
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.requests import earlier_revisions, exports, instructions, retries
from portability.requests.policy import Actor, ActorRole
from portability.requests.states import READABLE, VolumeState
from portability.requests.transition import end_links
from portability.trust import audit, keys
from portability.trust.signing import LINK_TYPE, sign

LINK, CLAIM, COPY = models.link, models.link_claim, models.transfer_copy
EXPORT, VOLUME = models.export, models.volume
TTL_MAX_SECONDS = 30 * 86_400
SHORTEST_LIFETIME = timedelta(minutes=1)
"""Of a link to an archive whose time is over, and that is not deleted yet."""
SUBJECT = ("subject_kind", "subject_id", "subject_ref", "tenant", "profile")
"""What a resolved link tells about its export, beside `export_state`, and the `revision` that it leads to."""


class Audience(StrEnum):
    """Who may use a link, beside having its token."""

    LOGIN = "login"
    """The user whose data it is, logged in."""
    CODE = "code"
    """A contact, a closed account or an address: the person who reads the one-time code at the verified address."""
    TENANT_ADMIN = "tenant_admin"
    """An administrator of the tenant, logged in."""
    RECIPIENT = "recipient"
    """Another provider with the token: it gives access only to copies that the recipient alone can decrypt."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link just made: its token is known only at this moment."""

    id: str
    export_id: str
    audience: Audience
    expires_at: datetime
    token: str = field(repr=False)

    def url(self, base_url: str) -> str:
        return f"{base_url.rstrip('/')}/d/{self.token}"


def issue(
    connection: Connection,
    keys_folder: Path,
    export_id: str,
    *,
    ttl_seconds: float,
    actor: str,
    until: datetime | None = None,
    audience: str | None = None,
    transfer_id: str | None = None,
    is_reported: bool = True,
) -> Link:
    """Make a link to an archive, or to the reasons of a refusal; with a transfer, to its copies only.

    `until` is when the archive is deleted at the earliest: the link ends then, but lasts for a minute at least.
    The default audience is the one for this subject, `default_audience`. The person gets a message unless
    `is_reported` is false: then another message does it.

    Raises: UnknownExport; WrongState if there is nothing to read; ErasureRunning; BadInput for an audience that does
    not fit the subject or an invalid lifetime; NoSigningKey.
    """
    if not 0 < ttl_seconds <= TTL_MAX_SECONDS:
        raise BadInput("invalid lifetime of a link: it must be more than 0 seconds and at most 30 days")
    key = keys.signing(connection, keys_folder, purpose="link")
    row = exports.lock_unerased(connection, export_id)
    if not (row["state"] in READABLE or earlier_revisions.archive(connection, row)):
        raise WrongState(f"export {export_id} is {row['state']}, not ready")
    if transfer_id is not None:
        chosen = Audience.RECIPIENT
    else:
        chosen = default_audience(connection, row) if audience is None else _audience(connection, row, audience)
    # By the clock that ends the link: a machine that is behind would make links that have ended.
    issued_at = deployment.clock_of(connection)
    lifetime = _lifetime(issued_at, ttl_seconds, until)
    expires_at = issued_at + lifetime
    claims: dict[str, JSON] = {
        "jti": secrets.token_urlsafe(24),
        "iat": int(issued_at.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    issued = Link(f"lnk_{secrets.token_hex(10)}", export_id, chosen, expires_at, sign(claims, key, typ=LINK_TYPE))
    values = {"id": issued.id, "export_id": export_id, "audience": chosen, "expires_at": expires_at}
    kept = {"token_sha256": _sha256(issued.token), "transfer_id": transfer_id, "created_by": actor, "created_at": now()}
    connection.execute(insert(LINK).values(**values, **kept))
    if is_reported:
        outbox.queue(connection, MessageKind.LINK_MADE, export_id, occasion=issued.id)
    detail: audit.Detail = {"link": issued.id, "audience": chosen, "ttl_seconds": int(lifetime.total_seconds())}
    audit.record(connection, "link.issued", actor=actor, export_id=export_id, detail=detail)
    return issued


def _lifetime(issued_at: datetime, ttl_seconds: float, until: datetime | None) -> timedelta:
    wanted = timedelta(seconds=ttl_seconds)
    return min(wanted, max(until - issued_at, SHORTEST_LIFETIME)) if until else wanted


def default_audience(connection: Connection, export: Mapping[Any, Any]) -> Audience:
    """Return the audience of a link by default, from the kind of subject or the tenant's instruction."""
    match export["subject_kind"]:
        case SubjectKind.USER:
            return Audience.LOGIN
        case SubjectKind.TENANT:
            return Audience.TENANT_ADMIN
        case _:
            return Audience.TENANT_ADMIN if to_admin(connection, export) else Audience.CODE


def to_admin(connection: Connection, export: Mapping[Any, Any]) -> bool:
    """Return whether the tenant's instruction sends this contact's archive to its administrator."""
    if export["subject_kind"] != SubjectKind.CONTACT:
        return False
    return any(
        row["delivery"] == instructions.Delivery.TENANT_ADMIN and row["contact_id"] in {None, export["subject_id"]}
        for row in instructions.standing(connection, export["tenant"])
    )


def admits(row: Mapping[Any, Any], actor: Actor) -> bool:
    """Return whether a logged-in actor is the one that a resolved link is for. Codes admit separately."""
    if row["audience"] == Audience.LOGIN:
        subject = (actor.kind, actor.id, None)
        return actor.role == ActorRole.SUBJECT and subject == (row["subject_kind"], row["subject_id"], row["tenant"])
    if row["audience"] == Audience.TENANT_ADMIN:
        return actor.role == ActorRole.TENANT_ADMIN and actor.tenant is not None and actor.tenant == row["tenant"]
    return False


def resolve(connection: Connection, keys_folder: Path, token: str) -> RowMapping:
    """Return the link of a token, with its export's subject. Every invalid token costs the same work and answer.

    Raises: LinkInvalid; NoSigningKey if the link lives, and its key is not here; DatabaseBehind: a commit may be lost.
    """
    history.check(connection)
    digest = _sha256(token)
    row = connection.execute(_living().where(LINK.c.token_sha256 == digest)).mappings().one_or_none()
    claims = link_tokens.read(token, keys.own(connection, keys_folder, purpose="link"))
    if row is None or claims is None or not hmac.compare_digest(row["token_sha256"], digest):
        if row and _lives(row) and not _is_withdrawn(connection, row):
            keys.check_unrevoked(connection, keys_folder, link_tokens.kid_of(token), purpose="link")
        raise LinkInvalid
    if not _lives(row) or claims["exp"] <= row["present"].timestamp() or _is_withdrawn(connection, row):
        raise LinkInvalid
    return row


def _is_withdrawn(connection: Connection, row: Mapping[Any, Any]) -> bool:
    """Return whether an administrator's link is for a contact's archive that no instruction sends there any more."""
    is_contacts = row["audience"] == Audience.TENANT_ADMIN and row["subject_kind"] == SubjectKind.CONTACT
    return is_contacts and not to_admin(connection, row)


def claim(
    connection: Connection,
    row: Mapping[Any, Any],
    volume: int,
    *,
    actor: str,
    claims_max: int,
    claim_seconds: float,
    token: str | None = None,
) -> str:
    """Begin a download of one volume and return the claim's token, which is valid until it expires; default: random.

    Raises: LinkInvalid if the link has ended meanwhile, has no such volume, or its downloads are used up.
    """
    connection.execute(select(LINK.c.id).where(LINK.c.id == row["id"]).with_for_update())
    fresh = connection.execute(_living().where(LINK.c.id == row["id"])).mappings().one_or_none()
    if token and fresh and _lives(fresh) and _claim_of(connection, row, volume, token):
        return token  # another request with this token has made the claim meanwhile
    of_volume = (CLAIM.c.link_id == row["id"], CLAIM.c.volume == volume, retries.is_of_this_archive())
    used = select(func.count()).select_from(CLAIM).where(*of_volume)
    if fresh is None or not _lives(fresh) or _volume(connection, row, volume) is None:
        raise LinkInvalid
    if connection.execute(used).scalar_one() >= claims_max:
        raise LinkInvalid
    token = token or secrets.token_urlsafe(32)
    values = {"link_id": row["id"], "volume": volume, "claim_sha256": _sha256(token), "created_at": now()}
    connection.execute(insert(CLAIM).values(**values, expires_at=now(claim_seconds)))
    detail = {"link": row["id"], "claim": claim_name(_sha256(token)), "volume": volume}
    audit.record(connection, "link.claimed", actor=actor, export_id=row["export_id"], detail=detail)
    return token


def claimed(connection: Connection, row: Mapping[Any, Any], volume: int, claim: str) -> RowMapping:
    """Return the volume that a claim of this link opens. Raises LinkInvalid."""
    known = _claim_of(connection, row, volume, claim)
    found = _volume(connection, row, volume)
    if known and found and hmac.compare_digest(known, _sha256(claim)):
        return found
    raise LinkInvalid


def _claim_of(connection: Connection, row: Mapping[Any, Any], volume: int, claim: str) -> str | None:
    """Return the digest of a valid claim, as it is stored; None: the link has no such claim."""
    matching = (CLAIM.c.link_id == row["id"], CLAIM.c.volume == volume, CLAIM.c.expires_at > now())
    same = CLAIM.c.claim_sha256 == _sha256(claim)
    return connection.scalar(select(CLAIM.c.claim_sha256).where(same, *matching))


def volumes(connection: Connection, row: Mapping[Any, Any]) -> Sequence[RowMapping]:
    """Return what a link gives access to, in order: the volumes, or for a recipient their encrypted copies."""
    table, query = _opened(row)
    return connection.execute(query.order_by(table.c.number)).mappings().all()


def of_transfer(connection: Connection, transfer_id: str) -> RowMapping:
    """Return the living link of a transfer, as `resolve` does. Raises LinkInvalid."""
    row = connection.execute(_living().where(LINK.c.transfer_id == transfer_id)).mappings().one_or_none()
    if row and _lives(row):
        return row
    raise LinkInvalid


def get(connection: Connection, link_id: str) -> RowMapping:
    """Return the link's row, also of an ended link. Raises UnknownLink."""
    row = connection.execute(select(LINK).where(LINK.c.id == link_id)).mappings().one_or_none()
    if row is None:
        raise UnknownLink(f"no link has the id {link_id!r}")
    return row


def of(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """Return all links of an export, ended links too, oldest first."""
    query = select(LINK).where(LINK.c.export_id == export_id).order_by(LINK.c.created_at, LINK.c.id)
    return connection.execute(query).mappings().all()


def revoke(connection: Connection, link_id: str, *, actor: str) -> None:
    """End a link at once, together with its claims. Raises UnknownLink, also for a revoked link."""
    row = get(connection, link_id)
    if not end_links(connection, LINK.c.id == link_id, actor=actor):
        raise UnknownLink(f"link {link_id} is already revoked")
    audit.record(connection, "link.revoked", actor=actor, export_id=row["export_id"], detail={"link": link_id})


def revoke_all(connection: Connection, export_id: str, *, actor: str) -> int:
    """End every link of an export; returns how many were ended."""
    ended = end_links(connection, LINK.c.export_id == export_id, actor=actor)
    for link_id, _ in ended:
        audit.record(connection, "link.revoked", actor=actor, export_id=export_id, detail={"link": link_id})
    return len(ended)


def _audience(connection: Connection, export: Mapping[Any, Any], wanted: str) -> Audience:
    try:
        chosen = Audience(wanted)
    except ValueError:
        raise BadInput(f"invalid audience {wanted!r}", hint=f"valid audiences: {', '.join(Audience)}") from None
    kind = export["subject_kind"]
    fits = {
        Audience.LOGIN: kind == SubjectKind.USER,
        Audience.CODE: kind in {SubjectKind.USER, SubjectKind.CONTACT, *ADDRESS_KINDS},
        Audience.TENANT_ADMIN: kind == SubjectKind.TENANT or to_admin(connection, export),
        Audience.RECIPIENT: False,
    }
    if not fits[chosen]:
        hint = (
            "users log in, contacts and addresses get a code, administrators need an instruction; a transfer for others"
        )
        raise BadInput(f"audience {chosen} does not fit the archive of a {kind}", hint=hint)
    return chosen


def _living() -> Select[*tuple[Any, ...]]:
    columns: list[ColumnElement[Any]] = [
        *LINK.c,
        *(EXPORT.c[name] for name in SUBJECT),
        EXPORT.c.state.label("export_state"),
        earlier_revisions.archive_revision().label("revision"),
        now().label("present"),
    ]
    return select(*columns).join(EXPORT, EXPORT.c.id == LINK.c.export_id)


def _lives(row: Mapping[Any, Any]) -> bool:
    is_readable = row["export_state"] in READABLE or row["revision"]
    is_over = row["revoked_at"] or row["expires_at"] <= row["present"]
    return bool(is_readable and not is_over)


def _volume(connection: Connection, row: Mapping[Any, Any], number: int) -> RowMapping | None:
    table, query = _opened(row)
    return connection.execute(query.where(table.c.number == number)).mappings().first()


def _opened(row: Mapping[Any, Any]) -> tuple[Table, Select[*tuple[Any, ...]]]:
    """Return the table of what a link gives access to, and the query of its stored rows, with their file names."""
    table, ending = (COPY, ".zip.age") if row["transfer_id"] else (VOLUME, ".zip")
    query = select(table, (table.c.name + ending).label("file")).where(table.c.state == VolumeState.STORED)
    if table is COPY:
        return table, query.where(COPY.c.transfer_id == row["transfer_id"])
    revision = row["revision"] or 0  # a refusal has no archive
    return table, query.where(VOLUME.c.export_id == row["export_id"], VOLUME.c.revision <= revision)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()

"""Links: signed, expiring, revocable permission to download one export (docs/links.md, requirement R42).

The token is a JWS; kept is the SHA-256 of the whole token string alone. So a token must be known and be ours: neither
who reads the database nor who holds a key can make one alone. Looking at a link consumes nothing; a download that
begins is a claim, of which there are a bounded number, and it may be resumed for as long as the claim holds.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, insert, select, update

from portability import audit, exports, instructions, keys, models
from portability.api import JSON, SubjectKind
from portability.db import now
from portability.errors import BadInput, WrongState
from portability.policy import Actor, Role
from portability.refusals import LinkInvalid, UnknownLink
from portability.signing import ALGORITHMS, LINK_TYPE, Jwks, SignatureFault, check, sign
from portability.states import ExportState

LINK, CLAIM, EXPORT, VOLUME, COPY = (
    models.link,
    models.link_claim,
    models.export,
    models.volume,
    models.transfer_copy,
)
TTL_MAX_SECONDS = 30 * 86_400
TOKEN_MAX = 2048
LINKED = (ExportState.READY, ExportState.DENIED)
"""States with something to be read behind a link: an archive, or the reasons of a refusal (GDPR Art. 12(4))."""
SUBJECT = ("subject_kind", "subject_id", "subject_ref", "tenant", "profile", "revision")
"""What a resolved link says of its export, beside `export_state`."""


class Audience(StrEnum):
    """Who may use a link, beside holding it."""

    LOGIN = "login"
    """The user whose data it is, logged in."""
    CODE = "code"
    """A contact or a closed account: whoever reads the one-time code at the verified address."""
    TENANT_ADMIN = "tenant_admin"
    """An administrator of the tenant, logged in."""
    RECIPIENT = "recipient"
    """Another provider: whoever holds it, for it reaches nothing but copies that only the recipient can open."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link just made: the only moment at which its token is known."""

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
    audience: str,
    ttl_seconds: float,
    actor: str,
    transfer_id: str | None = None,
) -> Link:
    """Make a link to a ready export, or to the reasons why there is none; with a transfer to its copies and no more.

    Raises: UnknownExport; WrongState where there is nothing to be read; BadInput for an audience that does not fit the
    subject or a time that is none; NoSigningKey.
    """
    if not 0 < ttl_seconds <= TTL_MAX_SECONDS:
        raise BadInput("a link holds for more than nothing and for 30 days at the most")
    key = keys.signing(connection, keys_folder, purpose="link")
    row = exports.lock(connection, export_id)
    if row["state"] not in LINKED:
        raise WrongState(f"export {export_id} is {row['state']}, not ready")
    chosen = Audience.RECIPIENT if transfer_id is not None else _audience(connection, row, audience)
    issued_at = datetime.now(UTC)
    expires_at = issued_at + timedelta(seconds=ttl_seconds)
    claims: dict[str, JSON] = {
        "jti": secrets.token_urlsafe(24),
        "iat": int(issued_at.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    made = Link(f"lnk_{secrets.token_hex(10)}", export_id, chosen, expires_at, sign(claims, key, typ=LINK_TYPE))
    values = {"id": made.id, "export_id": export_id, "audience": chosen, "expires_at": expires_at}
    kept = {"token_sha256": _sha256(made.token), "transfer_id": transfer_id, "created_by": actor, "created_at": now()}
    connection.execute(insert(LINK).values(**values, **kept))
    told: audit.Detail = {"link": made.id, "audience": chosen, "ttl_seconds": int(ttl_seconds)}
    audit.record(connection, "link.issued", actor=actor, export_id=export_id, detail=told)
    return made


def default_audience(connection: Connection, export: Mapping[Any, Any]) -> Audience:
    """Who a link is for unless somebody says otherwise: what the subject is, or what the tenant has ordered."""
    match export["subject_kind"]:
        case SubjectKind.USER:
            return Audience.LOGIN
        case SubjectKind.TENANT:
            return Audience.TENANT_ADMIN
        case _:
            return Audience.TENANT_ADMIN if to_admin(connection, export) else Audience.CODE


def to_admin(connection: Connection, export: Mapping[Any, Any]) -> bool:
    """Whether the tenant's instruction sends this contact's archive to its administrator."""
    if export["subject_kind"] != SubjectKind.CONTACT:
        return False
    return any(
        row["delivery"] == instructions.Delivery.TENANT_ADMIN and row["contact_id"] in {None, export["subject_id"]}
        for row in instructions.standing(connection, export["tenant"])
    )


def admits(row: Mapping[Any, Any], actor: Actor) -> bool:
    """Whether somebody who is logged in is the one that a resolved link is for. Codes admit by themselves."""
    if row["audience"] == Audience.LOGIN:
        subject = (actor.kind, actor.id, None)
        return actor.role == Role.SUBJECT and subject == (row["subject_kind"], row["subject_id"], row["tenant"])
    if row["audience"] == Audience.TENANT_ADMIN:
        return actor.role == Role.TENANT_ADMIN and actor.tenant is not None and actor.tenant == row["tenant"]
    return False


def resolve(connection: Connection, keys_folder: Path, token: str) -> RowMapping:
    """The link of a token, with its export's subject. Changes nothing.

    Whatever is wrong, the work and the answer are the same: hash, look up, check a signature.

    Raises: LinkInvalid.
    """
    digest = _sha256(token)
    row = connection.execute(_living().where(LINK.c.token_sha256 == digest)).mappings().one_or_none()
    claims = read(token, keys.own(connection, keys_folder, purpose="link"))
    if row is None or claims is None or not hmac.compare_digest(row["token_sha256"], digest):
        raise LinkInvalid
    if not _lives(row) or claims["exp"] <= row["present"].timestamp():
        raise LinkInvalid
    return row


def read(token: str, jwks: Jwks) -> Mapping[str, Any] | None:
    """The claims of a token that we have signed, None for any other; always at the price of one signature."""
    checked = False
    if len(token) <= TOKEN_MAX:
        try:
            claims = check(token, jwks, typ=LINK_TYPE)
        except SignatureFault as error:
            checked = error.checked
        else:
            return claims if {type(claims.get("exp")), type(claims.get("iat"))} == {int} else None
    if not checked:
        _check_decoy()
    return None


def claim(
    connection: Connection, row: Mapping[Any, Any], volume: int, *, actor: str, claims_max: int, claim_seconds: float
) -> str:
    """Begin a download of one volume and return the claim's token, which may be used until it runs out.

    Raises: LinkInvalid where the link has ended meanwhile, has no such volume, or was used up for it.
    """
    connection.execute(select(LINK.c.id).where(LINK.c.id == row["id"]).with_for_update())
    fresh = connection.execute(_living().where(LINK.c.id == row["id"])).mappings().one_or_none()
    used = select(func.count()).select_from(CLAIM).where(CLAIM.c.link_id == row["id"], CLAIM.c.volume == volume)
    if fresh is None or not _lives(fresh) or _volume(connection, row, volume) is None:
        raise LinkInvalid
    if connection.execute(used).scalar_one() >= claims_max:
        raise LinkInvalid
    token = secrets.token_urlsafe(32)
    values = {"link_id": row["id"], "volume": volume, "claim_sha256": _sha256(token), "created_at": now()}
    connection.execute(insert(CLAIM).values(**values, expires_at=now(claim_seconds)))
    detail = {"link": row["id"], "volume": volume}
    audit.record(connection, "link.claimed", actor=actor, export_id=row["export_id"], detail=detail)
    return token


def claimed(connection: Connection, row: Mapping[Any, Any], volume: int, claim: str) -> RowMapping:
    """The volume that a claim of this link opens. Raises LinkInvalid."""
    digest = _sha256(claim)
    mine = (CLAIM.c.link_id == row["id"], CLAIM.c.volume == volume, CLAIM.c.expires_at > now())
    known = connection.scalar(select(CLAIM.c.claim_sha256).where(CLAIM.c.claim_sha256 == digest, *mine))
    found = _volume(connection, row, volume)
    if known is None or found is None or not hmac.compare_digest(known, digest):
        raise LinkInvalid
    return found


def opened(
    connection: Connection,
    row: Mapping[Any, Any],
    volume: int,
    claim: str,
    *,
    actor: str,
    sent_bytes: int,
    complete: bool,
) -> None:
    """Audit what went out under a claim. `complete`: to the last byte, as far as the server can see."""
    mine = (CLAIM.c.link_id == row["id"], CLAIM.c.claim_sha256 == _sha256(claim))
    if complete:
        connection.execute(update(CLAIM).where(*mine).values(downloaded_at=now()))
    detail = {"link": row["id"], "volume": volume, "bytes": sent_bytes, "complete": complete}
    audit.record(connection, "link.downloaded", actor=actor, export_id=row["export_id"], detail=detail)


def volumes(connection: Connection, row: Mapping[Any, Any]) -> Sequence[RowMapping]:
    """What a link reaches, in order: the volumes, or of a recipient's link their encrypted copies; `file` is a name."""
    table = VOLUME if row["transfer_id"] is None else COPY
    query = select(table, (table.c.name + (".zip" if table is VOLUME else ".zip.age")).label("file"))
    mine = table.c.export_id == row["export_id"] if table is VOLUME else table.c.transfer_id == row["transfer_id"]
    return connection.execute(query.where(mine, table.c.state == "stored").order_by(table.c.number)).mappings().all()


def get(connection: Connection, link_id: str) -> RowMapping:
    """The link's row, ended ones too. Raises UnknownLink."""
    row = connection.execute(select(LINK).where(LINK.c.id == link_id)).mappings().one_or_none()
    if row is None:
        raise UnknownLink(f"no link has the id {link_id!r}")
    return row


def of(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """All links of an export, ended ones too, oldest first."""
    query = select(LINK).where(LINK.c.export_id == export_id).order_by(LINK.c.created_at, LINK.c.id)
    return connection.execute(query).mappings().all()


def revoke(connection: Connection, link_id: str, *, actor: str) -> None:
    """End a link at once; what it has claimed ends with it. Raises UnknownLink, also for one that is revoked."""
    row = get(connection, link_id)
    ended = update(LINK).where(LINK.c.id == link_id, LINK.c.revoked_at.is_(None))
    if connection.execute(ended.values(revoked_at=now(), revoked_by=actor)).rowcount == 0:
        raise UnknownLink(f"link {link_id} is revoked already")
    audit.record(connection, "link.revoked", actor=actor, export_id=row["export_id"], detail={"link": link_id})


def revoke_all(connection: Connection, export_id: str, *, actor: str) -> int:
    """End every link of an export; returns how many there were to end."""
    standing = [row["id"] for row in of(connection, export_id) if row["revoked_at"] is None]
    ended = update(LINK).where(LINK.c.id.in_(standing), LINK.c.revoked_at.is_(None))
    count = connection.execute(ended.values(revoked_at=now(), revoked_by=actor)).rowcount
    for link_id in standing:
        audit.record(connection, "link.revoked", actor=actor, export_id=export_id, detail={"link": link_id})
    return count


def _audience(connection: Connection, export: Mapping[Any, Any], wanted: str) -> Audience:
    try:
        chosen = Audience(wanted)
    except ValueError:
        raise BadInput("no such audience", hint=f"audiences are {', '.join(Audience)}") from None
    kind = export["subject_kind"]
    fits = {
        Audience.LOGIN: kind == SubjectKind.USER,
        Audience.CODE: kind in {SubjectKind.USER, SubjectKind.CONTACT},
        Audience.TENANT_ADMIN: kind == SubjectKind.TENANT or to_admin(connection, export),
        Audience.RECIPIENT: False,
    }
    if not fits[chosen]:
        hint = "users log in, contacts get a code, administrators need an instruction, recipients a transfer"
        raise BadInput(f"audience {chosen} is not for the archive of a {kind}", hint=hint)
    return chosen


def _living() -> Select[*tuple[Any, ...]]:
    told = [EXPORT.c[name] for name in SUBJECT]
    columns: list[ColumnElement[Any]] = [*LINK.c, *told, EXPORT.c.state.label("export_state"), now().label("present")]
    return select(*columns).join(EXPORT, EXPORT.c.id == LINK.c.export_id)


def _lives(row: Mapping[Any, Any]) -> bool:
    return row["export_state"] in LINKED and row["revoked_at"] is None and bool(row["expires_at"] > row["present"])


def _volume(connection: Connection, row: Mapping[Any, Any], number: int) -> RowMapping | None:
    return next((found for found in volumes(connection, row) if found["number"] == number), None)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _check_decoy() -> None:
    token, key = _decoy()
    with suppress(ValueError):
        jws.deserialize_compact(token, key, algorithms=ALGORITHMS)


@cache
def _decoy() -> tuple[str, ECKey]:
    """A token and its key for the work that a token which is not even readable would spare."""
    key = ECKey.generate_key("P-256", {"kid": "decoy", "use": "sig", "alg": "ES256"})
    return sign({"jti": secrets.token_urlsafe(24), "iat": 0, "exp": 0}, key, typ=LINK_TYPE), key

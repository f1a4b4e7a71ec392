"""Attestations: a signed statement that the volumes of an archive were deleted, when and why (R41; Data Act 25(2)(h)).

A deletion is noted in the transaction that deletes a volume's row. Once all of the archive is deleted, the notes that
no statement contains yet become one statement: a JWS with a key for archives and its own type, stored with the export.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, RowMapping, insert, select, update

from portability.api import JSON
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import now
from portability.people import subject_locks
from portability.requests import exports
from portability.requests.states import HAD_ARCHIVE
from portability.trust import audit, keys
from portability.trust.signing import ATTESTATION_TYPE, sign

TABLE, GONE, EXPORT, VOLUME, ERASURE = (
    models.attestation,
    models.deleted_volume,
    models.export,
    models.volume,
    models.erasure,
)
ERASED = "erased"


def note(connection: Connection, export: RowMapping, volume: RowMapping) -> None:
    """Note that a stored volume of a locked export is deleted. What was never an archive needs no statement."""
    erasing = select(ERASURE.c.id).where(subject_locks.of_row(ERASURE, export), ERASURE.c.state == "begun")
    is_erased = connection.scalar(erasing) is not None
    if not is_erased and export["state"] not in HAD_ARCHIVE:
        return
    facts = {name: volume[name] for name in ("export_id", "number", "bytes", "sha256")}
    why = ERASED if is_erased else export["state"]
    connection.execute(insert(GONE).values(**facts, why=why, deleted_at=now()))


def waiting(connection: Connection, limit: int = 100) -> Sequence[str]:
    """Return exports whose objects are all deleted and whose statement is not complete."""
    left = select(VOLUME.c.id).where(VOLUME.c.export_id == GONE.c.export_id).exists()
    query = select(GONE.c.export_id).where(GONE.c.attestation_id.is_(None), ~left).distinct()
    return connection.scalars(query.order_by(GONE.c.export_id).limit(limit)).all()


def attest(connection: Connection, keys_folder: Path, issuer: str, export_id: str) -> str | None:
    """Sign a statement of the deletions that no statement contains yet; None without any. Raises NoSigningKey."""
    key = keys.dated(connection, keys_folder)
    exports.lock(connection, export_id)
    matching = (GONE.c.export_id == export_id, GONE.c.attestation_id.is_(None))
    gone = connection.execute(select(GONE).where(*matching).order_by(GONE.c.number, GONE.c.id)).mappings().all()
    if not gone:
        return None
    identifier = f"att_{secrets.token_hex(10)}"
    claims: dict[str, JSON] = {
        "iss": issuer,
        "iat": key.iat,
        "jti": identifier,
        "export": export_id,
        "volumes": [_volume_claims(volume) for volume in gone],
        "bytes": sum(volume["bytes"] for volume in gone),
    }
    token = sign(claims, key.key, typ=ATTESTATION_TYPE)
    connection.execute(insert(TABLE).values(id=identifier, export_id=export_id, token=token, created_at=now()))
    connection.execute(update(GONE).where(*matching).values(attestation_id=identifier))
    detail: audit.Detail = {"attestation": identifier, "volumes": len(gone)}
    audit.record(connection, "deletion.attested", actor="clock", export_id=export_id, detail=detail)
    return identifier


def _volume_claims(volume: RowMapping) -> dict[str, JSON]:
    facts: dict[str, JSON] = {name: volume[name] for name in ("number", "bytes", "sha256", "why")}
    return {**facts, "deleted_at": rfc3339(volume["deleted_at"])}

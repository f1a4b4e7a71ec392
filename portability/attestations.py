"""Attestations: a signed statement that the volumes of an archive were deleted, when and why (R41; Data Act 25(2)(h)).

What was deleted is noted in the transaction that drops a volume's row. Once nothing of the archive is left, what is
noted and not told yet becomes one statement: a JWS by a key of archives, with a type of its own, kept with the export.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, RowMapping, insert, select, update

from portability import audit, exclusion, exports, keys, models
from portability.api import JSON
from portability.db import now
from portability.signing import ATTESTATION_TYPE, sign
from portability.states import ExportState

TABLE, GONE, EXPORT, VOLUME, ERASURE = (
    models.attestation,
    models.deleted_volume,
    models.export,
    models.volume,
    models.erasure,
)
ERASED = "erased"
TOLD = frozenset({ExportState.EXPIRED, ExportState.RECALLED})
"""Last states of what was once an archive."""


def note(connection: Connection, export: RowMapping, volume: RowMapping) -> None:
    """Keep that a stored volume of a locked export is deleted. What never was an archive needs no statement."""
    erasing = select(ERASURE.c.id).where(exclusion.of_row(ERASURE, export), ERASURE.c.state == "begun")
    is_erased = connection.scalar(erasing) is not None
    if not is_erased and export["state"] not in TOLD:
        return
    facts = {name: volume[name] for name in ("export_id", "number", "bytes", "sha256")}
    why = ERASED if is_erased else export["state"]
    connection.execute(insert(GONE).values(**facts, why=why, deleted_at=now()))


def waiting(connection: Connection, limit: int = 100) -> Sequence[str]:
    """Exports of which everything is deleted and not everything is told."""
    left = select(VOLUME.c.id).where(VOLUME.c.export_id == GONE.c.export_id).exists()
    query = select(GONE.c.export_id).where(GONE.c.attestation_id.is_(None), ~left).distinct()
    return connection.scalars(query.order_by(GONE.c.export_id).limit(limit)).all()


def attest(connection: Connection, keys_folder: Path, issuer: str, export_id: str) -> str | None:
    """Sign for what was deleted of an export and is not told yet; None where that is nothing. Raises NoSigningKey."""
    key = keys.signing(connection, keys_folder)
    exports.lock(connection, export_id)
    mine = (GONE.c.export_id == export_id, GONE.c.attestation_id.is_(None))
    gone = connection.execute(select(GONE).where(*mine).order_by(GONE.c.number, GONE.c.id)).mappings().all()
    if not gone:
        return None
    identifier = f"att_{secrets.token_hex(10)}"
    claims: dict[str, JSON] = {
        "iss": issuer,
        "iat": int(datetime.now(UTC).timestamp()),
        "jti": identifier,
        "export": export_id,
        "volumes": [_told(volume) for volume in gone],
        "bytes": sum(volume["bytes"] for volume in gone),
    }
    token = sign(claims, key, typ=ATTESTATION_TYPE)
    connection.execute(insert(TABLE).values(id=identifier, export_id=export_id, token=token, created_at=now()))
    connection.execute(update(GONE).where(*mine).values(attestation_id=identifier))
    detail: audit.Detail = {"attestation": identifier, "volumes": len(gone)}
    audit.record(connection, "deletion.attested", actor="clock", export_id=export_id, detail=detail)
    return identifier


def _told(volume: RowMapping) -> dict[str, JSON]:
    facts: dict[str, JSON] = {name: volume[name] for name in ("number", "bytes", "sha256", "why")}
    return {**facts, "deleted_at": exports.rfc3339(volume["deleted_at"])}

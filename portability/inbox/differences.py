"""Differences: what an import would change, by record and field, encrypted until an officer has decided.

Values are texts, cut to a length that a person reads. Each row is encrypted with a key that is derived from the link
key; the rows are deleted with the decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select

from portability.database import models
from portability.trust import keys, sealing
from portability.trust.sealing import cipher

TABLE = models.received_difference
PURPOSE = b"portability received difference 1"
KEPT = 100
"""Records of each dataset and kind of difference that are stored; all are counted in the report."""
VALUE_CHARACTERS = 300
FIELDS = 80
PAGE = 50


class DifferenceKind(StrEnum):
    """How a record differs."""

    NEW = "new"
    DIFFERS = "differs"
    DELETED_HERE = "deleted_here"
    """An earlier import made it, and it was deleted here."""
    QUARANTINED = "quarantined"
    """It has no place here, for a reason."""


@dataclass(slots=True)
class DifferenceCollector:
    """Collects the difference of an import while it is computed, within bounds."""

    kept: list[Mapping[str, Any]] = field(default_factory=list)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a record with `dataset`, `id`, `what` and `fields`, each with `base`, `ours`, `theirs` as they exist."""
        place = str(record["dataset"]), str(record["what"])
        self._counts[place] += 1
        if self._counts[place] > KEPT:
            return
        fields = list(record.get("fields", {}).items())[:FIELDS]
        shown = {name: {part: _text(value) for part, value in parts.items()} for name, parts in fields}
        texts = {name: record[name] for name in ("reason", "field") if name in record}
        self.kept.append({"dataset": place[0], "what": place[1], "id": _text(record["id"]), **texts, "fields": shown})


def store(connection: Connection, keys_folder: Path, received_id: str, kept: Sequence[Mapping[str, Any]]) -> None:
    """Replace the stored difference of a received transfer. Raises NoSigningKey."""
    connection.execute(delete(TABLE).where(TABLE.c.received_id == received_id))
    if not kept:
        return
    kid = keys.signing(connection, keys_folder, purpose="link").kid or ""
    seal = cipher(keys_folder, kid, PURPOSE)
    rows = [
        {
            "received_id": received_id,
            "number": number,
            "dataset": record["dataset"],
            "what": record["what"],
            "kid": kid,
            "sealed": seal.encrypt(orjson.dumps(record)).decode(),
        }
        for number, record in enumerate(kept, 1)
    ]
    connection.execute(insert(TABLE), rows)


def page(
    connection: Connection, keys_folder: Path, received_id: str, *, dataset: str | None = None, after: int = 0
) -> tuple[Sequence[Mapping[str, Any]], int | None]:
    """Return stored records after a number, with `number`, and the number to go on after; None: there are no more.

    Raises: NoSigningKey.
    """
    query = select(TABLE).where(TABLE.c.received_id == received_id, TABLE.c.number > after)
    if dataset:
        query = query.where(TABLE.c.dataset == dataset)
    rows = connection.execute(query.order_by(TABLE.c.number).limit(PAGE + 1)).mappings().all()
    shown = [
        {"number": row["number"], **orjson.loads(sealing.opened(keys_folder, row["kid"], PURPOSE, row["sealed"]))}
        for row in rows[:PAGE]
    ]
    return shown, rows[PAGE - 1]["number"] if len(rows) > PAGE else None


def datasets(connection: Connection, received_id: str) -> Mapping[str, int]:
    """Return the number of stored records by dataset."""
    query = select(TABLE.c.dataset, func.count().label("records")).where(TABLE.c.received_id == received_id)
    counted = connection.execute(query.group_by(TABLE.c.dataset).order_by(TABLE.c.dataset)).mappings()
    return {row["dataset"]: row["records"] for row in counted}


def _text(value: object) -> str | bool | None:
    """Return a value as a text of bounded length; `conflict` and `taken` stay as they are."""
    if value is None or isinstance(value, bool):
        return value
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}…"

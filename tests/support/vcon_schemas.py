"""What is wrong with a vCon: by our own schema, and by the working group's where `VCON_SCHEMA` names it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from judges.tables import FORMATS

OURS = Path(__file__).parents[1] / "data" / "vcon" / "vcon.schema.json"
PUBLISHED = os.environ.get("VCON_SCHEMA")


def _validator(path: Path) -> Validator:
    schema = json.loads(path.read_text())
    kind = validator_for(schema)
    kind.check_schema(schema)
    return kind(schema, format_checker=FORMATS)


VALIDATORS = [_validator(Path(path)) for path in (OURS, PUBLISHED) if path]


def faults(vcon: Any) -> list[str]:
    """Every fault by its place: breaches of the schemas, and indexes that point nowhere."""
    broken = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for validator in VALIDATORS
        for error in validator.iter_errors(vcon)
    ]
    return broken + [f"{what}: {index}" for what, index, end in _indexes(vcon) if index >= end]


def _indexes(vcon: Any) -> Iterator[tuple[str, int, int]]:
    """(what, index, how many there are) of every reference."""
    parties, dialog = len(vcon["parties"]), vcon.get("dialog", [])
    for one in dialog:
        yield from (("party of a dialog", index, parties) for index in _flat(one.get("parties", [])))
    for one in vcon.get("analysis", []):
        yield from (("dialog of an analysis", index, len(dialog)) for index in one.get("dialog", []))
        if one["type"] == "transcript":
            spoken = [segment["party"] for segment in one["body"]["segments"] if "party" in segment]
            yield from (("party of a segment", index, parties) for index in spoken)
    for one in vcon.get("attachments", []):
        yield "party of an attachment", one["party"], parties
        yield "dialog of an attachment", one["dialog"], len(dialog)


def _flat(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    else:
        for inner in value:
            yield from _flat(inner)

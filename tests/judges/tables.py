"""The tables of an unpacked bag, found through its own datapackage.json, for other people's readers."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from jsonschema import FormatChecker

from judges.programs import library

Row: TypeAlias = Mapping[str, str | None]
LONGEST_CELL = 1 << 24
FORMATS = FormatChecker(["date", "uuid"])
_RFC3339_UTC = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z")


@FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or _RFC3339_UTC.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Table:
    """One piece of a dataset in both formats, and what the bag says of it."""

    jsonl: Path
    csv: Path
    schema: Mapping[str, Any]
    """JSON Schema of one record."""
    records: int
    """As datapackage.json counts them."""

    def lines(self) -> list[dict[str, Any]]:
        """The records of the JSON Lines."""
        return [json.loads(line) for line in self.jsonl.read_text().split("\n") if line]


def tables(bag: Path) -> Iterator[Table]:
    """Every piece of every dataset in a bag."""
    package = json.loads((bag / "datapackage.json").read_text())
    for resource in package["resources"]:
        if resource.get("format") == "jsonl":
            schema = bag / "schemas" / resource["x-exporter"] / f"{resource['x-dataset']}.schema.json"
            path = bag / resource["path"]
            yield Table(path, path.with_suffix(".csv"), json.loads(schema.read_text()), resource["x-records"])


def by_python(path: Path) -> Sequence[Row]:
    """Rows of a CSV by the standard library, which cannot tell NULL from the empty text."""
    csv.field_size_limit(LONGEST_CELL)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def by_polars(path: Path) -> Sequence[Row]:
    """Rows of a CSV by polars, as text; NULL is None."""
    library("polars")
    rows: Sequence[Row] = import_module("polars").read_csv(path, infer_schema=False).to_dicts()
    return rows


def is_the_value(cell: str | None, value: object, field: Mapping[str, Any]) -> bool:
    """Whether a CSV cell holds what a JSON record holds; None and the empty cell are both NULL here."""
    if value is None:
        return not cell
    text = (cell or "").removeprefix("'")
    is_text = isinstance(value, str) and bool({"type", "anyOf"} & field.keys())
    return text == value if is_text else bool(json.loads(text) == value)

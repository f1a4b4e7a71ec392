"""Load the records of this export into an SQLite database: `python load.py my-data.sqlite`.

It needs Python 3.9 or later and nothing else. It reads the JSON Lines of all volumes of the export whose folders are
beside this folder, in their order. A corrected record replaces the earlier record. Each dataset becomes a table, such
as `calls_calls`, or "help_desk/tickets" if the exporter has `_` in its name: no two datasets have the same table.
Fields are its columns; beside `Name`, the field `name` is the column `name_2`, because SQLite ignores case. Texts,
decimals, times and JSON are TEXT, and integers of more than 64 bits too.

In a program, `records` gives the records of a dataset as dictionaries:

    from load import records
    frame = pandas.DataFrame(records("calls", "calls"), dtype=object)
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

Resource = dict[str, Any]
HERE = Path(__file__).resolve().parent
BATCH = 10_000


def volumes(folder: Path = HERE) -> Sequence[Path]:
    """Return the folders of the export's volumes beside `folder`, in their order; of several copies of one, the first.

    Folders may have any names: who unpacks a volume twice gets a folder with another name.
    """
    mine = _package(folder)
    found = {mine["name"]: folder}
    for path in sorted(path.parent for path in folder.parent.glob("*/datapackage.json")):
        package = _package(path)
        if package["id"] == mine["id"]:
            found.setdefault(package["name"], path)
    return [found[name] for name in sorted(found, key=_number)]


def missing(folder: Path = HERE) -> Sequence[str]:
    """Return the names of the volumes that the export lists and that are not beside `folder`."""
    there = volumes(folder)
    lists = [json.loads((path / "export.json").read_text("utf-8")) for path in there if (path / "export.json").exists()]
    if not lists:
        return ["the closing volume"]
    newest = max(lists, key=lambda document: document["revision"])
    names = {_package(path)["name"] for path in there}
    return [volume["name"] for volume in newest["volumes"] if volume["name"] not in names]


def tables(folder: Path = HERE) -> dict[tuple[str, str], list[tuple[Path, Resource]]]:
    """Return the files of JSON Lines by exporter and dataset, each with its description."""
    found: dict[tuple[str, str], list[tuple[Path, Resource]]] = {}
    for volume in volumes(folder):
        for resource in _package(volume)["resources"]:
            if resource.get("type") == "table" and resource["format"] == "jsonl":
                named = (resource["x-exporter"], resource["x-dataset"])
                found.setdefault(named, []).append((volume / resource["path"], resource))
    return found


def records(exporter: str, dataset: str, folder: Path = HERE) -> Iterator[dict[str, Any]]:
    """Yield the records of a dataset as they are now: integers as integers, all other values as in the JSON Lines."""
    pieces = tables(folder)[exporter, dataset]
    schema = pieces[0][1]["schema"]
    key, integers = schema["primaryKey"], [one["name"] for one in schema["fields"] if one["type"] == "integer"]
    newest: dict[tuple[str, ...], dict[str, Any]] = {}
    for path, resource in pieces:
        if resource.get("x-corrects"):
            newest.update({_key(record, key): record for record in _lines(path, integers)})
    for path, resource in pieces:
        if not resource.get("x-corrects"):
            for record in _lines(path, integers):
                yield newest.pop(_key(record, key), record) if newest else record
    yield from newest.values()


def load(target: str, folder: Path = HERE) -> dict[str, int]:
    """Write a table of each dataset into the database `target`, in place of an earlier table; returns their rows."""
    counts = {}
    with closing(sqlite3.connect(target)) as database, database:
        for (exporter, dataset), pieces in tables(folder).items():
            fields = pieces[0][1]["schema"]["fields"]
            name = table_name(exporter, dataset)
            table = _quoted(name)
            names = column_names([one["name"] for one in fields])
            columns = ", ".join(f"{_quoted(names[at])} {_affinity(one['type'])}" for at, one in enumerate(fields))
            database.execute(f"drop table if exists {table}")
            database.execute(f"create table {table} ({columns})")
            insert = f"insert into {table} values ({', '.join('?' * len(fields))})"  # noqa: S608  # quoted names
            kinds = [(one["name"], one["type"]) for one in fields]
            found = records(exporter, dataset, folder)
            rows = ([_cell(record.get(field), kind) for field, kind in kinds] for record in found)
            counts[name] = database.executemany(insert, rows).rowcount
    return counts


def table_name(exporter: str, dataset: str) -> str:
    """Return the name of a dataset's table. SQLite reserves names that begin with `sqlite_`."""
    is_clear = "_" not in exporter and exporter.lower() != "sqlite"
    return f"{exporter}_{dataset}" if is_clear else f"{exporter}/{dataset}"


def column_names(fields: Sequence[str], taken: Sequence[str] = ()) -> Sequence[str]:
    """Return the fields' names as columns: with a number where another has the name, because databases ignore case."""
    found = {name.lower(): name for name in taken}
    for field in fields:
        column, number = field, 1
        while column.lower() in found:
            number += 1
            column = f"{field}_{number}"
        found[column.lower()] = column
    return list(found.values())[len(taken) :]


def _package(folder: Path) -> Any:  # noqa: ANN401  # JSON
    return json.loads((folder / "datapackage.json").read_text("utf-8"))


def _number(volume: str) -> int:
    return int(volume.rpartition("-")[2])


def _lines(path: Path, integers: Sequence[str]) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            record = json.loads(line)
            for name in integers:
                if isinstance(record.get(name), str):
                    record[name] = int(record[name])
            yield record


def _key(record: dict[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(record.get(name)) for name in names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _affinity(kind: str) -> str:
    return {"integer": "", "number": "", "boolean": "INTEGER"}.get(kind, "TEXT")


def _cell(value: Any, kind: str) -> Any:  # noqa: ANN401  # any value of JSON
    if kind == "any" and value is not None:
        return json.dumps(value, ensure_ascii=False)
    is_large = isinstance(value, int) and not -(2**63) <= value < 2**63
    return str(value) if is_large else value


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program and the file
        sys.exit("usage: python load.py my-data.sqlite")
    for name, rows in load(sys.argv[1]).items():
        sys.stdout.write(f"{name}: {rows} rows\n")
    for volume in missing():
        sys.stderr.write(f"warning: {volume} is not beside this folder, so its records are not loaded\n")

"""Programs that load a volume's tables: `load.sql` for DuckDB, which would guess types, and `load.py` for SQLite.

DuckDB infers the type of a JSON column from its first 20,480 values: a column that begins with more nulls is NULL
everywhere, without an error. So `load.sql` states every type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from archive.parts import Member
from archive.write.data_package import JSON_LINES, is_table
from portability.api import Dataset, Field, FieldType

LOAD_PY = (Path(__file__).parent / "load.py").read_bytes()
OBJECT_BYTES_MAX = 1 << 25
"""The largest record that DuckDB accepts; it reserves twice as much for each thread."""
_TYPES: Mapping[FieldType, str] = {
    FieldType.INTEGER: "BIGINT",
    FieldType.NUMBER: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATETIME: "TIMESTAMPTZ",
    FieldType.DATE: "DATE",
    FieldType.OBJECT: "JSON",
}
"""Texts and decimals are VARCHAR: the digits after the point of a decimal are not known beforehand."""
_HEAD = """\
-- Loads the tables of this volume into DuckDB. In this folder: duckdb ../my-data.duckdb -c ".read load.sql"
-- If there are several volumes, do it in the folder of each, in their order. Each row names its volume. If a volume is
-- loaded again, it replaces its rows. A corrected record replaces the earlier record.
-- Decimals are texts with all their digits: cast("cost" as decimal(38, 10)).
"""


def loading_files(volume: str, members: Sequence[Member]) -> Mapping[str, bytes]:
    """Return the programs by name; none if the volume has no table as JSON Lines."""
    sql = "".join(_statements(volume, [member for member in members if _has_lines(member)]))
    return {"load.sql": (_HEAD + sql).encode(), "load.py": LOAD_PY} if sql else {}


def _has_lines(member: Member) -> bool:
    return is_table(member) and member.content.media_type.startswith(JSON_LINES)


def _statements(volume: str, members: Sequence[Member]) -> Iterator[str]:
    datasets = {(one.content.exporter, one.content.dataset.name): one.content.dataset for one in members}
    for (exporter, name), dataset in datasets.items():
        mine = [m for m in members if (m.content.exporter, m.content.dataset.name) == (exporter, name)]
        table, here = _name(_table(exporter, name)), _text(volume)
        columns = ", ".join(f"{_name(field.name)} {_type(field)}" for field in dataset.fields)
        yield f'\ncreate table if not exists {table} ("_volume" VARCHAR, {columns});\n'
        yield f'delete from {table} where "_volume" = {here};\n'  # noqa: S608  # quoted names and texts
        for corrects in (False, True):
            pieces = [member.path for member in mine if member.content.corrects is corrects]
            if not pieces:
                continue
            read = _read(pieces, dataset)
            if corrects:
                same = " and ".join(f"new.{_name(key)} = {table}.{_name(key)}" for key in dataset.key)
                yield f"delete from {table} where exists (select 1 from {read} as new where {same});\n"  # noqa: S608  # as below
            yield f"insert into {table} select {here}, * from {read};\n"  # noqa: S608  # quoted names and texts


def _table(exporter: str, dataset: str) -> str:
    """Return the name of a table, as `load.py` does: no other dataset has it."""
    return f"{exporter}/{dataset}" if "_" in exporter else f"{exporter}_{dataset}"


def _read(paths: Sequence[str], dataset: Dataset) -> str:
    files = ", ".join(map(_text, paths))
    columns = ", ".join(f"{_text(field.name)}: {_text(_type(field))}" for field in dataset.fields)
    options = f"format = 'newline_delimited', maximum_object_size = {OBJECT_BYTES_MAX}, columns = {{{columns}}}"
    return f"read_json([{files}], {options})"


def _type(field: Field) -> str:
    return _TYPES.get(field.type, "VARCHAR")


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

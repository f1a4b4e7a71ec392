"""Programs that load a volume's tables: `load.sql` for DuckDB, which would guess types, and `load.py` for SQLite.

DuckDB infers the type of a JSON column from its first 20,480 values: a column that begins with more nulls is NULL
everywhere, without an error. So `load.sql` states every type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from archive.parts import Member
from archive.write.data_package import JSON_LINES, is_table
from archive.write.load import column_names, table_name
from portability.api import Dataset, Field, FieldType

LOAD_PY = (Path(__file__).parent / "load.py").read_bytes()
VOLUME = "_volume"
"""The column with the name of the volume."""
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
-- Beside a field `Name`, the field `name` is the column `name_2`, because DuckDB ignores case.
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
        table, here = _name(table_name(exporter, name)), _text(volume)
        names = _columns(dataset)
        columns = ", ".join(f"{_name(names[field.name])} {_type(field)}" for field in dataset.fields)
        yield f"\ncreate table if not exists {table} ({_name(VOLUME)} VARCHAR, {columns});\n"
        yield f"delete from {table} where {_name(VOLUME)} = {here};\n"  # noqa: S608  # quoted names and texts
        for corrects in (False, True):
            pieces = [member.path for member in mine if member.content.corrects is corrects]
            if not pieces:
                continue
            read = _read(pieces, dataset)
            if corrects:
                keys = [_name(names[key]) for key in dataset.key]
                same = " and ".join(f"new.{key} = {table}.{key}" for key in keys)
                yield f"delete from {table} where exists (select 1 from {read} as new where {same});\n"  # noqa: S608  # as below
            yield f"insert into {table} select {here}, * from {read};\n"  # noqa: S608  # quoted names and texts


def _columns(dataset: Dataset) -> Mapping[str, str]:
    """Return the column of each field: DuckDB ignores the case of names, and the first column is the volume's."""
    fields = [field.name for field in dataset.fields]
    return dict(zip(fields, column_names(fields, taken=[VOLUME]), strict=True))


def _read(paths: Sequence[str], dataset: Dataset) -> str:
    files, size = ", ".join(map(_text, paths)), f"maximum_object_size = {OBJECT_BYTES_MAX}"
    names = _columns(dataset)
    if all(field == column for field, column in names.items()):
        columns = ", ".join(f"{_text(field.name)}: {_text(_type(field))}" for field in dataset.fields)
        return f"read_json([{files}], format = 'newline_delimited', {size}, columns = {{{columns}}})"
    # read_json ignores the case of members, too: paths of JSON do not.
    values = ", ".join(f"{_value(field)} as {_name(names[field.name])}" for field in dataset.fields)
    return f"(select {values} from read_ndjson_objects([{files}], {size}))"  # noqa: S608  # quoted names and texts


def _value(field: Field) -> str:
    """Return the expression of a field's value in the column `json` of whole lines."""
    pointer = _text("/" + field.name.replace("~", "~0").replace("/", "~1"))
    if field.type is FieldType.OBJECT:
        return f"nullif(json -> {pointer}, 'null')"
    return f"cast(json ->> {pointer} as {_type(field)})"


def _type(field: Field) -> str:
    return _TYPES.get(field.type, "VARCHAR")


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

"""Writes docs/importing-columns.md from the import table; `make docs` runs it, a test compares the page."""

from __future__ import annotations

from repository import ROOT

from receiver.binding.columns import REFERENCES, RULES, ColumnUse, TableRules
from receiver.binding.tables import TABLES

PAGE = ROOT / "docs" / "importing-columns.md"
HEAD = """\
# Columns of an import

Generated from `receiver/binding/columns.py` by `make docs`: do not edit.

What an archive may set in the [reference schema](source-schema.md), by dataset. A column that is not in this table is
not imported. [importing.md](importing.md) explains the words.

- **mapped**: an id. It becomes the target's id, or the id of the local row.
- **imported**: the value comes from the archive, and a later archive may change it.
- **new rows only**: the value is set when the import makes the row, and stays.
- **never**: only with `--allow DATASET.COLUMN`. In brackets is the value of new rows.

| dataset | table | archives of | mapped | imported | new rows only | never |
|---|---|---|---|---|---|---|
"""


def columns_page() -> str:
    """The whole page."""
    lines = [_line(f"{exporter}/{dataset}", table.name) for (exporter, dataset), table in TABLES.items()]
    reasons = sorted({one.reason for rules in RULES.values() for one in rules.forbidden.values()})
    links = ", ".join(f"`{column}` ({table})" for column, table in REFERENCES.items())
    return (
        HEAD
        + "\n".join(lines)
        + f"\n\nColumns with ids of other rows, and their tables: {links}.\n\n## Why never\n\n"
        + "".join(f"- {reason}: {', '.join(_columns(reason))}\n" for reason in reasons)
    )


def _line(dataset: str, table: str) -> str:
    rules = RULES[dataset]
    never = ", ".join(
        f"`{name}`" + ("" if one.instead is None else f" ({str(one.instead).lower()})")
        for name, one in rules.forbidden.items()
    )
    kinds = ", ".join(sorted(rules.kinds))
    uses = (ColumnUse.MAPPED, ColumnUse.VALUE, ColumnUse.INITIAL)
    return f"| {dataset} | `{table}` | {kinds} | {' | '.join(_names(rules, use) for use in uses)} | {never} |"


def _names(rules: TableRules, use: ColumnUse) -> str:
    return ", ".join(f"`{name}`" for name, found in rules.columns.items() if found is use)


def _columns(reason: str) -> list[str]:
    return [
        f"`{dataset}.{name}`"
        for dataset, rules in RULES.items()
        for name, one in rules.forbidden.items()
        if one.reason == reason
    ]


if __name__ == "__main__":
    PAGE.write_text(columns_page())

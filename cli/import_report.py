"""The report of `portability import` for people at a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from cli.context import Context
from cli.quantities import quantity
from receiver.importer.report import DatasetResult, ImportReport


def print_report(context: Context, report: ImportReport) -> None:
    """Print counts by dataset, then all that was not imported and why."""
    if report.is_repeated and not report.datasets:
        context.console.print("this archive of a feed is imported already; nothing was changed")
        return
    _print_counts(context, report)
    _print_records(context, report)
    _print_rest(context, report)


def _print_counts(context: Context, report: ImportReport) -> None:
    """Print the numbers by dataset. A count that is 0 for all datasets has no column: few terminals have the room."""
    counts: dict[str, Sequence[object]] = {
        "new": [one.new for one in report.datasets],
        "same": [one.same for one in report.datasets],
        "changed": [one.changed for one in report.datasets],
        "deleted": [one.deleted for one in report.datasets],
        "kept": [one.kept for one in report.datasets],
        "older": [one.older for one in report.datasets],
        "conflicts": [one.conflicts for one in report.datasets],
        "refused": [one.refused.total() for one in report.datasets],
        "quarantined": [one.quarantined.total() for one in report.datasets],
        "files": [_files(one) for one in report.datasets],
    }
    shown = [name for name, column in counts.items() if name == "new" or any(column)]
    names = [(f"{one.exporter}/{one.dataset}", one.table) for one in report.datasets]
    rows = [[*pair, *cells] for pair, *cells in zip(names, *(counts[name] for name in shown), strict=True)]
    context.table(
        f"Export {report.export}, profile {report.profile}, as {report.target}", ("dataset", "table", *shown), rows
    )


def _print_rest(context: Context, report: ImportReport) -> None:
    say = context.console.print
    for one in report.datasets:
        name = f"{one.exporter}/{one.dataset}"
        if one.ignored_fields:
            say(f"{name}: ignored fields {', '.join(sorted(one.ignored_fields))}")
        if one.altered:
            fields = ", ".join(sorted(one.altered_fields))
            say(f"{name}: a trigger of the target changed {quantity(one.altered, 'record')}: {fields}")
        if one.not_imported:
            say(f"{name}: not imported without --allow: {', '.join(sorted(one.not_imported))}")
    for left in report.left:
        say(f"left out {left.exporter}/{left.dataset}: {left.reason}")
    absent = sum(len(one.absent_columns) for one in report.datasets)
    say(f"{absent} columns are never in an archive: secrets and technical data; see docs/source-schema.md")
    if not report.complete:
        no_gaps = "it has no gaps; outcome in its export.json says what is absent"
        why = quantity(report.gaps, "gap") if report.gaps else no_gaps
        context.say(("the archive states that it is not complete", "bold"), f": {why}")
    if report.import_id:
        done = "this archive is imported already, and nothing was changed" if report.is_repeated else "imported"
        say(f"{done}; to undo it: portability imports undo {report.import_id} --into URL", soft_wrap=True)
    else:
        say("nothing was changed")


def _print_records(context: Context, report: ImportReport) -> None:
    refused = [
        [f"{one.exporter}/{one.dataset}", example.line, example.id, example.field, example.reason]
        for one in report.datasets
        for example in one.examples
    ]
    if refused:
        context.table("Refused or quarantined", ("dataset", "line", "id", "field", "reason"), refused)
    conflicting = [
        [
            f"{one.exporter}/{one.dataset}",
            example.id,
            "deleted here" if example.is_deleted else ", ".join(example.fields),
        ]
        for one in report.datasets
        for example in one.conflicting
    ]
    if conflicting:
        context.table("Changed on both sides", ("dataset", "id here", "fields"), conflicting)


def _files(one: DatasetResult) -> str:
    counts = one.files.as_json() if one.files else {}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)

"""`portability source check` and `source diff`: what the sources store, compared with what their maps decide on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial

import click

from cli.context import Context, beginning, shared
from cli.source_waits import call_once
from portability.api import JSON, Coverage, CoverageFinding, CoverageKind, Exporter
from portability.api.coverage import REMARKS, UNDECIDED
from portability.api.errors import PortabilityError
from portability.coverage import checks, state
from portability.coverage.checks import CheckedSource
from portability.database import deployment
from portability.database.engine import writing
from portability.errors import UnknownExporter
from portability.sources import PlatformSources, open_each
from worker.read import bounded_calls

Checked = CheckedSource | PortabilityError


@click.command("check")
@click.argument("names", nargs=-1)
@beginning
def check(context: Context, names: tuple[str, ...]) -> None:
    """Compare sources with their maps, and store the result. The exit code is 1 if something is undecided or wrong."""
    began_at = deployment.clock(context.engine)
    found = _checked(context, names)
    with writing(context.engine) as connection:
        for name, one in found.items():
            if isinstance(one, PortabilityError):
                state.record_fault(connection, name, one.code)
            else:
                state.record(connection, name, one, began_at)
    is_good = all(_is_good(one) for one in found.values())
    sources: list[JSON] = [_described(name, one) for name, one in found.items()]
    context.result({"ok": is_good, "sources": sources}, lambda: _print(context, found))
    if not is_good:
        raise SystemExit(1)


@click.command("diff")
@click.argument("names", nargs=-1)
@shared
def diff(context: Context, names: tuple[str, ...]) -> None:
    """Show what a person has to decide: columns and tables that a map does not name, and those that are gone.

    The exit code is 1 if a source could not be compared.
    """
    found = _checked(context, names)
    lines: list[JSON] = [
        {"source": name, **_line(finding)} for name, one in found.items() for finding in _differing(one)
    ]
    context.result(lines, lambda: _print_diff(context, found))
    if any(isinstance(one, PortabilityError) for one in found.values()):
        raise SystemExit(1)


def _checked(context: Context, names: Collection[str]) -> Mapping[str, Checked]:
    """Check the named sources, or all. Raises BadSetting, UnknownExporter."""
    connections = PlatformSources(context.settings)
    opened = open_each(context.settings, connections)
    if unknown := sorted({*names} - opened.keys()):
        raise UnknownExporter(f"unknown source {unknown[0]!r}; declared: {', '.join(opened)}")
    exporters = {name: one for name, one in opened.items() if not isinstance(one, PortabilityError)}
    try:
        return {
            name: _check_one(context, name, one, exporters)
            for name, one in opened.items()
            if not names or name in names
        }
    finally:
        bounded_calls.dismiss()
        connections.close()


def _check_one(
    context: Context, name: str, opened: Exporter | PortabilityError, exporters: Mapping[str, Exporter]
) -> Checked:
    if isinstance(opened, PortabilityError):
        return opened
    try:
        return call_once(context, f"{name}: check", partial(checks.check, name, exporters))
    except PortabilityError as error:
        return error


def _is_good(one: Checked) -> bool:
    return not isinstance(one, PortabilityError) and not one.coverage.undecided and not one.coverage.faults


def _described(name: str, one: Checked) -> dict[str, JSON]:
    if isinstance(one, PortabilityError):
        error = {"code": one.code, "message": str(one), "hint": one.hint or None}
        return {"source": name, "state": None, "error": error}
    coverage = one.coverage
    return {
        "source": name,
        "state": state.state_after(coverage),
        "undecided": coverage.undecided,
        "faults": coverage.faults,
        "findings": [_line(finding) for finding in coverage.findings],
        "error": None,
    }


def _line(finding: CoverageFinding) -> dict[str, JSON]:
    return {**asdict(finding), "kind": str(finding.kind)}


def _print(context: Context, found: Mapping[str, Checked]) -> None:
    rows = [(name, *_cells(one)) for name, one in found.items()]
    context.table("Sources", ("source", "result", "undecided", "faults", "hint"), rows)
    for name, one in found.items():
        if not isinstance(one, PortabilityError) and one.coverage.findings:
            _print_findings(context, name, one.coverage.findings)


def _cells(one: Checked) -> Sequence[object]:
    if isinstance(one, PortabilityError):
        return (f"{one} [{one.code}]", None, None, one.hint)
    coverage: Coverage = one.coverage
    return (state.state_after(coverage), coverage.undecided or None, coverage.faults or None, None)


def _print_findings(context: Context, name: str, findings: Sequence[CoverageFinding]) -> None:
    """Print undecided columns by table, and each other finding."""
    counted = Counter(one.table for one in findings if one.kind is CoverageKind.UNDECIDED_COLUMN)
    rows = [(table, f"{count} undecided column{'' if count == 1 else 's'}", "") for table, count in counted.items()]
    rows += [
        (_place(one), one.kind.replace("_", " "), one.detail)
        for one in findings
        if one.kind is not CoverageKind.UNDECIDED_COLUMN
    ]
    context.table(name, ("where", "finding", "seen"), rows)


def _differing(one: Checked) -> Sequence[CoverageFinding]:
    """Return what a person has to decide or repair; of a source that cannot be compared the reason."""
    if isinstance(one, PortabilityError):
        hint = f"  hint: {one.hint}" if one.hint else ""
        return [CoverageFinding(CoverageKind.NOT_COMPARED, "", detail=f"not compared: {one} [{one.code}]{hint}")]
    return [finding for finding in one.coverage.findings if finding.kind not in REMARKS]


def _print_diff(context: Context, found: Mapping[str, Checked]) -> None:
    """Print `+` for what the source has and the map does not name, `-` for what is gone, `!` for what does not fit."""
    differing = {name: lines for name, one in found.items() if (lines := _differing(one))}
    if not differing:
        context.console.print("nothing to decide")
    for name, findings in differing.items():
        context.console.print(name)
        for one in findings:
            seen = f"{_place(one)}  {one.detail}".strip()
            context.console.print(f"  {_sign(one.kind)} {seen}", soft_wrap=True)


def _place(one: CoverageFinding) -> str:
    return f"{one.table}.{one.column}" if one.column else one.table


def _sign(kind: CoverageKind) -> str:
    if kind in UNDECIDED:
        return "+"
    return "-" if kind in {CoverageKind.MISSING_TABLE, CoverageKind.MISSING_COLUMN} else "!"

"""Says of an order about a subject that no source knows it: a mistyped id is recorded without an error otherwise."""

from __future__ import annotations

from functools import partial

from cli.context import Context
from cli.source_waits import call_once
from portability.api import KnowingExporter, Subject, SubjectKind
from portability.api.errors import PortabilityError
from portability.api.nouns import first_identity
from worker.read import bounded_calls

SECONDS_MAX = 10.0
"""Time limit for a source: the order is recorded already."""


def note_unknown(context: Context, kind: SubjectKind, identifier: str, tenant: str | None) -> None:
    """Print a note if sources can say whether they know a subject, and none of them does.

    The order is recorded all the same: a source may be away, and may no longer have who has left.
    """
    if is_unknown(context, kind, identifier, tenant):
        context.note(
            f"no source knows this {kind}: check its spelling; it is recorded, since a source may be incomplete"
        )


def is_unknown(context: Context, kind: SubjectKind, identifier: str, tenant: str | None) -> bool:
    """Return whether sources can say whether they know a subject, and none of them does; an outage does not count."""
    subject = Subject(kind, tenant, "", (first_identity(kind, identifier, tenant),))
    try:
        answers = [_answer(context, name, exporter, subject) for name, exporter in _knowing(context, kind)]
    except PortabilityError:
        return False  # `doctor` reports what is wrong
    finally:
        bounded_calls.dismiss()
    return {*answers} & {True, False} == {False}


def _knowing(context: Context, kind: SubjectKind) -> list[tuple[str, KnowingExporter]]:
    return [
        (name, exporter)
        for name, exporter in context.exporters.items()
        if isinstance(exporter, KnowingExporter) and kind in exporter.subject_kinds
    ]


def _answer(context: Context, name: str, exporter: KnowingExporter, subject: Subject) -> bool | None:
    return call_once(context, f"{name}: knows()", partial(exporter.knows, subject), seconds_max=SECONDS_MAX)

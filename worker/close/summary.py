"""The summary of the closing volume: from the figures that closing has anyway, in all languages, and as a PDF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import RowMapping

from archive.parts import VolumeMetadata
from archive.summary.figures import DatasetName, subject_language, subject_name, summarize
from archive.summary.pdf import Typesetter, TypesettingFailed
from archive.summary.words import ArchiveSummary, worded
from archive.viewer.index import ViewerIndex
from portability import locale
from portability.api import JSON, Dataset
from worker.plan.plan import ExportPlan
from worker.write.excerpts import Excerpts

log = structlog.get_logger()


def make_summary(
    export: RowMapping | Mapping[str, Any],
    plan: ExportPlan,
    document: Mapping[str, JSON],
    excerpts: Excerpts,
    index: ViewerIndex | None,
    envelope: VolumeMetadata,
    typesetter: Typesetter,
) -> ArchiveSummary:
    """Make the summary of an export; `document` is its export.json.

    Without an index there are no charts. The PDF is in the language of the request, else of the person's own data. An
    archive without it is whole, so a fault of the typesetter is logged only.
    """
    shown = {(one.exporter, one.dataset.name): one for one in excerpts.shown(plan.lines)}

    def first_record(name: DatasetName) -> bytes | None:
        return next(iter(shown[name].lines), None) if name in shown else None

    def months(exporter: str, dataset: Dataset) -> Mapping[str, int]:
        return index.months(exporter, dataset) if index is not None else {}

    kind = str(document["subject_kind"])
    name = subject_name(kind, first_record)
    summary = summarize(document, [(one.exporter, one.dataset) for one in shown.values()], months, name)
    texts = {language: worded(summary, document, envelope, language) for language in locale.languages()}
    language = locale.nearest([export["language"] or subject_language(kind, first_record) or ""])
    try:
        typeset = typesetter.pdf(texts[language], envelope)
    except TypesettingFailed as error:
        log.warning("summary.failed", export=export["id"], detail=str(error))
        typeset = None
    return ArchiveSummary(texts, summary.records, typeset, language)

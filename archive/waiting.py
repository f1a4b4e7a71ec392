"""What waits for an officer's decision: records of which it is not certain that they are about the subject (ADR 41)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from portability.api import JSON, NEEDS_REVIEW


def records_by_dataset(export: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Count these records of an export.json by dataset, in the order of its gaps; each has a gap of its own."""
    gaps = export.get("gaps")
    rows: list[Mapping[str, Any]] = (
        [gap for gap in gaps if isinstance(gap, Mapping)] if isinstance(gaps, list | tuple) else []
    )
    counted = Counter((gap["exporter"], gap["dataset"]) for gap in rows if gap.get("reason") == NEEDS_REVIEW)
    return [
        {"exporter": exporter, "dataset": dataset, "records": count} for (exporter, dataset), count in counted.items()
    ]

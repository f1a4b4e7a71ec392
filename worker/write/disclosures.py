"""Counts the recipients that records name, for the notice: of what is delivered, and as it is delivered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from archive.recipients import RecipientTally
from portability.api import JSON, Dataset, Record
from worker.read.record_columns import column


def recipients(dataset: Dataset, records: Sequence[Record], *, known: bool = False) -> RecipientTally:
    """Count the recipients that records name; records that are `known` may have been counted before.

    A profile may leave out the field that names them: then there is nothing to count.
    """
    declared = dataset.disclosures
    if declared is None or declared.recipient not in {field.name for field in dataset.fields}:
        return RecipientTally()
    at: Sequence[JSON] | repeat[None] = repeat(None) if declared.at is None else column(records, declared.at)
    return RecipientTally.of(zip(column(records, declared.recipient), at, strict=False), known=known)

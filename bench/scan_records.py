"""Records of the demo's platform, as the pipeline encodes them: typical data for a scan."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.plan import SeedPlan
from demo.seed import seed
from portability.api import Dataset, Record, Selection, SubjectKind, encoded
from portability.api.nouns import first_identity
from portability.api.rows import Batched
from portability.database import migrations
from portability.database.engine import open_engine
from portability.plugins import load_exporters, load_formats
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage
from portability.testing import sample_subject

PLAN = SeedPlan(
    tenants=1, users=20, contacts=500, calls=1_500, chats=700, events=3_000, recordings=1, hostile_share=0.0
)


@dataclass(frozen=True, slots=True)
class Lines:
    """All records of one dataset in order, and their size as JSON Lines."""

    dataset: Dataset
    batches: tuple[Sequence[Record], ...]
    bytes: int


def platform() -> Iterator[Lines]:
    """Yield every dataset of a made-up tenant."""
    with tempfile.TemporaryDirectory() as name:
        settings = load_settings(dir=Path(name))
        tenant = seed(settings.source, open_storage(settings.recordings), PLAN).examples.tenant
        control = open_engine(settings.database)  # which an exporter reads
        migrations.upgrade(control)
        control.dispose()
        subject = sample_subject(
            SubjectKind.TENANT, tenant, first_identity(SubjectKind.TENANT, tenant, tenant), tenant=tenant
        )
        form = load_formats(["jsonl"])["jsonl"]
        for exporter in load_exporters(PlatformSources(settings)).values():
            for dataset in exporter.datasets:
                if SubjectKind.TENANT not in (dataset.subject_kinds or exporter.subject_kinds) or dataset.documents:
                    continue
                batches = tuple(batch.records for batch in exporter.export(subject, dataset, Selection()))
                if batches:
                    yield Lines(dataset, batches, sum(map(len, encoded(form, dataset, Batched(batches)))))

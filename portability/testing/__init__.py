"""Public contract suites for exporters, kinds of sources, formats and storages; the built-in plug-ins pass them too."""

from __future__ import annotations

from portability.testing.documents import check_document_format
from portability.testing.exporters import check_exporter
from portability.testing.faults import check_faults
from portability.testing.formats import check_format
from portability.testing.forms import check_form
from portability.testing.samples import MemoryFiles, MemoryState, SampleSources, other_subjects, sample_subject
from portability.testing.sections import check_source_kind, declared_section, open_section
from portability.testing.source_faults import FaultMode, SourceFaults
from portability.testing.source_keys import check_source_keys
from portability.testing.storages import check_storage

__all__ = [
    "FaultMode",
    "MemoryFiles",
    "MemoryState",
    "SampleSources",
    "SourceFaults",
    "check_document_format",
    "check_exporter",
    "check_faults",
    "check_form",
    "check_format",
    "check_source_keys",
    "check_source_kind",
    "check_storage",
    "declared_section",
    "open_section",
    "other_subjects",
    "sample_subject",
]

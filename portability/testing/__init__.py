"""For authors of exporters: `check_exporter` holds an exporter to its promises; the built-in ones pass it too."""

from __future__ import annotations

from portability.testing.exporters import check_exporter
from portability.testing.samples import MemoryFiles, SampleSources, sample_subject, strangers

__all__ = ["MemoryFiles", "SampleSources", "check_exporter", "sample_subject", "strangers"]

"""What the built-in exporters do when their database or file store fails, on each database."""

from __future__ import annotations

import platform_data as platform
import pytest
from sqlalchemy import Engine

from portability.api import SubjectKind
from portability.testing import SourceFaults, check_faults


@pytest.mark.parametrize("name", ["account", "calls", "crm"])
def test_a_built_in_exporter_names_each_fault_of_its_source(either: Engine, name: str) -> None:
    """At each statement and each look at a file: retried, refused or a gap, and nothing is lost without a sign."""
    faults = SourceFaults()
    faults.watch(either)
    made = platform.exporters(either, faults.files(platform.files()))
    check_faults(lambda: made[name], platform.SUBJECTS[SubjectKind.USER], faults)

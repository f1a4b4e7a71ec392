"""This software's own records about a subject, on each control database."""

from __future__ import annotations

import pytest
from factories import World
from own_rows import present, request_with_everything

from exporters.portability.reader import OwnRecords
from exporters.portability.records import TABLES
from portability.api import Selection, SubjectKind
from portability.testing import sample_subject
from portability.testing.exporters import check_exporter
from portability.trust import audit


@pytest.mark.requirement("R4")
def test_the_contract_of_exporters_is_kept(made: World) -> None:
    """The public contract suite, and the counts of all datasets, with a row in every dataset of a person."""
    request_with_everything(made)
    audit.chain_all(made.engine)
    own, jane = OwnRecords(lambda: made.engine, TABLES), sample_subject(SubjectKind.USER, "usr_jane")
    selection = Selection(began_at=present(made))
    check_exporter(own, jane, selection=selection)
    found = {}
    for dataset in own.datasets:
        found[dataset.name] = sum(len(batch.records) for batch in own.export(jane, dataset, selection))
        assert own.count(jane, dataset, selection).records == found[dataset.name]
    assert [name for name, records in found.items() if not records] == ["instructions"]

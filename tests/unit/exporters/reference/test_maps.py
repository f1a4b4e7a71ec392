"""Maps of the reference platform: faultless, and they name what is in the schema."""

from __future__ import annotations

import pytest

from exporters.maps.reading import MapFault
from exporters.reference import schema
from exporters.reference.maps import NAMES, form_of
from exporters.reference.relations import BELONGINGS
from exporters.sql.mapped.form_faults import form_faults


@pytest.mark.parametrize("name", NAMES)
def test_a_map_has_no_fault(name: str) -> None:
    """Only datasets of other exporters of the platform are not in the map itself, and each of them exists."""
    faults = list(form_faults(form_of(name)))
    others = {way.dataset for _, _, way in form_of(name).steps() if way.dataset is not None}
    assert others <= BELONGINGS.keys()
    assert [fault for fault in faults if not _is_of_another(fault)] == []


def _is_of_another(fault: MapFault) -> bool:
    return fault.message.startswith("unknown dataset") and "/" in fault.message


@pytest.mark.parametrize("name", NAMES)
def test_every_column_is_named(name: str) -> None:
    """Each column of a table is a field, is withheld or is internal, with the reason of the schema."""
    for stated in form_of(name).dataset:
        table = schema.metadata.tables[stated.table]
        fields = {stated.column_of(field) for field in stated.fields}
        assert {*fields, *stated.withheld, *stated.internal} == {column.name for column in table.columns}
        for column in (table.columns[one] for one in stated.internal):
            assert stated.internal[column.name] in {column.info.get(schema.NEVER), column.info.get(schema.INTERNAL)}
        for column in (table.columns[one] for one in stated.withheld):
            assert stated.withheld[column.name].reason == column.info[schema.NEVER]

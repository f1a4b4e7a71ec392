"""Maps of the reference platform: faultless, and they name what is in the schema."""

from __future__ import annotations

import pytest

from exporters.maps.reading import MapFault
from exporters.reference import schema
from exporters.reference.maps import NAMES, address_users, form_of, relations
from exporters.sql.mapped.belongings import qualified
from exporters.sql.mapped.form_faults import form_faults


@pytest.mark.parametrize("name", NAMES)
def test_a_map_has_no_fault(name: str) -> None:
    """Only datasets, people and accounts of other maps of the platform are not in the map itself, and all exist."""
    faults = list(form_faults(form_of(name)))
    others = {qualified(name, way.dataset) for _, _, way in form_of(name).steps() if way.dataset is not None}
    assert others <= relations().belongings.keys()
    assert relations().book is not None
    assert address_users().accounts is not None
    assert [fault for fault in faults if not _is_of_another(fault)] == []


def _is_of_another(fault: MapFault) -> bool:
    is_elsewhere = fault.message.startswith("unknown dataset") and "/" in fault.message
    return is_elsewhere or fault.message.startswith("the map states no ")


@pytest.mark.parametrize("name", NAMES)
def test_every_column_is_named(name: str) -> None:
    """Each column of a table is a field, is withheld or is internal, with the reason of the schema."""
    for stated in form_of(name).dataset:
        table = schema.metadata.tables[stated.table]
        fields = stated.own_columns.values()
        assert {*fields, *stated.withheld, *stated.internal} == {column.name for column in table.columns}
        for column in (table.columns[one] for one in stated.internal):
            assert stated.internal[column.name] in {column.info.get(schema.NEVER), column.info.get(schema.INTERNAL)}
        for column in (table.columns[one] for one in stated.withheld):
            assert stated.withheld[column.name].reason == column.info[schema.NEVER]

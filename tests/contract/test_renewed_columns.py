"""A time that MariaDB sets at each change of a row is neither a place in the order of reading nor a creation time."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from portability.api.errors import BadMap


@pytest.mark.parametrize("column", ["t", "u"])
@pytest.mark.parametrize(("line", "what"), [('order = ["{}", "id"]', "order"), ('created = "{}"', "creation time")])
def test_a_column_that_changes_with_its_row_is_refused(
    request: pytest.FixtureRequest, tmp_path: Path, column: str, line: str, what: str
) -> None:
    """A row that is changed while it is read would be missing: behind its place, or after the begin of the export."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    execute_all(
        owner,
        "create table orders (id integer primary key, who varchar(9), made timestamp default current_timestamp,"
        " t timestamp not null default current_timestamp on update current_timestamp,"
        " u datetime(6) not null on update current_timestamp(6))",
    )
    with mapped_sources() as opened:
        opened(reader, ROWS + 'created = "made"\nchanged = "t"').prepare()
        exporter = opened(reader, ROWS + line.format(column))
        with pytest.raises(BadMap, match=f"'{column}' of orders is set again at each change of its row.*{what}"):
            exporter.prepare()

"""MariaDB: a day of zeros is a time that is not set, and each row with one is delivered once, wherever pages end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from exporters.sql import pages
from exporters.sql.mapped.exporter import MappedExporter
from portability.api import JSON, Selection, SubjectKind
from portability.testing import sample_subject

USER = sample_subject(SubjectKind.USER, "usr_1")
EVERYTHING = Selection()
STORED = ["0000-00-00", "2024-01-02", "0000-00-00", "2024-02-00", "0000-00-00"]


@pytest.fixture
def zeros_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Times as WordPress has them: without NULL. Pages have two rows."""
    monkeypatch.setattr(pages, "FIRST_ROWS", (2,))
    monkeypatch.setattr(pages, "BATCH_ROWS", 2)
    owner, zeros_url = owner_and_reader(request, "mysql", tmp_path)
    rows = ", ".join(f"({place}, 'usr_1', '{day}', '{day}', '{day}', '{day}')" for place, day in enumerate(STORED))
    execute_all(
        owner,
        "set session sql_mode = ''",
        "create table orders (id int primary key, who varchar(9), made datetime not null, day date not null,"
        " late datetime, end date)",
        f"insert into orders values {rows}",  # noqa: S608  # values of this test alone
    )
    return zeros_url


@pytest.fixture
def exporter_of() -> Iterator[Callable[[str, str], MappedExporter]]:
    with mapped_sources() as sources:
        yield sources


def values_and_gaps(
    exporter: MappedExporter, name: str, selection: Selection = EVERYTHING
) -> tuple[dict[JSON, JSON], list[tuple[JSON, ...]]]:
    """Return the values of a field by record, and the keys of the gaps; a record that comes twice fails."""
    batches = list(exporter.export(USER, exporter.datasets[0], selection))
    records = [one for batch in batches for one in batch.records]
    assert len(records) == len({one["id"] for one in records})
    return {one["id"]: one[name] for one in records}, [gap.key for batch in batches for gap in batch.gaps]


@pytest.mark.parametrize(("name", "kind", "day"), [("made", "datetime", "T00:00:00.000000Z"), ("day", "date", "")])
@pytest.mark.parametrize("order", ["", "order"])
def test_a_day_of_zeros_is_null(
    exporter_of: Callable[[str, str], MappedExporter], zeros_url: str, name: str, kind: str, day: str, order: str
) -> None:
    """A gap that no one can close would make every archive partial; a day that does not exist is a gap."""
    more = f'order = ["{name}", "id"]\n' if order else ""
    text = (
        ROWS.replace("[[dataset]]\n", f"[[dataset]]\n{more}") + f'fields.{name} = {{ type = "{kind}", text = "T." }}\n'
    )
    values, gaps = values_and_gaps(exporter_of(zeros_url, text), name)

    assert values == {0: None, 1: f"2024-01-02{day}", 2: None, 3: None, 4: None}
    assert gaps == [(3,)]


def test_a_field_of_texts_has_the_zeros(exporter_of: Callable[[str, str], MappedExporter], zeros_url: str) -> None:
    """It has what is stored."""
    values, gaps = values_and_gaps(
        exporter_of(zeros_url, ROWS + 'fields.day = { type = "string", text = "T." }\n'), "day"
    )

    assert (list(values.values()), gaps) == (STORED, [])


def test_a_key_of_zeros_is_lost(exporter_of: Callable[[str, str], MappedExporter], zeros_url: str) -> None:
    """The record is not known by it, so the archive says so."""
    text = ROWS.replace("[[dataset]]\n", '[[dataset]]\nkey = ["id", "day"]\n')
    _, gaps = values_and_gaps(exporter_of(zeros_url, text + 'fields.day = { type = "date", text = "T." }\n'), "day")

    assert len(gaps) == STORED.count("0000-00-00") + 1


@pytest.mark.parametrize("created", ["made", "late"])
def test_a_row_without_a_time_of_creation_is_in_each_period(
    exporter_of: Callable[[str, str], MappedExporter], zeros_url: str, created: str
) -> None:
    """Nothing says that it is older, whether the column may have NULL or not."""
    text = ROWS.replace("[[dataset]]\n", f'[[dataset]]\ncreated = "{created}"\n')
    values, _ = values_and_gaps(exporter_of(zeros_url, text), "id", Selection(since=datetime(2024, 3, 1, tzinfo=UTC)))

    assert sorted(map(str, values)) == ["0", "2", "4"]


def test_what_has_not_ended_has_a_day_of_zeros(
    exporter_of: Callable[[str, str], MappedExporter], zeros_url: str
) -> None:
    """A way that leads on while a time is not set does so for NULL and for zeros."""
    text = ROWS.replace('["user_id"] }', '["user_id"], only_if_null = "late" }')
    values, _ = values_and_gaps(exporter_of(zeros_url, text), "id")

    assert sorted(map(str, values)) == ["0", "2", "4"]


@pytest.mark.parametrize("more", ['created = "late"\n', ""], ids=["created", "only_if_null"])
def test_a_text_of_sqlite_may_set_no_time(
    exporter_of: Callable[[str, str], MappedExporter], tmp_path: Path, more: str
) -> None:
    """Programs write any text for it there: as a time of creation, and for a way that leads on while none is set."""
    url = f"sqlite:///{tmp_path}/orders.db"
    stored = ["''", "null", "'0000-00-00'", "'0'", "'No'", "'2024-01-02 03:04:05'"]
    rows = ", ".join(f"({place}, 'usr_1', {late})" for place, late in enumerate(stored))
    execute_all(
        url,
        "create table orders (id integer primary key, who varchar(9), late datetime)",
        f"insert into orders values {rows}",  # noqa: S608  # values of this test alone
    )
    text = ROWS.replace("[[dataset]]\n", f"[[dataset]]\n{more}")
    text = text if more else text.replace('["user_id"] }', '["user_id"], only_if_null = "late" }')
    values, _ = values_and_gaps(exporter_of(url, text), "id", Selection(since=datetime(2024, 3, 1, tzinfo=UTC)))

    assert sorted(map(str, values)) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("column", ["made", "day", "late", "end"])
def test_a_condition_takes_a_day_of_zeros_for_null(
    exporter_of: Callable[[str, str], MappedExporter], zeros_url: str, column: str
) -> None:
    """By itself MariaDB does so in columns without NULL alone, and the same row then also has a value."""
    conditions = (f'where = [{{ column = "{column}", null = {word} }}]' for word in ("true", "false"))
    unset, others = (values_and_gaps(exporter_of(zeros_url, ROWS + one), "id")[0] for one in conditions)

    assert ([*unset], [*others]) == ([0, 2, 4], [1, 3])

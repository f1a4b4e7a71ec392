from __future__ import annotations

from sqlalchemy import Column, MetaData, Table, Text, create_engine, select

from exporters.sql.quoted_names import name_parameters


def test_columns_whose_names_differ_by_a_blank_have_parameters_of_their_own() -> None:
    """Two such columns in one statement are compared each with its own value."""
    names = ["a\tb", "a\nb", "a b", "a_b", "a$9$b", "a\n0", "a\xa0"]
    table = Table("t", MetaData(), *(Column(name, Text) for name in names))
    engine = create_engine("sqlite://")
    name_parameters(engine.dialect)
    row = {name: str(number) for number, name in enumerate(names)}
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(table.insert().values(row))
        for conditions in (
            [table.c[name] == row[name] for name in names],
            [table.c[name].in_([row[name]]) for name in names],
        ):
            assert connection.execute(select(table).where(*conditions)).all() == [tuple(row.values())]
        assert connection.execute(select(table).where(table.c["a\tb"] == "0", table.c["a\nb"] == "0")).all() == []
    engine.dispose()

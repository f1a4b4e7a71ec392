"""Faults of a map name the line and column of the value, counted by hand in the text below."""

import pytest

from exporters.maps.positions import position

TEXT = '''# a map
title = "Shop"
kinds = [
  "user",
]

[session]
set = { "app.org" = "{tenant}" }

[[dataset]]
name = "orders"
description = """
[not a header]
"""
[dataset.fields]
id = { text = "x", type = "uuid" }
"odd name" = { text = "y" }

# between
[[dataset]]
name = "notes"
rows = [{ column = "a" }, { column = "b", identities = ["email"] }]
[dataset.fields]
id = { text = "z" }
body.text = "dotted"
'''


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("title",), 2, 1),
        (("kinds", 0), 3, 1),
        (("session", "set", "app.org"), 8, 9),
        (("dataset", 0, "name"), 11, 1),
        (("dataset", 0, "description"), 12, 1),
        (("dataset", 0, "fields", "id", "type"), 16, 20),
        (("dataset", 0, "fields", "odd name", "text"), 17, 16),
        (("dataset", 1), 20, 1),
        (("dataset", 1, "rows", 0, "column"), 22, 11),
        (("dataset", 1, "rows", 1, "column"), 22, 29),
        (("dataset", 1, "fields", "id"), 24, 1),
        (("dataset", 1, "fields", "body", "text"), 25, 6),
        (("dataset", 1, "absent"), 20, 1),
        (("absent",), 1, 1),
        ((), 1, 1),
    ],
)
def test_position(path: tuple[str | int, ...], line: int, column: int) -> None:
    """The position is that of the value's own key; without one, of the nearest table around it."""
    assert position(TEXT, path) == (line, column)

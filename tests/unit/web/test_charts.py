"""Geometry of charts: lengths are shares of the highest column, stacked from the bottom."""

from __future__ import annotations

from web.charts import FEW_DRAWN, Block, chart


def test_columns_are_stacked_on_one_scale() -> None:
    """The highest column fills the chart; each part begins where the part below it ends."""
    drawn = chart(["a", "b"], {"x": [3, 0], "y": [1, 1]})
    assert [stack.blocks for stack in drawn.stacks] == [
        [Block("x", 0.0, 75.0, 3), Block("y", 75.0, 25.0, 1)],
        [Block("y", 0.0, 25.0, 1)],
    ]
    assert (drawn.most, drawn.most_name, drawn.step) == (4, "a", 50.0)


def test_a_small_part_is_visible_and_inside_the_chart() -> None:
    """One of a thousand is drawn with the least length, and no part leaves the chart."""
    drawn = chart(["a"], {"x": [1000], "y": [1]})
    assert [(block.begin, block.length) for block in drawn.stacks[0].blocks] == [(0.0, 99.9), (98.5, 1.5)]


def test_a_count_that_is_not_named_is_drawn_and_not_said() -> None:
    """It has the length of two, and the chart states no highest value that it is a part of."""
    drawn = chart(["a", "b"], {"x": [None, 1]})
    assert (drawn.stacks[0].blocks[0].value, drawn.most, FEW_DRAWN) == (None, None, 2)
    assert drawn.stacks[1].blocks[0].length == 50.0


def test_an_empty_chart_has_no_parts() -> None:
    """Neither without columns nor with empty columns."""
    assert [stack.blocks for stack in chart(["a"], {"x": [0]}).stacks] == [[]]
    assert (chart(["a"], {"x": [0]}).most, chart([], {"x": []}).most) == (0, 0)

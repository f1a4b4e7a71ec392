from __future__ import annotations

import pytest

from worker.clock.history_counts import rest_seconds


@pytest.mark.parametrize(("taken", "rest"), [(0.02, 2), (1, 100), (17, 1_700), (19, 1_800), (180, 1_800)])
def test_a_long_count_is_repeated_before_its_result_is_too_old(taken: float, rest: float) -> None:
    """A hundred times as long as the count, and at most half an hour: from an hour on each scrape counts by itself."""
    assert rest_seconds(taken) == rest

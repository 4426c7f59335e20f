from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from srbench.leaderboard import statistics
from srbench.leaderboard.statistics import LEVEL, Interval, mean_intervals


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests quick: what they claim holds for any number of resamples."""
    monkeypatch.setattr(statistics, "RESAMPLES", 999)


class TestIntervals:
    def test_constant_difference_has_an_interval_without_length(self) -> None:
        assert mean_intervals([np.full((1, 5), 0.25)]) == [Interval(0.25, 0.25, 0.25)]

    def test_mean_over_data_sets_counts_each_data_set_the_same(self) -> None:
        # (mean of 1, 3) = 2 and (mean of 10, 10, 10, 10) = 10: their mean is 6, not 44/6.
        [interval] = mean_intervals([np.array([[1.0, 3]]), np.array([[10.0, 10, 10, 10]])])
        assert interval.mean == 6.0

    def test_two_values_give_the_interval_between_them(self) -> None:
        # A resample's mean is 0, 0.5 or 1; with two images the widened level reaches the outermost resamples.
        assert mean_intervals([np.array([[0.0, 1.0]])]) == [Interval(0.5, 0.0, 1.0)]

    def test_one_image_gives_no_interval_and_excludes_nothing(self) -> None:
        [interval] = mean_intervals([np.array([[3.0]])])
        assert interval.mean == 3.0
        assert math.isnan(interval.low)
        assert interval.includes_zero

    def test_many_images_give_nearly_the_t_interval(self, seed: int) -> None:
        values = np.random.default_rng(seed).normal(1.0, 2.0, 400)
        [interval] = mean_intervals([values[None]])
        half = stats.t.ppf(0.975, 399) * values.std(ddof=1) / 20
        assert interval.half_width == pytest.approx(half, rel=0.15)

    @pytest.mark.parametrize("count", [5, 8, 14])
    def test_few_images_still_cover_the_truth(self, count: int, seed: int) -> None:
        # The plain percentile bootstrap covers about 0.83 at n = 5; 1500 draws put 4 standard errors at 0.023.
        draws = np.random.default_rng(seed).normal(0, 1, (1500, count))
        covered = np.mean([interval.includes_zero for interval in mean_intervals([draws])])
        assert LEVEL - 0.05 < covered < LEVEL + 0.03

    def test_two_data_sets_cover_the_truth(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        parts = [rng.normal(0, 1.0, (1000, 6)), rng.normal(0, 0.2, (1000, 40))]
        covered = np.mean([interval.includes_zero for interval in mean_intervals(parts)])
        assert LEVEL - 0.05 < covered < LEVEL + 0.03

    def test_interval_does_not_depend_on_the_other_rows(self, seed: int) -> None:
        rows = np.random.default_rng(seed).normal(0, 1, (4, 9))
        together, alone = mean_intervals([rows])[2], mean_intervals([rows[2:3]])[0]
        # Only the order of summation may differ.
        assert [together.low, together.high] == pytest.approx([alone.low, alone.high], abs=1e-12)

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from srbench.leaderboard import statistics
from srbench.leaderboard.statistics import LEVEL, Interval, mean_intervals, resolution, tie_groups

# Multiples of 1/64 below 64: sums and differences of them are exact in float64, so that the laws hold to the last bit.
dyadic = st.integers(0, 64 * 64).map(lambda value: value / 64)


@st.composite
def score_tables(draw: st.DrawFn) -> dict[str, list[np.ndarray]]:
    sizes = draw(st.lists(st.integers(2, 7), min_size=1, max_size=2))
    count = draw(st.integers(1, 5))
    return {
        f"m{index}": [np.array(draw(st.lists(dyadic, min_size=size, max_size=size))) for size in sizes]
        for index in range(count)
    }


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the property tests quick: the laws hold for any number of resamples."""
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


class TestTieGroups:
    def test_hand_made_ranks(self) -> None:
        base = np.array([10.0, 20, 30, 40, 50, 60])
        scores = {
            "best": [base],
            "tied": [base + np.array([0.5, -0.5, 0.5, -0.5, 0.25, -0.5])],
            "worse": [base - 1],
            "also worse": [base - 1],
            "worst": [base - 2],
        }
        ranks = {name: standing.rank for name, standing in tie_groups(scores).items()}
        assert ranks == {"best": 1, "tied": 1, "worse": 3, "also worse": 3, "worst": 5}

    def test_difference_is_to_the_first_of_all(self) -> None:
        base = np.array([10.0, 20, 30, 40])
        standings = tie_groups({"a": [base], "b": [base - 1], "c": [base - 3]})
        assert standings["c"].to_best == Interval(-3.0, -3.0, -3.0)
        assert standings["c"].leader == "c"

    @settings(max_examples=25)
    @given(scores=score_tables(), data=st.data())
    def test_order_of_models_does_not_matter(self, scores: dict[str, list[np.ndarray]], data: st.DataObject) -> None:
        """Law: the ranking is a function of the set of models."""
        names = data.draw(st.permutations(sorted(scores)))
        assert tie_groups({name: scores[name] for name in names}) == tie_groups(scores)

    @settings(max_examples=25)
    @given(scores=score_tables(), shift=dyadic)
    def test_adding_a_constant_to_all_changes_no_rank(self, scores: dict[str, list[np.ndarray]], shift: float) -> None:
        """Law: only differences count, also the part of them that is the same for all models."""
        moved = {name: [part + shift for part in parts] for name, parts in scores.items()}
        before, after = tie_groups(scores), tie_groups(moved)
        assert {name: (s.rank, s.leader) for name, s in before.items()} == {
            name: (s.rank, s.leader) for name, s in after.items()
        }

    @settings(max_examples=25)
    @given(scores=score_tables())
    def test_ranks_are_those_of_competitions(self, scores: dict[str, list[np.ndarray]]) -> None:
        """Law: a rank is one more than the number of models in better groups, and leaders tie with themselves."""
        standings = tie_groups(scores)
        ranks = sorted(standing.rank for standing in standings.values())
        assert ranks[0] == 1
        assert all(rank == 1 + sum(other < rank for other in ranks) for rank in ranks)
        assert all(standings[standing.leader].rank == standing.rank for standing in standings.values())

    @settings(max_examples=25)
    @given(scores=score_tables())
    def test_members_tie_with_their_leader_and_later_groups_do_not(self, scores: dict[str, list[np.ndarray]]) -> None:
        """Law: a model is in a group exactly if its paired interval to the group's leader includes 0."""
        standings = tie_groups(scores)
        for name, standing in standings.items():
            for leader in {other.leader for other in standings.values() if other.rank <= standing.rank}:
                difference = [mine - its for mine, its in zip(scores[name], scores[leader], strict=True)]
                [interval] = mean_intervals([part[None] for part in difference])
                assert interval.includes_zero == (leader == standing.leader)


class TestResolution:
    def test_two_models_give_the_half_width_of_their_difference(self) -> None:
        base = np.array([10.0, 20.0])
        # Differences 0 and 1: the interval is [0, 1].
        assert resolution({"a": [base], "b": [base + np.array([0.0, 1.0])]}) == 0.5

    def test_it_is_the_median_over_pairs(self) -> None:
        base = np.array([10.0, 20.0])
        scores = {"a": [base], "b": [base + np.array([0.0, 1.0])], "c": [base + np.array([0.0, 4.0])]}
        # Half-widths: a-b 0.5, a-c 2, b-c 1.5.
        assert resolution(scores) == 1.5

    def test_one_model_or_one_image_resolves_nothing(self) -> None:
        assert math.isnan(resolution({"a": [np.array([1.0, 2.0])]}))
        assert math.isnan(resolution({"a": [np.array([1.0])], "b": [np.array([2.0])]}))

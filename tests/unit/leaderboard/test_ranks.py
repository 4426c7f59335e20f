"""Ranks with simultaneous intervals: hand-made cases, laws, and the error that is promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srbench.leaderboard import ranks, statistics
from srbench.leaderboard.ranks import Ranking, rank_models, resolution, separated_pairs
from srbench.leaderboard.skewness import mean_skewness, raised
from srbench.leaderboard.statistics import FEW_IMAGES, NO_NOISE, Interval, SeedNoise, pooled_noise

Scores = dict[str, list[np.ndarray]]

# Multiples of 1/64 below 64: sums and differences of them are exact in float64, so that the laws hold to the last bit.
dyadic = st.integers(0, 64 * 64).map(lambda value: value / 64)


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests quick: the laws hold for any number of resamples and flips."""
    monkeypatch.setattr(statistics, "RESAMPLES", 99)
    monkeypatch.setattr(ranks, "FLIPS", 499)


@st.composite
def score_tables(draw: st.DrawFn, least: int = 1, most: int = 14) -> Scores:
    """Return models whose values differ by a shift and by their own deviations, which may be small or large."""
    sizes = draw(st.lists(st.integers(least, most), min_size=1, max_size=2))
    spread = draw(st.sampled_from([1, 16, 64 * 8]))
    small = st.integers(0, spread).map(lambda value: value / 64)
    return {
        f"m{index}": [
            draw(dyadic) + np.array(draw(st.lists(small, min_size=size, max_size=size)), dtype=float) for size in sizes
        ]
        for index in range(draw(st.integers(1, 5)))
    }


def intervals(ranking: Ranking) -> dict[str, tuple[int, int, int]]:
    return {name: (one.rank, one.best, one.worst) for name, one in ranking.standings.items()}


class TestRanks:
    def test_hand_made_ranks(self) -> None:
        base = np.array([10.0, 20, 30, 40, 50, 60, 70, 80])
        scores = {
            "best": [base],
            "nearly": [base + np.array([0.5, -0.5, 0.5, -0.5, 0.25, -0.5, 0.5, -0.5])],
            "worse": [base - 2],
            "also worse": [base - 2],
            "worst": [base - 4],
        }
        # Eight images have 128 patterns of signs. A constant difference reaches the largest statistic in one of them.
        assert intervals(rank_models(scores)) == {
            "best": (1, 1, 2),
            "nearly": (2, 1, 2),
            "worse": (3, 3, 4),
            "also worse": (3, 3, 4),
            "worst": (5, 5, 5),
        }

    def test_text_of_an_interval(self) -> None:
        base = np.arange(8.0)
        standings = rank_models({"a": [base], "b": [base], "c": [base - 1]}).standings
        assert [standings[name].interval for name in "abc"] == ["1–2", "1–2", "3"]

    def test_separation_of_a_pair_is_the_exact_sign_flip_test(self, seed: int) -> None:
        """With two models, one data set: separated only if at most 5% of all flips reach the observed mean.

        Where the mean has the sign of the skewness, exactly if so.
        """
        rng = np.random.default_rng(seed)
        outcomes = set()
        for _ in range(90):
            difference = rng.normal(0.6, 1, 8)
            signs = 1 - 2 * ((np.arange(256)[:, None] >> np.arange(8)) & 1)
            p = np.mean(np.abs(signs @ difference) >= abs(difference.sum()) - 1e-9)
            standing = rank_models({"a": [difference], "b": [np.zeros(8)]}).standings["a"]
            if ((difference - difference.mean()) ** 3).sum() * difference.sum() > 0:
                assert (standing.best == standing.worst) == (p <= 0.05)
            else:
                assert (standing.best != standing.worst) or p <= 0.05
            outcomes.add(standing.best == standing.worst)
        assert outcomes == {True, False}

    def test_difference_is_to_the_first(self) -> None:
        base = np.array([10.0, 20, 30, 40])
        standings = rank_models({"a": [base], "b": [base - 1], "c": [base - 3]}).standings
        assert standings["c"].to_best == Interval(-3.0, -3.0, -3.0)
        assert [standings[name].first for name in "abc"] == [True, False, False]

    def test_means_that_differ_by_rounding_are_equal(self) -> None:
        scores = {"a": [np.full(9, 0.3)], "b": [np.full(9, 0.1) + 0.2], "c": [np.full(9, 0.3) + 1e-13]}
        assert set(intervals(rank_models(scores)).values()) == {(1, 1, 3)}

    def test_none_and_one_model(self) -> None:
        assert rank_models({}).standings == {}
        assert intervals(rank_models({"a": [np.arange(9.0)]})) == {"a": (1, 1, 1)}
        assert intervals(rank_models({"a": [np.array([1.0])], "b": [np.array([2.0])]})) == {
            "a": (2, 1, 2),
            "b": (1, 1, 2),
        }

    def test_one_image_beside_many_breaks_nothing(self) -> None:
        scores = {name: [np.array([value]), np.full(9, value)] for name, value in (("a", 1.0), ("b", 2.0))}
        assert intervals(rank_models(scores)) == {"a": (2, 2, 2), "b": (1, 1, 1)}

    def test_many_models_take_memory_for_models_by_flips_only(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        import tracemalloc

        rng = np.random.default_rng(seed)
        peaks = []
        for models in (60, 120):
            scores = {f"m{index:03d}": [rng.normal(index, 1, 20)] for index in range(models)}
            tracemalloc.start()
            rank_models(scores)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        # All pairs by flips would be 7140 * 499 * 8 bytes = 28 MB for 120 models, four times that of 60.
        assert peaks[1] < 8e6
        assert peaks[1] < 3 * peaks[0]


class TestLaws:
    @settings(max_examples=50)
    @given(scores=score_tables())
    def test_a_better_mean_never_has_a_worse_rank(self, scores: Scores) -> None:
        """Law: ranks follow the means, whatever the intervals are; equal means have equal ranks."""
        standings = list(rank_models(scores).standings.values())
        for one in standings:
            assert one.rank == 1 + sum(other.mean > one.mean + 1e-9 for other in standings)
        assert [one.rank for one in standings] == sorted(one.rank for one in standings)

    @settings(max_examples=50)
    @given(scores=score_tables(), higher=st.booleans())
    def test_the_interval_contains_the_rank(self, scores: Scores, higher: bool) -> None:
        """Law: 1 <= best <= rank <= worst <= number of models."""
        standings = rank_models(scores, higher_is_better=higher).standings
        for one in standings.values():
            assert 1 <= one.best <= one.rank <= one.worst <= len(scores)

    @settings(max_examples=50)
    @given(scores=score_tables(), data=st.data())
    def test_the_order_of_models_and_of_images_does_not_matter(self, scores: Scores, data: st.DataObject) -> None:
        """Law: the ranking is a function of the set of models and of the sets of images."""
        names = data.draw(st.permutations(sorted(scores)))
        orders = [data.draw(st.permutations(range(len(part)))) for part in scores[names[0]]]
        mixed = {
            name: [part[np.array(order)] for part, order in zip(scores[name], orders, strict=True)] for name in names
        }
        before, after = rank_models(scores), rank_models(mixed)
        assert intervals(before) == intervals(after)
        assert before.critical == pytest.approx(after.critical, rel=1e-9)

    @settings(max_examples=50)
    @given(scores=score_tables(), shift=dyadic)
    def test_adding_a_constant_to_all_changes_no_rank(self, scores: Scores, shift: float) -> None:
        """Law: only differences count, also where an image's difficulty is added to all models."""
        moved = {name: [part + shift * np.arange(1, len(part) + 1) for part in parts] for name, parts in scores.items()}
        assert intervals(rank_models(scores)) == intervals(rank_models(moved))

    @settings(max_examples=50)
    @given(scores=score_tables(), factor=st.sampled_from([0.25, 2.0, 1024.0]))
    def test_the_unit_does_not_matter(self, scores: Scores, factor: float) -> None:
        """Law: values times a positive number give the same ranks and intervals."""
        scaled = {name: [part * factor for part in parts] for name, parts in scores.items()}
        assert intervals(rank_models(scores)) == intervals(rank_models(scaled))

    @settings(max_examples=50)
    @given(scores=score_tables())
    def test_equal_models_tie(self, scores: Scores) -> None:
        """Law: a copy of a model has its rank and its interval, which contains both."""
        first = min(scores)
        standings = rank_models(scores | {"copy": [part.copy() for part in scores[first]]}).standings
        one, copy = standings[first], standings["copy"]
        assert (one.rank, one.best, one.worst) == (copy.rank, copy.best, copy.worst)
        assert one.worst > one.best

    @settings(max_examples=50)
    @given(scores=score_tables(most=FEW_IMAGES - 1))
    def test_fewer_than_six_images_order_nothing(self, scores: Scores) -> None:
        """Law: with fewer than 6 images in all, every rank is left open."""
        if sum(len(part) for part in scores["m0"]) >= FEW_IMAGES:
            scores = {name: parts[:1] for name, parts in scores.items()}
        ranking = rank_models(scores)
        assert {(best, worst) for _, best, worst in intervals(ranking).values()} == {(1, len(scores))}
        assert math.isinf(ranking.critical)

    @settings(max_examples=50)
    @given(scores=score_tables(least=3), higher=st.booleans())
    def test_separation_is_of_pairs_and_never_both_ways(self, scores: Scores, higher: bool) -> None:
        """Law: as many are separated above as below: the sum of best ranks mirrors that of worst ranks."""
        standings = rank_models(scores, higher_is_better=higher).standings.values()
        assert sum(one.best - 1 for one in standings) == sum(len(scores) - one.worst for one in standings)


class TestError:
    """Few trials with a fixed seed; `benchmarks/experiments/rank_error.py` does it at full size."""

    TRIALS = 300

    @staticmethod
    def draw(distribution: str, rng: np.random.Generator, images: int) -> np.ndarray:
        if distribution == "normal":
            return rng.normal(size=(10, images))
        return rng.standard_t(3, (10, images)) if distribution == "heavy" else rng.exponential(size=(10, images))

    @pytest.mark.parametrize("distribution", ["normal", "heavy", "skewed"])
    @pytest.mark.parametrize("sizes", [(5,), (14,), (60,), (5, 14), (5, 6, 14)])
    def test_equal_models_are_separated_in_at_most_five_percent_of_trials(
        self, distribution: str, sizes: tuple[int, ...]
    ) -> None:
        # Of 300 trials, 5% and three standard errors are 27.
        rng = np.random.default_rng([len(sizes), sum(sizes), len(distribution)])
        wrong = 0
        for _ in range(self.TRIALS):
            parts = [self.draw(distribution, rng, size) for size in sizes]
            wrong += separated_pairs(parts, [NO_NOISE] * 10, np.ones(10, dtype=int))[0].any()
        assert wrong <= 27
        assert wrong > 2 or sizes == (5,), "an error far below 5% would mean that intervals are too wide"

    def test_methods_that_are_equal_but_for_their_seeds_are_separated_as_rarely(self) -> None:
        rng = np.random.default_rng(7)
        counts = np.full(6, 2)
        aware = unaware = 0
        for _ in range(self.TRIALS):
            values = rng.normal(size=(6, 2, 14)) + rng.normal(0, 0.5, (6, 2, 1))
            noise = pooled_noise(values.mean(axis=2).tolist())
            averaged = [values.mean(axis=1)]
            aware += separated_pairs(averaged, [noise] * 6, counts)[0].any()
            unaware += separated_pairs(averaged, [NO_NOISE] * 6, counts)[0].any()
        assert 2 < aware <= 27
        assert unaware > 100

    def test_different_models_are_told_apart(self) -> None:
        """Power: ten models 0.25 standard deviations apart on 100 images; most pairs are separated, none wrongly."""
        rng = np.random.default_rng(8)
        right = wrong = 0
        for _ in range(20):
            parts = [rng.normal(size=(10, 100)) + 0.25 * np.arange(10)[:, None]]
            separated, _ = separated_pairs(parts, [NO_NOISE] * 10, np.ones(10, dtype=int))
            ahead = parts[0].mean(axis=1)[:, None] > parts[0].mean(axis=1)
            truly = np.triu(np.ones((10, 10), dtype=bool), 1).T
            right += (separated & ahead & truly).sum()
            wrong += (separated & ahead & ~truly).sum()
        assert right / (20 * 45) > 0.7
        assert wrong <= 1

    def test_later_steps_separate_pairs_that_the_first_does_not(self) -> None:
        """Step-down: pairs below the first critical value are separated once those above it have left.

        Values are mirrored, so that no difference is skewed.
        """
        rng = np.random.default_rng(9)
        below = 0
        for _ in range(10):
            half = rng.normal(size=(6, 15))
            values = np.concatenate([half, -half], axis=1) + 0.6 * np.arange(6)[:, None]
            separated, critical = separated_pairs([values], [NO_NOISE] * 6, np.ones(6, dtype=int))
            differences = values[:, None] - values
            statistic = np.abs(differences.sum(axis=2)) / np.sqrt((differences**2).sum(axis=2) + np.eye(6))
            assert separated[statistic >= critical * (1 + 1e-6)].all()
            below += (separated & (statistic < critical * (1 - 1e-6))).sum()
        assert below > 0


class TestSkewness:
    """Truly equal models whose differences are skewed; at full size in `benchmarks/experiments/rank_error.py`."""

    def test_models_that_respond_differently_to_one_skewed_property_are_rarely_separated(self) -> None:
        rng = np.random.default_rng(10)
        error = {}
        for factor in (1.0, 0.0):
            error[factor] = 0
            for _ in range(300):
                signs = np.where(np.arange(10) % 2, 1, -1)[:, None]
                values = signs * (rng.exponential(size=(10, 14)) - 1)
                if factor == 0.0:
                    values = rng.normal(size=(10, 14))
                error[factor] += separated_pairs([values], [NO_NOISE] * 10, np.ones(10, dtype=int))[0].any()
        # Of 300 trials, 6.5% and two standard errors are 28; flips alone have 17%, 51.
        assert error[1.0] <= 28
        assert error[0.0] <= 27

    def test_a_difference_far_beyond_its_scatter_is_separated_however_skewed(self, seed: int) -> None:
        deviations = np.random.default_rng(seed).exponential(0.01, 14)
        for sign in (1, -1):
            standings = rank_models({"a": [10 + sign * deviations], "b": [np.zeros(14)]}).standings
            assert [standings[name].interval for name in "ab"] == ["1", "2"]

    @settings(max_examples=50)
    @given(
        critical=st.floats(0.5, 3.7),
        skewness=st.lists(st.floats(0, 3), min_size=2, max_size=2),
        images=st.integers(6, 99),
    )
    def test_the_critical_value_grows_with_the_skewness_and_stays_within_reach(
        self, critical: float, skewness: list[float], images: int
    ) -> None:
        """Law: from the value for symmetric differences to that of a constant difference, never falling."""
        critical = min(critical, 0.999 * np.sqrt(images))
        low, high = raised(critical, np.sort(np.abs(skewness)), 1 / images)
        assert critical * (1 - 1e-9) <= low <= high * (1 + 1e-9)
        assert high <= np.sqrt(images) * (1 + 1e-9)

    def test_skewness_of_known_values(self) -> None:
        # Of 0, 0, 0, 4: m2 = 3, m3 = 6; unbiased third moment 6 * 16 / 6 = 16, variance 4; of the mean 16 / 16 and 1.
        assert mean_skewness([np.array([[0.0, 0, 0, 4]])])[0] == pytest.approx(1.0)
        two = [np.array([[0.0, 0, 0, 4]]), np.array([[0.0, 0, 0, -4]])]
        assert mean_skewness(two)[0] == pytest.approx(0.0)
        assert mean_skewness([np.full((1, 5), 0.1)])[0] == 0.0
        assert mean_skewness([np.array([[0.0, 0, 0, 4]])], spread=3.0)[0] == pytest.approx(1 / 8)


class TestSeeds:
    def test_known_noise_leaves_ranks_open_that_images_would_close(self) -> None:
        base = np.arange(8.0)
        wobble = np.array([0.01, -0.01, 0.02, -0.02, 0.01, -0.01, 0.02, -0.02])
        scores = {"a": [base + 0.2], "b": [base + wobble]}
        opens = {
            size: rank_models(scores, dict.fromkeys(scores, SeedNoise(size, 10)), dict.fromkeys(scores, 2)).standings
            for size in (0.001, 0.5)
        }
        assert [opens[0.001][name].interval for name in "ab"] == ["1", "2"]
        assert [opens[0.5][name].interval for name in "ab"] == ["1–2", "1–2"]

    def test_noise_of_one_family_does_not_open_the_ranks_of_another(self) -> None:
        base = np.arange(20.0)
        wobble = 0.02 * np.sin(np.arange(20) * 2.5)
        scores = {"a1": [base + 9.2], "a2": [base + 9 + wobble], "b1": [base + 0.2], "b2": [base - wobble]}
        noisy, steady = SeedNoise(0.5, 8), SeedNoise(0.01, 8)
        noise = {name: noisy if name[0] == "a" else steady for name in scores}
        standings = rank_models(scores, noise, dict.fromkeys(scores, 2)).standings
        assert [standings[name].interval for name in sorted(scores)] == ["1–2", "1–2", "3", "4"]


class TestResolution:
    def test_a_pair_that_differs_by_more_is_separated_and_by_less_is_not(self, seed: int) -> None:
        """At the resolution, the same on every data set, a pair's statistic is exactly critical."""
        rng = np.random.default_rng(seed)
        deviations = [rng.normal(0, 0.1, 12), rng.normal(0, 0.1, 7)]
        centred = [part - part.mean() for part in deviations]
        if mean_skewness([part[None] for part in centred])[0] < 0:  # skewed as the difference below is
            centred = [-part for part in centred]
        shifted = {"a": [part + 0.3 for part in centred], "b": [np.zeros(12), np.zeros(7)]}
        critical = rank_models(shifted).critical
        [least] = resolution(shifted, critical)
        for amount, inside in ((1.001 * least, True), (0.999 * least, False)):
            size = sum(((part + amount) ** 2).sum() / (2 * len(part)) ** 2 for part in centred)
            assert (amount / np.sqrt(size) >= critical) == inside

    def test_it_takes_more_where_the_difference_is_skewed_against_its_mean(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        deviations = rng.exponential(0.1, 14)
        deviations -= deviations.mean()
        needed = {}
        for sign in (1, -1):
            scores = {"a": [sign * deviations + 1], "b": [np.zeros(14)]}
            ranking = rank_models(scores)
            [needed[sign]] = resolution(scores, ranking.critical)
        assert needed[-1] > 1.2 * needed[1]

    def test_pairs_are_in_ascending_order(self) -> None:
        base = np.arange(9.0)
        scores = {"a": [base], "b": [base + 0.1 * np.sin(base)], "c": [base + np.cos(base)]}
        values = resolution(scores, 2.0)
        assert len(values) == 3
        assert (np.diff(values) >= 0).all()

    def test_nothing_is_resolved_by_too_few_images_or_one_model(self) -> None:
        scores = {"a": [np.arange(5.0)], "b": [np.ones(5)]}
        assert np.isinf(resolution(scores, rank_models(scores).critical)).all()
        assert resolution({"a": [np.arange(9.0)]}, 2.0).size == 0

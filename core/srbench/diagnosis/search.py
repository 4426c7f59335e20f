"""Find the choices that give expected figures: one change from the default first, then two at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from srbench.diagnosis.choices import Alternative, Combination, PassChoices, ScoreChoices, varied
from srbench.diagnosis.expectations import Expectation
from srbench.diagnosis.measuring import Means, Measuring
from srbench.errors import SRBenchError

__all__ = ["Diagnosis", "Finding", "Plan", "search"]

# Pairs whose figure is predicted this close are run although another combination agrees already, to list ties.
_NEAR = {"psnr": 0.03, "ssim": 0.0005}
# How far the change on a few images may be from the change on all: a part of it, but no less than this.
_PART = 0.25
_NEAREST = 3  # shown where nothing agrees

Figures = dict[Expectation, float]


@dataclass(frozen=True)
class Finding:
    """A combination and its figures on all images."""

    combination: Combination
    figures: Figures

    @property
    def miss(self) -> float:
        """How far the worst figure is off beyond its tolerance, in tolerances; 0 if all agree."""
        return max(one.excess(mean) for one, mean in self.figures.items())


@dataclass(frozen=True)
class Plan:
    """What is searched.

    Attributes:
        default: What is done by default.
        options: The alternatives of each choice.
        changes: The most choices that are changed together.
        images: All images by data set.
        seconds: Time that forward passes may take on all images; above it, a few images decide what is run on all.
        exhaustive: Whether to run every pair, although some combination agrees.
    """

    default: Combination
    options: Mapping[str, Sequence[Alternative]]
    changes: int
    images: Mapping[str, Sequence[str]]
    seconds: float
    exhaustive: bool = False


@dataclass
class Diagnosis:
    """What a search found.

    Attributes:
        default: The default and its figures.
        matches: The combinations with the fewest changes that give every expected figure, the likeliest first.
        further: How many combinations with more changes give them too.
        nearest: Where there is no match, the combinations that come closest, the nearest first.
        partly: Where there is none, by expectation, those with the fewest changes that give this figure alone.
        tried: Number of combinations that were scored.
        unusable: Choices that could not be used, and why.
        screened: Number of images per data set that decided what was run on all; empty if everything was.
    """

    default: Finding
    matches: list[Finding] = field(default_factory=list)
    further: int = 0
    nearest: list[Finding] = field(default_factory=list)
    partly: dict[Expectation, list[Finding]] = field(default_factory=dict)
    tried: int = 0
    unusable: dict[str, str] = field(default_factory=dict)
    screened: dict[str, int] = field(default_factory=dict)


# How much of the planned passes is done, how many there are, and what is done now.
Progress = Callable[[int, int, str], None]


def search(measuring: Measuring, plan: Plan, progress: Progress | None = None) -> Diagnosis:
    """Search for the combinations that give every expected figure with the fewest changes.

    Every choice of forward passes is run once and scored in all ways, as scoring costs little. Pairs of such choices
    are run in the order of what their two changes alone predict, until one agrees.

    Args:
        measuring: Runs the network.
        plan: What is searched.
        progress: Called before each choice of forward passes.

    Raises:
        SRBenchError: The network cannot be measured by default.
    """
    return _Search(measuring, plan, progress or (lambda done, total, what: None)).run()


class _Search:
    def __init__(self, measuring: Measuring, plan: Plan, progress: Progress) -> None:
        self.measuring, self.plan, self.progress = measuring, plan, progress
        self.default = plan.default
        self.found: list[Finding] = []
        self.unusable: dict[str, str] = {}
        self.screen: Mapping[str, Sequence[str]] = plan.images
        self.base_on_screen: Means = {}
        self.effects: dict[tuple[str, Any], Figures] = {}  # of single changes
        self.done = 0

    def run(self) -> Diagnosis:
        plan, usual = self.plan, self.default.passed
        singles = list(varied(usual, plan.options, 1))
        pairs = [pair for count in range(2, plan.changes + 1) for pair in varied(usual, plan.options, count)]
        self.total = 1 + len(singles) + len(pairs)
        self.progress(0, self.total, "the default")
        base = self.measuring.means(usual, self._scorings(0), plan.images)
        self.found += _findings(usual, base)
        self.base = base
        self.done = 1
        if self._best() == 0 or plan.changes == 0:
            return self._diagnosis()
        self._choose_screen(len(singles))
        for passed in singles:
            self._try(passed)
        if self._best() == 1 or plan.changes == 1:
            return self._diagnosis()
        self._try_pairs(pairs)
        return self._diagnosis()

    def _scorings(self, changes: int) -> list[ScoreChoices]:
        """Return the choices of scoring that go with so many changes of the forward passes."""
        usual, options = self.default.scored, self.plan.options
        return [one for count in range(self.plan.changes - changes + 1) for one in varied(usual, options, count)]

    def _choose_screen(self, singles: int) -> None:
        """Choose a few images where all would take too long."""
        images = self.plan.images
        count = sum(map(len, images.values()))
        needed = self.measuring.seconds * singles
        if needed <= self.plan.seconds:
            return
        share = self.plan.seconds / needed
        few = {name: max(3, round(len(names) * share)) for name, names in images.items()}
        if sum(min(few[name], len(images[name])) for name in images) >= count:
            return
        self.screen = {name: _spread(names, few[name]) for name, names in images.items()}
        self.base_on_screen = self.measuring.means(self.default.passed, self._scorings(0), self.screen)

    def _try(self, passed: PassChoices) -> None:
        changed = Combination(passed, self.default.scored).changes(self.default)
        what = ", ".join(f"{name} {value}" for name, value in changed.items())
        self.progress(self.done, self.total, what)
        self.done += 1
        scorings = self._scorings(len(changed))
        try:
            means = self.measuring.means(passed, scorings, self.screen)
            if self.base_on_screen:
                estimates = {key: self._estimate(key, value) for key, value in means.items()}
                self._note_effect(changed, estimates)
                if not any(self._promising(choice, estimates, means) for choice in scorings):
                    return
                means = self.measuring.means(passed, scorings, self.plan.images)
        except SRBenchError as error:
            self.unusable[what] = str(error)
            return
        self._note_effect(changed, means)
        self.found += _findings(passed, means)

    def _note_effect(self, changed: Mapping[str, Any], means: Means) -> None:
        if len(changed) == 1:
            usual = self.default.scored
            self.effects[next(iter(changed.items()))] = {
                one: mean - self.base[usual, one] for (choice, one), mean in means.items() if choice == usual
            }

    def _estimate(self, key: tuple[ScoreChoices, Expectation], mean: float) -> float:
        """Return what a mean over a few images says of the mean over all."""
        usual = (self.default.scored, key[1])
        return self.base[usual] + mean - self.base_on_screen[usual]

    def _promising(self, choice: ScoreChoices, estimates: Means, means: Means) -> bool:
        for (other, one), estimate in estimates.items():
            if other == choice:
                change = abs(means[other, one] - self.base_on_screen[self.default.scored, one])
                margin = max(_PART * change, _NEAR[one.metric[:4]])
                if abs(estimate - one.value) > one.tolerance + margin:
                    return False
        return True

    def _try_pairs(self, pairs: Sequence[PassChoices]) -> None:
        predicted = {pair: self._predicted_miss(pair) for pair in pairs}
        for pair in sorted(pairs, key=lambda one: predicted[one]):
            near = predicted[pair] <= 1.0
            if not (near or self.plan.exhaustive) and self._best() is not None:
                break
            self._try(pair)

    def _predicted_miss(self, pair: PassChoices) -> float:
        """Return how far the sum of single changes is from the expected figures; 1 is near enough for a tie."""
        changed = Combination(pair, self.default.scored).changes(self.default).items()
        if any(one not in self.effects for one in changed):
            return float("inf")  # one of them cannot be used alone
        parts = [self.effects[one] for one in changed]
        usual = self.default.scored
        return max(
            abs(self.base[usual, one] + sum(part[one] for part in parts) - one.value)
            / (one.tolerance + _NEAR[one.metric[:4]])
            for one in self.measuring.expectations
        )

    def _best(self) -> int | None:
        """Return the fewest changes with which every figure agrees so far."""
        counts = [len(one.combination.changes(self.default)) for one in self.found if one.miss == 0]
        return min(counts) if counts else None

    def _diagnosis(self) -> Diagnosis:
        ranked = sorted(self.found, key=self._likelihood)
        agreeing = [one for one in ranked if one.miss == 0]
        fewest = self._best()
        matches = [one for one in agreeing if len(one.combination.changes(self.default)) == fewest]
        default = next(one for one in self.found if one.combination == self.default)
        result = Diagnosis(default, matches, len(agreeing) - len(matches), tried=len(self.found))
        result.unusable = self.unusable
        if self.base_on_screen:
            result.screened = {name: len(names) for name, names in self.screen.items()}
        if not matches:
            result.nearest = sorted(self.found, key=lambda one: one.miss)[:_NEAREST]
            if len(self.measuring.expectations) > 1:
                result.partly = {one: self._giving(one, ranked) for one in self.measuring.expectations}
        return result

    def _giving(self, expectation: Expectation, ranked: Sequence[Finding]) -> list[Finding]:
        giving = [one for one in ranked if expectation.agrees(one.figures[expectation])]
        fewest = min((len(one.combination.changes(self.default)) for one in giving), default=0)
        return [one for one in giving if len(one.combination.changes(self.default)) == fewest]

    def _likelihood(self, finding: Finding) -> tuple[int, int, float]:
        changes = finding.combination.changes(self.default)
        rarity = sum(
            option.rarity
            for name, value in changes.items()
            for option in self.plan.options[name]
            if option.value == value
        )
        off = sum(abs(mean - one.value) / one.tolerance for one, mean in finding.figures.items())
        return len(changes), rarity, off


def _findings(passed: PassChoices, means: Means) -> list[Finding]:
    figures: dict[ScoreChoices, Figures] = {}
    for (choice, one), mean in means.items():
        figures.setdefault(choice, {})[one] = mean
    return [Finding(Combination(passed, choice), found) for choice, found in figures.items()]


def _spread(names: Sequence[str], count: int) -> list[str]:
    """Return some names at even distances."""
    if count >= len(names):
        return list(names)
    return [names[round(index * (len(names) - 1) / (count - 1))] for index in range(count)]

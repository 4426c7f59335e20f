"""Figures and training recipes that are published of weights, and how measured figures differ from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from srbench.results.reported import ReportedFigure

__all__ = [
    "TOLERANCES",
    "UNEXPLAINED",
    "Difference",
    "Published",
    "PublishedFigure",
    "TrainingFacts",
    "differences",
]

# Largest difference that counts as agreement: printed figures are rounded to 0.01 dB and 0.0001.
TOLERANCES = {"psnr": 0.01, "ssim": 0.0002}
UNEXPLAINED = "unexplained"
_METRICS = {"y": {"psnr": "psnr_y", "ssim": "ssim_y"}, "rgb": {"psnr": "psnr_rgb", "ssim": "ssim_rgb"}}


class PublishedFigure(ReportedFigure):
    """A published figure of published weights.

    Attributes:
        model: The model, its tag included.
        colors: What the figure was computed on: luma or RGB.
        like: The protocol of sr-bench that is most like the authors'.
        cause: Why the figure measured under `like` differs; begins with "unexplained" where that is not known.
        settings: The choices other than those of `like` that give the published figure, as `srbench diagnose --with`
            takes them: `hr_crop=12, lr_rounding=once`.
    """

    model: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    colors: Literal["y", "rgb"] = "y"
    like: str = Field("matlab-y", min_length=1)
    cause: str = ""
    settings: str = Field("", pattern=r"^(\w+=[^=,]+(, \w+=[^=,]+)*)?$")

    @property
    def source(self) -> str:
        """Return where the figure is printed."""
        return f"{self.paper}, {self.table}"


class TrainingFacts(BaseModel):
    """What is published of the training of weights; empty where it is not known.

    Attributes:
        model: The model, its tag included.
        scales: The scales that this is about, separated by spaces; empty for all.
        data: The training set.
        iterations: Optimizer steps.
        batch: Patches per step.
        patch: Side of a patch in pixels, and of which image, such as `HR 192`.
        source: Where that is published.
        note: Anything else that matters in comparing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    scales: str = Field("", pattern=r"^(\d+( \d+)*)?$")
    data: str = Field(min_length=1)
    iterations: str = Field("", pattern=r"^\d{0,12}$")
    batch: str = Field("", pattern=r"^\d{0,6}$")
    patch: str = ""
    source: str = Field(min_length=1)
    note: str = ""

    def serves(self, scale: int) -> bool:
        """Return whether this is about the weights for a scale."""
        return not self.scales or str(scale) in self.scales.split()


@dataclass(frozen=True)
class Difference:
    """A measured mean beside the published figure.

    Attributes:
        figure: What is published.
        metric: `psnr` or `ssim`.
        printed: The published figure, as printed.
        protocol: The protocol of the measured mean, without inference options.
        measured: The measured mean.
    """

    figure: PublishedFigure
    metric: str
    printed: str
    protocol: str
    measured: float

    @property
    def value(self) -> float:
        """Return measured minus published."""
        return self.measured - float(self.printed)

    @property
    def decimals(self) -> int:
        """Return how many decimals are printed."""
        return len(self.printed.partition(".")[2])

    @property
    def places(self) -> int:
        """Return how many decimals a difference is written with: one more than printed, and at most five."""
        return min(self.decimals, 4) + 1

    @property
    def agrees(self) -> bool:
        """Return whether the two agree, as far as printed figures can."""
        return abs(round(self.value, 6)) <= TOLERANCES[self.metric]

    @property
    def cause(self) -> str:
        """Return why the two differ, `UNEXPLAINED` where that is not known; empty where they agree."""
        if self.agrees:
            return ""
        if self.protocol != self.figure.like:
            return f"another protocol: the published figure is most like {self.figure.like}"
        if not self.figure.settings:
            return self.figure.cause or UNEXPLAINED
        cause = self.figure.cause or "other choices in evaluation"
        return f'{cause} (srbench diagnose --with "{self.figure.settings}")'

    @property
    def silent(self) -> bool:
        """Return whether the two differ, and nothing is said about it with the published figure."""
        return self.cause == UNEXPLAINED

    @property
    def verdict(self) -> str:
        """Return `agrees`, or the cause."""
        return self.cause or "agrees"


@dataclass(frozen=True)
class Published:
    """What installed plugins say is published of weights.

    Attributes:
        figures: Published figures.
        trainings: Published training recipes.
    """

    figures: tuple[PublishedFigure, ...] = ()
    trainings: tuple[TrainingFacts, ...] = ()

    @cached_property
    def _by_model(self) -> Mapping[tuple[str, int], list[PublishedFigure]]:
        found: dict[tuple[str, int], list[PublishedFigure]] = {}
        for figure in self.figures:
            found.setdefault((figure.model, figure.scale), []).append(figure)
        return found

    def figures_of(self, model: str, scale: int) -> list[PublishedFigure]:
        """Return the published figures of a model at a scale, for all data sets."""
        return self._by_model.get((model, scale), [])

    def training_of(self, model: str, scale: int) -> TrainingFacts | None:
        """Return what is published of the training of a model's weights for a scale, or None."""
        return next((facts for facts in self.trainings if facts.model == model and facts.serves(scale)), None)


def differences(
    figures: Iterable[PublishedFigure], dataset: str, protocol: str, metrics: Mapping[str, float]
) -> list[Difference]:
    """Return published figures beside the measured means of a data set; figures of other data sets are left out.

    Args:
        figures: Published figures of the model at the scale.
        dataset: Name of the data set that was measured.
        protocol: The protocol, inference options included.
        metrics: Metric -> mean.
    """
    found = []
    for figure in figures:
        if figure.dataset != dataset:
            continue
        for metric, name in _METRICS[figure.colors].items():
            printed = {"psnr": figure.psnr, "ssim": figure.ssim}[metric]
            if printed and name in metrics:
                found.append(Difference(figure, metric, printed, protocol.partition("+")[0], metrics[name]))
    return found

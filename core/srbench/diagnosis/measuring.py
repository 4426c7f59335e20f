"""Means of one forward choice over the images of several data sets, under several choices of scoring."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from srbench.data.datasets import Dataset
from srbench.diagnosis.choices import PassChoices, ScoreChoices
from srbench.diagnosis.expectations import Expectation
from srbench.diagnosis.lr_images import lr_and_reference
from srbench.diagnosis.networks import Subject
from srbench.diagnosis.scoring import Scores, score
from srbench.evaluation.evaluate import super_resolve
from srbench.protocols import Protocol
from srbench.storage import sha256_bytes

__all__ = ["Means", "Measuring"]

# Choices and expectation -> mean over the images.
Means = dict[tuple[ScoreChoices, Expectation], float]


@dataclass
class Measuring:
    """Run a network and score what it makes; LR images that were seen before are not run again.

    Attributes:
        subject: The network.
        datasets: Data set by the name that the expectations give it.
        expectations: Which metrics are needed on which data set.
        protocol: The default's choices.
        device: Where the network runs.
        seconds: Time spent, by number of images run.
    """

    subject: Subject
    datasets: Mapping[str, Dataset]
    expectations: Sequence[Expectation]
    protocol: Protocol
    device: torch.device
    seconds: float = 0.0
    passes: int = 0
    _known: dict[tuple[Any, ...], Scores] = field(default_factory=dict)

    def means(
        self,
        passed: PassChoices,
        scored: Iterable[ScoreChoices],
        images: Mapping[str, Sequence[str]],
        progress: Callable[[str], None] | None = None,
    ) -> Means:
        """Return the mean of every expected metric under every choice of scoring.

        Args:
            passed: Choices of the forward passes.
            scored: Choices of scoring.
            images: Names of the images by data set.
            progress: Called with each image's name before it is run.

        Raises:
            SRBenchError: The network cannot be used so, e.g. its output contains NaN.
        """
        wanted = list(scored)
        network = self.subject.adapted(passed.weights, passed.value_range, passed.channels)
        network.to(self.device)
        found: Means = {}
        for name, dataset in self.datasets.items():
            expected = [one for one in self.expectations if one.data == name]
            metrics = sorted({one.metric for one in expected})
            rows = []
            for image in images[name]:
                if progress is not None:
                    progress(image)
                rows.append(self._scores(network, passed, wanted, dataset, image, metrics))
            for choice in wanted:
                for one in expected:
                    found[choice, one] = float(np.mean([row[choice, one.metric] for row in rows]))
        return found

    def _scores(
        self,
        network: torch.nn.Module,
        passed: PassChoices,
        scored: Sequence[ScoreChoices],
        dataset: Dataset,
        image: str,
        metrics: Sequence[str],
    ) -> Scores:
        scale = self.subject.scale
        lr, reference = lr_and_reference(dataset, image, scale, passed, self.protocol)
        # Most changes of the crop leave most images as they are.
        key = (passed.weights, passed.value_range, passed.channels, dataset.name, image, reference.shape, _digest(lr))
        known = self._known.setdefault(key, {})
        missing = [choice for choice in scored if any((choice, metric) not in known for metric in metrics)]
        if missing:
            start = time.perf_counter()
            with torch.inference_mode(), _full_float32():
                output, _ = super_resolve(network, lr, scale, self.device)
            pixels = output.permute(1, 2, 0).float().cpu().numpy()
            fitted = self.protocol.fitted(pixels, reference.shape, scale)
            known |= score(fitted, reference, missing, metrics, self.protocol, scale)
            self.seconds += time.perf_counter() - start
            self.passes += 1
        return known


@contextmanager
def _full_float32() -> Iterator[None]:
    """Switch TF32 off, as evaluations do: it changes PSNR in the second decimal."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _digest(image: npt.NDArray[Any]) -> str:
    return sha256_bytes(f"{image.shape} {image.dtype}".encode() + np.ascontiguousarray(image).tobytes())

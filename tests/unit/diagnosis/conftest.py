"""A tiny network for x2, images, and figures computed without the code under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from srbench.images.files import write_png
from srbench.images.resize import imresize
from srbench.models.backbone import Backbone
from srbench.registry.registries import BACKBONES, register_backbone

Image = npt.NDArray[np.uint8]
SCALE = 2


class Small(Backbone):
    """Two convolutions beside bicubic interpolation."""

    def __init__(self, scales: tuple[int, ...] = (SCALE,)) -> None:
        super().__init__(scales)
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 3 * SCALE**2, 3, padding=1)

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        residual = nn.functional.pixel_shuffle(self.last(torch.relu(self.first(lr))), SCALE)
        return nn.functional.interpolate(lr, scale_factor=SCALE, mode="bicubic") + residual


def small(scales: tuple[int, ...]) -> Backbone:
    return Small(scales)


@pytest.fixture
def small_name() -> Iterator[str]:
    """Register the network under a name, for one test."""
    register_backbone(small, name="small_diagnosed")
    yield "small_diagnosed"
    BACKBONES.remove("small_diagnosed")


@pytest.fixture
def make_state() -> Callable[..., dict[str, Tensor]]:
    """Return a maker of weights: different ones at each call, biases in units of the range; the same in every test."""
    generator = torch.Generator().manual_seed(2)

    def make(peak: float = 1.0) -> dict[str, Tensor]:
        state = {}
        for key, tensor in Small().state_dict().items():
            size = 0.004 * peak if key.endswith("bias") else 0.025
            state[key] = torch.randn(tensor.shape, generator=generator) * size
        return state

    return make


@pytest.fixture
def images(tmp_path: Path) -> dict[str, Image]:
    """Write four pictures to `tmp_path/pictures`, two of them no multiples of 12.

    They are smooth, so that interpolation comes near to them and each level of difference shows. They are the same in
    every session: of these, Pillow's and Matlab's LR images differ enough at the border.
    """
    rng = np.random.default_rng(2)
    found = {}
    for name, (height, width) in {"a": (72, 60), "b": (60, 84), "c": (70, 64), "d": (62, 82)}.items():
        coarse = rng.integers(30, 226, (height // 10 + 1, width // 10 + 1, 3), dtype=np.uint8)
        smooth = imresize(coarse, output_shape=(height, width), rounding="none")
        found[name] = np.clip(np.rint(smooth), 0, 255).astype(np.uint8)
        write_png(found[name], tmp_path / "pictures" / f"{name}.png")
    return found


def figure(
    state: dict[str, Tensor],
    hr_images: dict[str, Image],
    *,
    lr_of: Callable[[Image], Image] | None = None,
    peak: float = 1.0,
    bgr: bool = False,
    truncate: bool = False,
    multiple: int = SCALE,
    border: int = SCALE,
) -> float:
    """Return the mean PSNR on BT.601 luma, written out once more: no code of the package but Matlab's bicubic."""
    network = Small()
    network.load_state_dict(state)
    values = []
    for hr in hr_images.values():
        hr = hr[: hr.shape[0] // multiple * multiple, : hr.shape[1] // multiple * multiple]
        lr = imresize(hr, 1 / SCALE) if lr_of is None else lr_of(hr)
        x = torch.from_numpy(np.array(lr[..., ::-1] if bgr else lr)).permute(2, 0, 1)[None].float() / 255 * peak
        with torch.no_grad():
            y = (network(x) / peak * 255).clamp(0, 255)[0].permute(1, 2, 0)
        sr = (y.floor() if truncate else y.round()).numpy()[..., :: -1 if bgr else 1]
        weights = np.array([65.481, 128.553, 24.966]) / 255
        error = ((sr.astype(np.float64) - hr) @ weights)[border : -border or None, border : -border or None]
        values.append(10 * np.log10(255**2 / np.mean(error**2)))
    return float(np.mean(values))

"""Networks on luma: what they see, what they return, and how the protocols use them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from srbench.data.folders import FolderDataset
from srbench.errors import ConfigError
from srbench.evaluation.evaluate import evaluate
from srbench.images.color import rgb_to_y
from srbench.images.files import read_rgb, write_png
from srbench.images.resize import imresize
from srbench.metrics.comparison import Comparison
from srbench.metrics.psnr import PSNRY
from srbench.metrics.ssim import SSIMY
from srbench.models.backbone import Backbone
from srbench.models.backbones.bicubic import Bicubic
from srbench.models.luma import LumaBackbone, rgb_to_chroma, rgb_to_luma, ycbcr_to_rgb
from srbench.models.matlab_bicubic import matlab_bicubic
from srbench.protocols import get_protocol

METRICS = [PSNRY(), SSIMY()]


class Steps(LumaBackbone):
    """Enlarge luma, times a parameter, at each power of two."""

    def __init__(self, scales: tuple[int, ...] = (4,)) -> None:
        super().__init__(scales)
        self.gain = nn.Parameter(torch.tensor(1.0))

    def luma(self, luma: Tensor, scale: int) -> tuple[Tensor, ...]:
        return tuple(self.gain * matlab_bicubic(luma, step) for step in (2, 4) if step <= scale)

    def luma_targets(self, luma: Tensor, scale: int) -> tuple[Tensor, ...]:
        return tuple(matlab_bicubic(luma, Fraction(step, scale)) for step in (2, 4) if step <= scale)


@pytest.fixture
def dataset(tmp_path: Path) -> FolderDataset:
    rng = np.random.default_rng(3)
    for index, size in enumerate([(32, 44), (26, 33)]):
        coarse = rng.integers(0, 256, (size[0] // 3 + 1, size[1] // 3 + 1, 3), dtype=np.uint8)
        write_png(imresize(coarse, 3)[: size[0], : size[1]], tmp_path / "hr" / f"image{index}.png")
    return FolderDataset(tmp_path / "hr")


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    scale=st.sampled_from([Fraction(1, 4), Fraction(1, 3), Fraction(1, 2), Fraction(1), Fraction(2), Fraction(3)]),
)
def test_interpolation_is_that_of_images_to_the_last_bit(height: int, width: int, scale: Fraction) -> None:
    image = np.random.default_rng(height * 13 + width).random((height, width, 2))
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    expected = imresize(image, scale, rounding="none")
    assert torch.equal(matlab_bicubic(tensor, scale)[0].permute(1, 2, 0), torch.from_numpy(expected))


def test_interpolation_can_be_learned_through() -> None:
    # Tensors made in inference mode must not reach autograd.
    with torch.inference_mode():
        matlab_bicubic(torch.rand(1, 1, 5, 5), 2)
    image = torch.rand(1, 1, 5, 5, requires_grad=True)
    matlab_bicubic(image, 2).sum().backward()
    assert image.grad is not None
    assert image.grad.sum() == pytest.approx(100, abs=1e-3)  # each output pixel's weights add up to 1
    with pytest.raises(ConfigError, match="positive"):
        matlab_bicubic(torch.rand(1, 1, 5, 5), 0)


def test_colours_come_back() -> None:
    rgb = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    back = ycbcr_to_rgb(rgb_to_luma(rgb), rgb_to_chroma(rgb))
    assert torch.allclose(back, rgb, atol=1e-6, rtol=0)
    expected = rgb_to_y(rgb[0].permute(1, 2, 0).double().numpy() * 255) / 255
    assert torch.allclose(rgb_to_luma(rgb.double())[0, 0], torch.from_numpy(expected), atol=1e-12, rtol=0)


def test_luma_given_is_luma_returned() -> None:
    model, rgb = Steps(), torch.rand(1, 3, 6, 5)
    outputs = model(rgb, 4)
    sr = model.image(outputs)
    assert sr.shape == (1, 3, 24, 20)
    alone = model.image(model(rgb_to_luma(rgb), 4))
    assert alone.shape == (1, 1, 24, 20)
    assert torch.allclose(rgb_to_luma(sr), alone, atol=1e-6)
    assert [tuple(image.shape) for image in model.images(outputs)] == [(1, 3, 12, 10), (1, 3, 24, 20)]
    with pytest.raises(ConfigError, match="RGB"):
        model(torch.rand(1, 2, 6, 5), 4)


def test_the_loss_is_a_sum_over_the_pixels_of_all_levels() -> None:
    model = Steps()
    lr, hr = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 16, 16)
    targets = model.targets(hr, 4)
    assert [tuple(target.shape) for target in targets] == [(2, 1, 8, 8), (2, 1, 16, 16)]
    outputs = model(lr, 4)
    loss = model.loss(outputs, targets, nn.L1Loss())
    total = sum((o - t).abs().sum() for o, t in zip(outputs.luma, targets, strict=True))
    assert float(loss.detach()) == pytest.approx(float(total.detach()) / (2 * 16 * 16), rel=1e-5)
    loss.backward()
    assert model.gain.grad is not None
    assert model.gain.grad != 0


def test_bicubic_interpolates_floats_in_floats_and_uint8_images_as_matlab_does() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    whole = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    sr = Bicubic((2,))(whole)[0].permute(1, 2, 0).mul(255)
    assert np.array_equal(sr.round().numpy(), imresize(pixels, 2))
    floats = rng.random((6, 7)) * 255
    sr = Bicubic((2,))(torch.from_numpy(floats)[None, None] / 255)[0, 0].mul(255)
    assert np.allclose(sr.numpy(), imresize(floats, 2, rounding="none"), atol=1e-9)


def test_protocols_for_luma_need_a_network_for_luma(dataset: FolderDataset) -> None:
    class Colours(Backbone):
        def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
            return matlab_bicubic(lr, 2)

    with pytest.raises(ConfigError, match=r"'y-only' gives a network only luma, and 'Colours' takes only RGB"):
        evaluate(Colours((2,)), dataset, 2, get_protocol("y-only"), METRICS)
    with pytest.raises(ConfigError, match="that are not 8-bit RGB"):
        evaluate(Bicubic((2,)), dataset, 2, get_protocol("lapsrn-double"), METRICS, lr="shipped")


def test_y_only_compares_rounded_luma(dataset: FolderDataset, tmp_path: Path) -> None:
    frame = evaluate(Bicubic((2,)), dataset, 2, get_protocol("y-only"), METRICS, save_images=tmp_path / "sr").table
    for _, row in frame.iterrows():
        hr = dataset.hr(row["image"])
        hr = hr[: hr.shape[0] // 2 * 2, : hr.shape[1] // 2 * 2]
        luma = np.floor(rgb_to_y(hr) + 0.5)
        lr = imresize(luma, Fraction(1, 2), rounding="none")
        sr = np.rint(imresize(lr, 2, rounding="none")).clip(0, 255).astype(np.uint8)
        comparison = Comparison.under(get_protocol("y-only"), sr, luma.astype(np.uint8), 2)
        assert row["psnr_y"] == pytest.approx(PSNRY()(comparison), abs=1e-9)
        assert row["ssim_y"] == pytest.approx(SSIMY()(comparison), abs=1e-9)
        assert np.array_equal(read_rgb(tmp_path / "sr" / f"{row['image']}.png")[..., 0], sr)


def test_networks_for_luma_and_for_rgb_see_lr_images_that_were_not_rounded(dataset: FolderDataset) -> None:
    seen: list[Tensor] = []

    class Spy(Steps):
        def luma(self, luma: Tensor, scale: int) -> tuple[Tensor, ...]:
            seen.append(luma)
            return super().luma(luma, scale)

    protocol = get_protocol("lapsrn-double")
    evaluate(Spy((4,)), dataset, 4, protocol, METRICS, image_filter=["image0"])
    expected = rgb_to_y(dataset.lr("image0", 4, protocol))
    assert np.abs(seen[0][0, 0].numpy() * 255 - expected).max() < 1e-4
    assert (np.abs(expected - np.rint(expected)) > 0.01).any()


def test_a_network_for_even_sizes_is_resized_back(dataset: FolderDataset) -> None:
    class Even(Backbone):
        def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
            height, width = (size - size % 2 for size in lr.shape[-2:])
            return matlab_bicubic(lr[:, :, :height, :width], 2)

    found = evaluate(
        Even((2,)), dataset, 2, get_protocol("lapsrn-double"), METRICS, image_filter=["image1"]
    )  # 13 lines
    assert np.isfinite(found.table["psnr_y"]).all()

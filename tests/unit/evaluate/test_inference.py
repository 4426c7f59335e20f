"""Inference options: tiles, self-ensemble, numbers of fewer bits, memory format, compilation; and what they enter."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

import srbench
from srbench.data.folders import FolderDataset
from srbench.errors import ConfigError, DataError
from srbench.evaluation.evaluate import evaluate
from srbench.evaluation.execution import Configured, configured, overlap_of, self_ensemble, tile_error, tiled
from srbench.evaluation.options import DEFAULT, InferenceOptions, TilingWarning, options_from
from srbench.images.files import read_rgb, write_png
from srbench.images.resize import imresize
from srbench.metrics.comparison import Comparison
from srbench.metrics.psnr import PSNRY
from srbench.models.backbone import Backbone
from srbench.protocols import get_protocol
from srbench.runs.fingerprint import cell_key

CPU = torch.device("cpu")
MATLAB = get_protocol("matlab-y")
ALL = {
    "tile": 16, "self_ensemble": True, "dtype": "bf16", "channels_last": True, "compile": True,
}  # fmt: skip


FP32_ONLY = {"swinir_light"}  # basicsr's attention mask is float32 whatever the features are


class Blur(Backbone):
    """Enlarge by repetition, then blur by `layers` 3x3 means: the same for every flip and rotation."""

    def __init__(self, layers: int = 4) -> None:
        super().__init__((2, 3))
        self.receptive_field = layers
        self.layers = layers
        self.weight = nn.Parameter(torch.full((3, 1, 3, 3), 1 / 9))
        self.seen: list[tuple[int, int]] = []

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        self.seen.append((lr.shape[-2], lr.shape[-1]))
        image = lr
        for _ in range(self.layers):
            image = nn.functional.conv2d(image, self.weight.to(image.dtype), padding=1, groups=3)
        return image.repeat_interleave(scale or 2, -1).repeat_interleave(scale or 2, -2)


class Mean(Backbone):
    """Add the mean of the whole image: no tile can know it."""

    def __init__(self) -> None:
        super().__init__((2,))
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        image = lr * 0.5 + self.gain * lr.mean((2, 3), keepdim=True) * 0.5
        return image.repeat_interleave(2, -1).repeat_interleave(2, -2)


def image_of(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def run(model: Backbone, scale: int) -> Callable[[Tensor], Tensor]:
    return lambda batch: model.image(model(batch, scale))


@pytest.fixture
def dataset(tmp_path: Path, seed: int) -> FolderDataset:
    rng = np.random.default_rng(seed)
    for index, size in enumerate([(140, 190), (20, 24), (48, 48)]):
        coarse = rng.integers(0, 256, (size[0] // 3 + 1, size[1] // 3 + 1, 3), dtype=np.uint8)
        write_png(imresize(coarse, 3)[: size[0], : size[1]], tmp_path / "hr" / f"image{index}.png")
    return FolderDataset(tmp_path / "hr")


# Tiles


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    tile=st.sampled_from([16, 24, 40]),
    layers=st.integers(0, 9),
    scale=st.sampled_from([2, 3]),
)
def test_law_of_locality(height: int, width: int, tile: int, layers: int, scale: int) -> None:
    """Law: tiles that overlap by the receptive field give the whole image's output, for any sizes and scale."""
    model, lr = Blur(layers), image_of(height, width)
    with torch.inference_mode():
        whole = model(lr, scale)
        model.seen.clear()
        parts = tiled(run(model, scale), lr, scale, tile, layers)
    assert parts.shape == whole.shape == (1, 3, scale * height, scale * width)
    assert torch.allclose(parts, whole, atol=1e-6, rtol=0)
    # Memory is bounded by the tile: no part is larger than it, its overlaps and the grid that it is put on.
    most = tile + 2 * (layers + 7)
    assert max(max(size) for size in model.seen) <= most
    if height <= tile and width <= tile:
        assert model.seen == [(height, width)]


def test_an_overlap_short_of_the_field_shows(seed: int) -> None:
    model, lr = Blur(9), image_of(64, 64, seed)
    with torch.inference_mode():
        whole = model(lr, 2)
        # The grid of 8 pixels rounds overlaps up: 1 becomes 8, which is 1 short of 9.
        difference = (tiled(run(model, 2), lr, 2, 16, 1) - whole).abs()
    assert difference.max() > 1e-5


def test_tiles_begin_on_a_grid_that_networks_which_halve_features_need(seed: int) -> None:
    class Halving(Blur):
        def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
            pooled = nn.functional.avg_pool2d(lr, 4)
            return super().forward(pooled.repeat_interleave(4, -1).repeat_interleave(4, -2), scale)

    model, lr = Halving(1), image_of(88, 64, seed)
    with torch.inference_mode():
        assert torch.allclose(tiled(run(model, 2), lr, 2, 24, 5), model(lr, 2), atol=1e-6, rtol=0)


def test_the_overlap_is_the_receptive_field_unless_one_is_given() -> None:
    assert overlap_of(Blur(7), InferenceOptions(tile=16)) == 7
    assert overlap_of(Blur(7), InferenceOptions(tile=16, tile_overlap=3)) == 3
    assert overlap_of(Mean(), InferenceOptions(tile=16)) == 16


@pytest.mark.parametrize(
    ("name", "scale", "tile"),
    # Larger tiles where the overlap is large: 16 pixels of 70 would be kept.
    [
        ("carn_m.author", 2, 16),
        pytest.param("drrn_b1u9+ps.author", 4, 32, marks=pytest.mark.slow),
        pytest.param("srfbn_s+ps.author", 2, 48, marks=pytest.mark.slow),
        ("edsr_tiny", 3, 16),
    ],
)
def test_tiles_of_real_networks_agree_to_1e_5_of_the_range(
    filled_cache: Path, name: str, scale: int, tile: int
) -> None:
    hr = read_rgb(filled_cache / "data" / "benchmark" / "Set5" / "HR" / "butterfly.png")
    hr = hr[: 72 * scale // 2, : 96 * scale // 2] if scale > 2 else hr[:144, :192]
    lr = torch.from_numpy(MATLAB.lr_image(hr, scale)).permute(2, 0, 1)[None].float().div(255)
    model = srbench.create_model(name, scale=scale, seed=0).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = tile_error(model, lr, scale, InferenceOptions(tile=tile))
    assert error is not None
    assert error.bounded
    assert error.largest <= 1e-5


def test_a_receptive_field_declared_too_small_is_warned_of(dataset: FolderDataset) -> None:
    model = Blur(20)
    model.receptive_field = 2
    with pytest.warns(TilingWarning, match=r"it is declared too small; against .* at most \d\.\de-0"):
        found = evaluate(model, dataset, 2, MATLAB, [PSNRY()], inference=InferenceOptions(tile=16))
    assert found.tile_error is not None
    assert found.tile_error.bounded
    assert found.tile_error.largest > 1e-3


def test_the_error_of_tiles_is_measured_on_the_first_image_that_is_cut(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name, side in (("a", 24), ("b", 96)):
        write_png(generator.integers(0, 256, (side, side, 3), dtype=np.uint8), tmp_path / f"{name}.png")
    with pytest.warns(TilingWarning, match="has no bound"):
        found = evaluate(Mean(), FolderDataset(tmp_path), 2, MATLAB, [PSNRY()], inference=InferenceOptions(tile=16))
    assert found.tile_error is not None
    assert found.tile_error.region == (48, 48)


def test_a_network_without_a_bound_is_warned_of_and_its_error_measured(dataset: FolderDataset) -> None:
    options = InferenceOptions(tile=16)
    with pytest.warns(
        TilingWarning, match=r"does not cover its receptive field, which has no bound .* at most \d\.\de-0"
    ):
        found = evaluate(Mean(), dataset, 2, MATLAB, [PSNRY()], inference=options)
    measured = found.tile_error
    assert measured is not None
    assert not measured.bounded
    assert 1e-4 < measured.largest < 1
    assert measured.region == (64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(Blur(), dataset, 2, MATLAB, [PSNRY()], inference=options)
    assert found.tile_error is not None
    assert found.tile_error.largest <= 1e-6
    whole = evaluate(Blur(), dataset, 2, MATLAB, [PSNRY()])
    assert whole.tile_error is None
    assert found.table["psnr_y"].tolist() == pytest.approx(whole.table["psnr_y"].tolist(), abs=1e-3)


def test_a_network_whose_output_has_another_size_is_refused_in_tiles() -> None:
    with pytest.raises(ConfigError, match="makes 48x48 pixels of a tile of 24x24, not 3 times"):
        tiled(run(Blur(0), 2), image_of(40, 40), 3, 16, 8)


# Self-ensemble


def turned(image: Tensor, flip: bool, turns: int) -> Tensor:
    return (image.flip(-1) if flip else image).rot90(turns, (-2, -1))


@given(flip=st.booleans(), turns=st.integers(0, 3), seed=st.integers(0, 99))
def test_law_of_symmetry(flip: bool, turns: int, seed: int) -> None:
    """Law: the ensemble of a network turned is the turned ensemble, whatever the network does to one orientation."""
    model = Blur(2)
    with torch.no_grad():
        model.weight.copy_(torch.rand(3, 1, 3, 3, generator=torch.Generator().manual_seed(seed)))
    lr = image_of(9, 14, seed)
    with torch.inference_mode():
        first = self_ensemble(run(model, 2), turned(lr, flip, turns))
        then = turned(self_ensemble(run(model, 2), lr), flip, turns)
        assert torch.allclose(first, then, atol=1e-6)
        assert not torch.allclose(turned(model(lr, 2), flip, turns), then, atol=1e-3)


def test_the_ensemble_of_an_equivariant_network_is_the_network(seed: int) -> None:
    model, lr = Blur(3), image_of(11, 17, seed)
    with torch.inference_mode():
        assert torch.allclose(self_ensemble(run(model, 2), lr), model(lr, 2), atol=1e-6)
    assert len(model.seen) == 9


def test_the_ensemble_improves_a_trained_network(filled_cache: Path) -> None:
    hr = read_rgb(filled_cache / "data" / "benchmark" / "Set5" / "HR" / "butterfly.png")[:96, :120]
    lr = torch.from_numpy(MATLAB.lr_image(hr, 2)).permute(2, 0, 1)[None].float().div(255)
    model = srbench.create_model("carn_m.author", scale=2).eval()
    with torch.inference_mode():
        outputs = model(lr, 2), self_ensemble(run(model, 2), lr)
    images = (MATLAB.quantise(output[0].permute(1, 2, 0).numpy()) for output in outputs)
    plain, ensemble = (PSNRY()(Comparison.under(MATLAB, image, hr, 2)) for image in images)
    assert ensemble > plain


# Other numbers, formats, compilation


def test_bf16_is_near_and_leaves_the_network_as_it_was(seed: int) -> None:
    model, lr = srbench.create_model("edsr_tiny", scale=2, seed=seed).eval(), image_of(20, 24, seed)
    with torch.inference_mode():
        plain = model(lr, 2)
        half = configured(model, InferenceOptions(dtype="bf16"), CPU)(lr, 2)
    assert half.dtype == torch.float32
    assert 0 < (half - plain).abs().max() < 0.05
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    with torch.inference_mode():
        assert torch.equal(model(lr, 2), plain)


@pytest.mark.slow
def test_every_backbone_runs_in_bf16_or_says_that_it_cannot() -> None:
    lr = image_of(16, 16)
    for name in srbench.list_backbones():
        scale = 2
        try:
            model = srbench.create_model(name, scale=scale, seed=0).eval()
        except ConfigError:
            scale = 4
            model = srbench.create_model(name, scale=scale, seed=0).eval()
        half = configured(model, InferenceOptions(dtype="bf16"), CPU)
        with torch.inference_mode():
            if name in FP32_ONLY:
                with pytest.raises(ConfigError, match="cannot run in bf16"):
                    half(lr, scale)
                continue
            sr, whole = half(lr, scale), model.image(model(lr, scale))
        assert sr.shape == (1, 3, 16 * scale, 16 * scale), name
        assert sr.dtype == torch.float32
        # bf16 has 8 bits: one rounding in each layer, in parts of the output's range.
        difference = (sr - whole).abs().max() / whole.abs().max()
        assert 0 < difference < 0.1, f"{name}: {difference:.2g}"


class Stubborn(Backbone):
    """Multiply by a tensor that is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__((2,))
        self.layer = nn.Conv2d(3, 3, 1)
        self.constant = (torch.eye(3)[:, :, None, None],)

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        image = nn.functional.conv2d(self.layer(lr), self.constant[0])
        return image.repeat_interleave(2, -1).repeat_interleave(2, -2)


def test_a_network_that_cannot_run_in_bf16_is_a_sentence() -> None:
    with torch.inference_mode(), pytest.raises(ConfigError, match=r"cannot run in bf16 \(.*\); give fp32"):
        configured(Stubborn(), InferenceOptions(dtype="bf16"), CPU)(image_of(8, 8), 2)


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="fp16 is for GPUs"):
        configured(Blur(), InferenceOptions(dtype="fp16"), CPU)


def test_a_baseline_without_parameters_keeps_its_own_numbers(dataset: FolderDataset) -> None:
    bicubic = srbench.create_model("bicubic", scale=2)
    plain, half = (
        evaluate(bicubic, dataset, 2, MATLAB, [PSNRY()], inference=InferenceOptions(dtype=dtype))
        for dtype in ("fp32", "bf16")
    )
    assert plain.scores.equals(half.scores)


def test_channels_last_changes_rounding_at_most(seed: int) -> None:
    model, lr = srbench.create_model("carn_m", scale=2, seed=seed).eval(), image_of(20, 24, seed)
    with torch.inference_mode():
        other = configured(model, InferenceOptions(channels_last=True), CPU)
        assert isinstance(other, Configured)
        weights = [parameter for parameter in other.model.parameters() if parameter.ndim == 4]
        assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
        assert torch.allclose(other(lr, 2), model(lr, 2), atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_network_changes_rounding_at_most(seed: int) -> None:
    model = srbench.create_model("edsr_tiny", scale=2, seed=seed).eval()
    compiled = configured(model, InferenceOptions(compile=True), CPU)
    for size in ((24, 24), (20, 33)):
        with torch.inference_mode():
            assert torch.allclose(compiled(image_of(*size, seed), 2), model(image_of(*size, seed), 2), atol=1e-5)


def test_all_options_together(dataset: FolderDataset, seed: int) -> None:
    model = srbench.create_model("edsr_tiny", scale=2, seed=seed)
    options = InferenceOptions.model_validate({**ALL, "compile": False})

    def psnr(options: InferenceOptions) -> list[float]:
        found = evaluate(model, dataset, 2, MATLAB, [PSNRY()], inference=options)
        return [float(value) for value in found.table["psnr_y"]]

    together = psnr(options)
    # The two options that change figures visibly are in effect: all options without either give others.
    assert psnr(options.model_copy(update={"self_ensemble": False})) != together
    assert psnr(options.model_copy(update={"dtype": "fp32"})) != together
    ensemble = psnr(InferenceOptions(self_ensemble=True))
    assert ensemble != psnr(DEFAULT)
    assert together == pytest.approx(ensemble, abs=0.05)


def test_nan_is_refused_in_tiles_too(dataset: FolderDataset) -> None:
    model = Blur()
    with torch.no_grad():
        model.weight.fill_(torch.nan)
    with pytest.raises(DataError, match="NaN or infinity"):
        evaluate(model, dataset, 2, MATLAB, [PSNRY()], inference=InferenceOptions(tile=16, self_ensemble=True))


# What they enter


def key(options: InferenceOptions) -> str:
    return cell_key(
        model="m", scale=2, scales=(2,), weights=None, dataset_hash="d", protocol_digest="p", metrics=("psnr_y",),
        code="c", inference=options,
    )  # fmt: skip


def test_each_option_changes_key_digest_and_name_and_the_default_none() -> None:
    assert DEFAULT.digest("p") == "p"
    assert DEFAULT.label("matlab-y") == "matlab-y"
    variants = [DEFAULT, *(InferenceOptions.model_validate({name: value}) for name, value in ALL.items())]
    variants += [InferenceOptions(tile=16, tile_overlap=4), InferenceOptions(tile=24), InferenceOptions(dtype="fp16")]
    for of in (key, lambda options: options.digest("p"), lambda options: options.label("matlab-y")):
        assert len({of(options) for options in variants}) == len(variants)
    assert InferenceOptions.model_validate(ALL).label("matlab-y") == (
        "matlab-y+tile16+self-ensemble+channels-last+compile+bf16"
    )
    assert len(InferenceOptions.model_validate(ALL).explain()) == len(ALL)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tile": 8}, "'tile' is 8: input should be greater than or equal to 16"),
        ({"tile": 60}, "'tile' is 60: input should be a multiple of 8"),
        ({"tile_overlap": 3}, "needs tile"),
        ({"tile": 16, "tile_overlap": -1}, "'tile_overlap' is -1: input should be greater than or equal to 0"),
        ({"dtype": "fp8"}, "'dtype' is 'fp8': input should be 'fp32', 'fp16' or 'bf16'"),
        ({"self_ensemble": "yes"}, "'self_ensemble' is 'yes': input should be a valid boolean"),
        ({"tiles": 16}, "unknown key 'tiles'; did you mean 'tile'"),
    ],
)
def test_wrong_options_are_sentences(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")) as caught:
        options_from(**values)
    assert "\n" not in str(caught.value)


def test_options_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        DEFAULT.tile = 16  # type: ignore[misc]

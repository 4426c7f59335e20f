"""Layers of the zoo's networks at any size: pooling, reflection and extension, and what is exported of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import srbench
from srbench.errors import ConfigError, WeightsError
from srbench.interop.onnx import export_onnx
from srbench.models.weight_files import load_state
from srbench_zoo.lmlt import LMLT
from srbench_zoo.plainusr import LocalAttention
from srbench_zoo.sizes import adaptive_max, cropped, from_windows, mirrored, to_windows, window_max
from srbench_zoo.span import SPAN

DIVISORS = st.sampled_from([2, 3, 4, 8, 16])
SIZES = st.integers(1, 70)


def image(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


@given(height=SIZES, width=SIZES, divisor=DIVISORS, seed=st.integers(0, 2**16))
def test_maxima_of_windows_are_those_of_adaptive_pooling(height: int, width: int, divisor: int, seed: int) -> None:
    """Law: by torch's layer and by indexing, as in an export, the maxima are the same at every size of 1 or more."""
    x = image(height, width, seed)
    expected = F.adaptive_max_pool2d(x, (max(height // divisor, 1), max(width // divisor, 1)))
    assert torch.equal(adaptive_max(x, divisor), expected)
    assert torch.equal(window_max(window_max(x, 2, divisor), 3, divisor), expected)


class _Windows(nn.Module):
    """Take an image apart, mark each window's pixels with their place in it, and put it together; crop it."""

    def forward(self, x: Tensor) -> Tensor:
        whole = mirrored(mirrored(x, 2, 8), 3, 8)
        windows = to_windows(whole, 8)
        marked = windows + torch.arange(64.0)[None, :, None]
        return cropped(from_windows(marked, whole.shape, 8), x.shape[2], x.shape[3])


def test_exported_windows_are_those_of_every_size() -> None:
    # Exported with a single window: none of its axes may be taken for always 1.
    sizes = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height", min=2), 3: torch.export.Dim("width", min=2)}
    module = torch.export.export(_Windows(), (image(5, 6),), dynamic_shapes=(sizes,)).module()
    for height, width in ((5, 6), (8, 8), (9, 30), (40, 17), (2, 3)):
        x = image(height, width)
        place = torch.arange(height)[:, None] % 8 * 8 + torch.arange(width) % 8
        assert torch.equal(_Windows()(x), x + place)
        assert torch.equal(module(x), x + place)


@given(size=SIZES, multiple=st.integers(1, 70))
def test_reflection_is_torchs_and_goes_on_where_that_ends(size: int, multiple: int) -> None:
    """Law: a whole multiple, the image itself first; equal to reflection padding as far as that goes."""
    x = image(2, size)
    made = mirrored(x, 3, multiple)
    whole = -(-size // multiple) * multiple
    assert made.shape == (2, 3, 2, whole)
    assert torch.equal(made[..., :size], x)
    if whole - size < size:
        assert torch.equal(made, F.pad(x, (0, whole - size, 0, 0), mode="reflect"))
    elif size > 1:
        period = 2 * size - 2
        assert torch.equal(made[..., period:], made[..., : whole - period])


def test_span_takes_the_activated_convolution_from_its_last_block(seed: int) -> None:
    # MODERN, trap 1: in place in the authors' code. A block's own output must not be changed by it.
    torch.manual_seed(seed)
    model = SPAN((2,), num_feat=2, num_block=2)
    seen: dict[str, Tensor] = {}
    model.fuse.register_forward_hook(lambda module, inputs, output: seen.update(merged=inputs[0]))
    model.body[1].conv1.register_forward_hook(lambda module, inputs, output: seen.update(conv=output))
    model(torch.rand(1, 3, 5, 6))
    assert torch.equal(seen["merged"][:, -2:], F.silu(seen["conv"]))


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (7, 7), (20, 11)])
def test_local_attention_takes_small_features(size: tuple[int, int]) -> None:
    x = torch.rand(1, 4, *size)
    out = LocalAttention(4, 2)(x)
    assert out.shape == x.shape
    assert bool(torch.isfinite(out).all())


@pytest.mark.parametrize("name", ["plainusr_s", "efdn", "rfdn_aim", "dipnet", "safmn_ntire23", "safmnpp", "lmlt_tiny"])
def test_an_image_of_one_pixel_is_enlarged(name: str) -> None:
    model = srbench.create_model(name, scale=2, seed=0).eval()
    sr = model.super_resolve(torch.full((1, 3, 1, 1), 0.5))
    assert sr.shape == (1, 3, 2, 2)
    assert bool(torch.isfinite(sr).all())


@pytest.mark.parametrize("name", ["span", "plainusr_t", "efdn", "rfdn_aim", "fmen", "dipnet", "safmnpp", "lmlt_tiny"])
def test_single_scale_networks_say_which_scales_they_do(name: str) -> None:
    with pytest.raises(ConfigError, match="one scale of 2, 3, 4; got 2, 3"):
        srbench.create_model(name, scales=(2, 3))


def test_a_named_state_dict_is_read_and_a_missing_one_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "two.pth"
    torch.save({"params": {"a": torch.zeros(1)}, "params_ema": {"a": torch.ones(1)}}, path)
    assert load_state(path)["a"].item() == load_state(path, "params_ema")["a"].item() == 1
    assert load_state(path, "params")["a"].item() == 0
    with pytest.raises(WeightsError, match="has no state dict under the key 'state_dict'"):
        load_state(path, "state_dict")
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="has no state dict under the key 'params'"):
        load_state(path, "params")


@pytest.mark.slow
def test_lmlt_is_exported_for_images_of_one_window_and_of_many(tmp_path: Path, seed: int) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(seed)
    model = LMLT((2,), num_feat=4, num_block=1).eval()
    session = onnxruntime.InferenceSession(export_onnx(model, 2, tmp_path / "a.onnx").path)
    for shape in ((1, 3, 64, 64), (2, 3, 65, 130), (1, 3, 5, 70)):
        lr = torch.rand(shape)
        with torch.no_grad():
            expected = model(lr)
        (found,) = session.run(None, {"lr": lr.numpy()})
        assert torch.allclose(torch.from_numpy(found), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("span_c28.author", 4),
        ("plainusr_u.author", 2),
        ("plainusr_s.author", 4),
        ("efdn.author", 4),
        ("safmnpp.author", 4),
        ("safmn_ntire23.author", 4),
        ("spanf.author", 4),
        ("espan.author", 4),
        ("rfdn_aim.author", 4),
        ("fmen.author", 4),
        ("dipnet.author", 4),
    ],
)
def test_authors_weights_give_the_same_in_an_exported_network(
    filled_cache: Path, tmp_path: Path, name: str, scale: int
) -> None:
    pytest.importorskip("onnxruntime")
    made = export_onnx(srbench.create_model(name, scale=scale).eval(), scale, tmp_path / "a.onnx")
    assert max(made.largest.values()) <= 1e-4

"""Receptive fields as declared: nothing beyond changes an output pixel, and tiles that overlap so far are exact."""

from __future__ import annotations

import pytest
import torch

import srbench
from srbench.evaluation.execution import tiled
from srbench.models.backbone import Backbone
from srbench.registry import get_backbone

SMALL, LARGEST = 20, 50  # LR pixels: up to the first in every run of the tests, up to the second in the slow ones
HEAVY = {"drcn", "drrn_b1u25"}  # wide and deep at the SR image's size: x2 alone, and among the slow tests
# By how much the first layer is scaled so that attention shows what it sees. FMEN works on 0..255, where sigmoids are 1
# whatever their input; in ESPAN, on 0..1, every block squares what is small, until nothing is left.
RESCALED = {"fmen": 1 / 255, "espan": 255}


def built(name: str, scale: int, fields: range) -> Backbone:
    """Return a network in double precision, at a start that lets everything through; skip where it is none of these."""
    try:
        with torch.random.fork_rng():
            torch.manual_seed(5)
            model: Backbone = get_backbone(name)(scales=(scale,))
    except srbench.SRBenchError:
        pytest.skip(f"{name} has no scale {scale}")
    if model.receptive_field is None:
        pytest.skip(f"{name} declares no bound")
    if name in HEAVY:
        fields = range(LARGEST + 1) if scale == 2 and LARGEST in fields else range(0)
    if model.receptive_field not in fields:
        pytest.skip(f"{name} reaches {model.receptive_field} LR pixels")
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d) and module.weight.requires_grad:
            # Positive weights: no two paths cancel and no ReLU is dead, so that a pixel's reach shows.
            with torch.no_grad():
                fan = module.weight[0].numel() if isinstance(module, torch.nn.Conv2d) else module.weight[:, 0].numel()
                module.weight.copy_(torch.rand_like(module.weight) / fan * 2)
                if module.bias is not None:
                    module.bias.zero_()
    if name in RESCALED:
        with torch.no_grad():
            model.entry.weight.mul_(RESCALED[name])
    return model.double().eval()


@pytest.mark.parametrize("name", srbench.list_backbones())
def test_a_pixel_changes_no_output_beyond_the_declared_field(name: str) -> None:
    check_field(name, 2, range(SMALL + 1))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", srbench.list_backbones())
def test_the_declared_field_holds_at_every_scale(name: str, scale: int) -> None:
    check_field(name, scale, range(SMALL + 1 if scale == 2 else 0, LARGEST + 1))


def check_field(name: str, scale: int, fields: range) -> None:
    model = built(name, scale, fields)
    field = model.receptive_field
    assert field is not None
    side, centre = 2 * field + 7, field + 3
    generator = torch.Generator().manual_seed(1)
    lr = torch.rand(1, 3, side, side, generator=generator, dtype=torch.float64) * 0.5 + 0.25
    other = lr.clone()
    other[..., centre, centre] += 0.2
    with torch.inference_mode():
        changed = (model.image(model(lr, scale)) != model.image(model(other, scale))).any(1)[0]
    reached = max(_reach(line.nonzero().flatten() // scale, centre) for line in (changed.any(0), changed.any(1)))
    assert reached <= field, f"{name} x{scale} reaches {reached} LR pixels and declares {field}"
    # What one output pixel is made of: a derivative is a product, and is not lost beside larger numbers as a change is.
    lr.requires_grad_()
    own = model.image(model(lr, scale))[
        ..., centre * scale : (centre + 1) * scale, centre * scale : (centre + 1) * scale
    ]
    (gradient,) = torch.autograd.grad(own.sum(), lr)
    used = (gradient != 0).any(1)[0]
    reached = max(_reach(line.nonzero().flatten(), centre) for line in (used.any(0), used.any(1)))
    assert field - 1 <= reached <= field, f"{name} x{scale} reaches {reached} LR pixels and declares {field}"


def _reach(places: torch.Tensor, centre: int) -> int:
    return max(centre - int(places.min()), int(places.max()) - centre)


@pytest.mark.parametrize("name", srbench.list_backbones())
def test_tiles_that_overlap_by_the_field_agree_with_the_whole(name: str) -> None:
    check_tiles(name, 2, range(SMALL + 1))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", srbench.list_backbones())
def test_tiles_agree_with_the_whole_at_every_scale(name: str, scale: int) -> None:
    check_tiles(name, scale, range(SMALL + 1 if scale == 2 else 0, LARGEST + 1))


def check_tiles(name: str, scale: int, fields: range) -> None:
    model = built(name, scale, fields).float()
    field = model.receptive_field
    assert field is not None
    generator = torch.Generator().manual_seed(2)
    lr = torch.rand(1, 3, 20, field + 40, generator=generator)
    with torch.inference_mode():
        whole = model.image(model(lr, scale))
        parts = tiled(lambda batch: model.image(model(batch, scale)), lr, scale, 16, field)
    error = float((parts - whole).abs().max()) / max(1.0, float(whole.abs().max()))
    assert error <= 1e-5, f"{name} x{scale}: {error:.1e} of the range"

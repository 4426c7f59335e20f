"""Laws of sparse masks: every inference path gives one result, whatever the masks, the size and the batch."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from srbench.models.backbone import Backbone
from srbench.models.sites import BlockSpec, SharingSite
from srbench.models.surgery import apply_method
from srbench_sparse_mask.block import MaskedBlock, masked_blocks
from srbench_sparse_mask.method import SparseMask
from srbench_sparse_mask.smsr import SMSR
from srbench_sparse_mask.surgery import with_path

# Of the output's range, as the issue asks.
TOLERANCE = 1e-5


class Chain(nn.Module):
    """A block: convolutions with biases and another activation than SMSR's; with splits a part leaves after each."""

    def __init__(self, num_feat: int, split: int, kernels: tuple[int, ...] = (3, 1, 5)) -> None:
        super().__init__()
        self.split = split
        self.convs = nn.ModuleList(
            nn.Conv2d(num_feat if n == 0 else num_feat - split, num_feat, kernel, padding=kernel // 2)
            for n, kernel in enumerate(kernels)
        )
        self.gather = nn.Conv2d(split * (len(kernels) - 1) + num_feat, num_feat, 1) if split else None

    def forward(self, x: Tensor) -> Tensor:
        left, features = [], x
        for number, conv in enumerate(self.convs):
            features = F.leaky_relu(conv(features), 0.1)
            if self.split and number + 1 < len(self.convs):
                kept, features = features.tensor_split([self.split], dim=1)
                left.append(kept)
        return x + (features if self.gather is None else self.gather(torch.cat([*left, features], 1)))


class Toy(Backbone):
    """A small network of such blocks, written without a thought of masks."""

    def __init__(self, num_feat: int, split: int, num_block: int = 2) -> None:
        super().__init__((2,))
        self.split = split
        self.head = nn.Conv2d(3, num_feat, 3, padding=1)
        self.blocks = nn.ModuleList(Chain(num_feat, split) for _ in range(num_block))
        self.tail = nn.Sequential(nn.Conv2d(num_feat, 12, 3, padding=1), nn.PixelShuffle(2))

    def sharing_sites(self) -> list[SharingSite]:
        parts = BlockSpec(
            convs=("convs.0", "convs.1", "convs.2"),
            splits=(self.split, self.split, 0) if self.split else (),
            gather="gather" if self.split else "",
        )
        return [
            SharingSite(f"blocks.{n}", kind="block", bank="blocks", tie="block", step=(n,), parts=parts)
            for n in range(len(self.blocks))
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        x = self.head(lr)
        for block in self.blocks:
            x = block(x)
        return self.tail(x)  # type: ignore[no-any-return]


class Given(nn.Module):
    """A predictor that says what it was told: a spatial mask, or dense shares."""

    def __init__(self, mask: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, x: Tensor, temperature: float | None = None) -> Tensor:
        return self.mask(x)


@st.composite
def networks(draw: st.DrawFn) -> Backbone:
    """Draw a network with masks: SMSR's, or the method's on the toy, with any of its options."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    if draw(st.booleans()):
        return strengthened(SMSR((draw(st.sampled_from([2, 3, 4])),), draw(st.sampled_from([8, 16])), num_module=2))
    method = SparseMask(
        channel=draw(st.sampled_from(["static", "dynamic", "none"])),
        spatial=draw(st.sampled_from(["learned", "gradient"])),
        n_layers=draw(st.sampled_from([1, 3, 6])),
    )
    return strengthened(apply_method(Toy(draw(st.sampled_from([6, 8])), draw(st.sampled_from([0, 2]))), method))


def strengthened(model: Backbone) -> Backbone:
    """Let every layer carry on what it gets, so that masks decide the image: initial weights fade it away."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.requires_grad:  # all but the mean shifts
            nn.init.kaiming_normal_(module.weight)
    return model.eval()


densities = st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1))
sizes = st.one_of(st.just((1, 1)), st.tuples(st.integers(1, 13), st.integers(1, 13)))


def set_masks(model: Backbone, spatial: float, channel: float, batch: int, seed: int) -> None:
    """Let a network's masks be random ones of given densities, different in every block, and for every image."""
    generator = torch.Generator().manual_seed(seed)
    for _, block in masked_blocks(model):
        total = sum(layer.channels for layer in block.layers())
        dense = (torch.rand(1, total, generator=generator) < channel).float()
        block.channel = Given(lambda x, dense=dense: dense.to(x.dtype))  # type: ignore[misc]
        tables = [torch.rand(batch, 1, 16, 16, generator=generator) for _ in range(max(len(block.spatial), 1))]
        masks = [
            Given(lambda x, t=t: (t[:, :, : x.shape[2], : x.shape[3]] < spatial).to(x.dtype))  # type: ignore[misc]
            for t in tables
        ]
        block.spatial = nn.ModuleList(masks)
        block._referred = ()  # masks of its own, no longer shared ones


def images(seed: int, batch: int, size: tuple[int, int]) -> Tensor:
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def result(model: Backbone, path: str, lr: Tensor) -> Tensor:
    return model.image(with_path(model, path)(lr))


def require_close(a: Tensor, b: Tensor) -> None:
    assert a.shape == b.shape
    spread = max(float(b.max() - b.min()), 1e-3)
    assert float((a - b).abs().max()) <= TOLERANCE * max(spread, float(b.abs().max()))


@given(networks(), densities, densities, sizes, st.integers(1, 3), st.integers(0, 2**16))
def test_sparse_and_masked_dense_agree(
    model: Backbone, spatial: float, channel: float, size: tuple[int, int], batch: int, seed: int
) -> None:
    """Law: computing what random masks leave, and masking all that was computed, give the same image."""
    set_masks(model, spatial, channel, batch, seed)
    lr = images(seed, batch, size)
    require_close(result(model, "sparse", lr), result(model, "masked_dense", lr))


@given(
    networks(), densities, sizes, st.integers(1, 2), st.integers(0, 2**16), st.sampled_from(["sparse", "masked_dense"])
)
def test_masks_that_are_on_everywhere_change_nothing(
    model: Backbone, channel: float, size: tuple[int, int], batch: int, seed: int, path: str
) -> None:
    """Law: with the spatial masks on everywhere, both paths are the network without masks."""
    set_masks(model, 1.0, channel, batch, seed)
    lr = images(seed, batch, size)
    require_close(result(model, path, lr), result(model, "dense", lr))


@given(networks(), sizes, st.integers(1, 2), st.integers(0, 2**16), st.floats(0, 1))
def test_the_networks_own_masks_agree_too(
    model: Backbone, size: tuple[int, int], batch: int, seed: int, contrast: float
) -> None:
    """Law: the paths agree under predicted masks, flat images (no gradient) included, and for images in a batch."""
    lr = images(seed, batch, size) * contrast
    together = result(model, "sparse", lr)
    require_close(together, result(model, "masked_dense", lr))
    require_close(torch.cat([result(model, "sparse", image) for image in lr.split(1)]), together)


@given(networks(), st.integers(0, 2**16))
def test_masks_decide_the_image(model: Backbone, seed: int) -> None:
    """The laws above say something: without what the masks leave, images differ by far more than the tolerance."""
    lr = images(seed, 1, (9, 9))
    on = result(model, "dense", lr)
    set_masks(model, 0.0, 0.0, 1, seed)
    assert float((result(model, "masked_dense", lr) - on).abs().max()) > 1000 * TOLERANCE


@given(networks(), st.integers(0, 2**16), st.floats(0.05, 1.0))
def test_hard_masks_are_where_cold_soft_masks_tend(model: Backbone, seed: int, spatial: float) -> None:
    """Law: the formula of training, given masks of 0 and 1, is that of evaluation."""
    set_masks(model, spatial, 0.4, 2, seed)
    lr = images(seed, 2, (6, 7))
    trained = copy.deepcopy(model).train()
    with torch.no_grad():
        soft = trained.image(trained(lr))
    require_close(soft, result(model, "masked_dense", lr))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_what_is_masked_is_zero_before_the_last_layer(share: float, seed: int) -> None:
    """Sparse channels are zero where the mask is off, dense ones are not."""
    torch.manual_seed(seed)
    model = SMSR((2,), num_feat=16, num_module=1).eval()
    set_masks(model, share, 0.5, 1, seed)
    block = model.body[0]
    assert isinstance(block, MaskedBlock)
    seen: list[Tensor] = []
    block.block.collect.register_forward_pre_hook(lambda module, args: seen.append(args[0]))  # type: ignore[union-attr]
    block.recorder = []
    with torch.no_grad():
        model(images(seed, 1, (9, 8)))
    masks = block.recorder[0]
    off = (masks.spatial[0] == 0).expand_as(seen[0])
    sparse = (torch.cat(masks.dense, 1) == 0)[:, :, None, None].expand_as(seen[0])
    assert float(seen[0][off & sparse].abs().sum()) == 0
    assert bool(seen[0][~off].abs().sum() > 0) == (share > 0)

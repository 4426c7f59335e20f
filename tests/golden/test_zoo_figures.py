"""The zoo's networks with their authors' weights: sizes, and Set5 against the means of the authors' own programs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from srbench.data.datasets import open_dataset
from srbench.images.color import rgb_to_y
from srbench.metrics.comparison import Comparison
from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters, count_stored
from srbench.models.factory import create_model
from srbench.models.luma import LumaBackbone
from srbench.protocols import get_protocol
from srbench.registry import get_metric

# FACTS, "Means, authors' code and checkpoints": PSNR-Y on Set5, LR rounded, output rounded.
SET5 = {
    ("imdn.author", 2): 37.996,
    ("imdn.author", 3): 34.360,
    ("imdn.author", 4): 32.210,
    ("bsrn.author", 2): 38.083,
    ("bsrn.author", 3): 34.450,
    ("bsrn.author", 4): 32.349,
    ("pan.author", 2): 38.001,
    ("pan.author", 3): 34.400,
    ("pan.author", 4): 32.131,
    ("rlfn.author", 2): 38.066,
    ("rlfn.author", 4): 32.238,
}
# Numbers in the authors' files; IMDN's x4 is the 0.72M of the SMSR supplement's Table II.
SIZES = {
    ("imdn", 2): 694_404,
    ("imdn", 3): 703_059,
    ("imdn", 4): 715_176,
    # The papers print 332K / 340K / 352K for BSRN, 261K / 261K / 272K for PAN, 527K / 543K (x2, x4) for RLFN.
    ("bsrn", 2): 331_628,
    ("bsrn", 3): 340_283,
    ("bsrn", 4): 352_400,
    ("pan", 2): 261_403,
    ("pan", 3): 261_403,
    ("pan", 4): 272_419,
    ("rlfn", 2): 526_856,
    ("rlfn", 3): 533_891,
    ("rlfn", 4): 543_740,
    # 12,464 weights, as the paper counts, 173 biases and 172 slopes.
    ("fsrcnn", 3): 12_809,
    # The paper's 878K / 886K / 897K are without the attention's position biases, 24 x 6 x 225 numbers.
    ("swinir_light", 2): 877_752 + 32_400,
    ("swinir_light", 3): 885_867 + 32_400,
    ("swinir_light", 4): 897_228 + 32_400,
    ("srvgg", 2): 600_652,
    ("srvgg", 4): 621_424,
}


# The same of FSRCNN, where the luma itself was rounded and compared with the exact luma of the HR image; and what the
# protocol `matlab-y` gives, where RGB is rounded.
FSRCNN = {2: (37.100, 37.134), 3: (32.587, 32.601), 4: (30.505, 30.522)}


@pytest.mark.parametrize(("model", "scale"), SET5)
def test_set5_is_what_the_authors_program_gives(filled_cache: Path, model: str, scale: int) -> None:
    # FACTS prints 3 decimals; the bound of the issue is 0.005 dB.
    assert measured(create_model(model, scale=scale))[0] == pytest.approx(SET5[model, scale], abs=0.0015)


@pytest.mark.parametrize("scale", FSRCNN)
def test_fsrcnn_on_set5_is_what_its_program_gives_on_luma(filled_cache: Path, scale: int) -> None:
    on_rgb, on_luma = measured(create_model("fsrcnn.author", scale=scale))
    assert (on_luma, on_rgb) == pytest.approx(FSRCNN[scale], abs=0.0015)


def measured(network: Backbone) -> list[float]:
    """Return mean PSNR-Y on Set5: of the image rounded to uint8, and, of a luma network, of the luma rounded."""
    (scale,) = network.eval().scales
    dataset, protocol, psnr = open_dataset("Set5"), get_protocol("matlab-y"), get_metric("psnr_y")
    figures = []
    for image in dataset.image_names():
        lr, hr = dataset.pair(image, scale, protocol)
        with torch.no_grad():
            outputs = network(torch.from_numpy(lr).permute(2, 0, 1)[None].float().div(255))
        sr = network.image(outputs).clamp(0, 1)
        pixels = protocol.quantise(sr[0].permute(1, 2, 0).numpy())
        figures.append([psnr(Comparison.under(protocol, pixels, hr, scale))])
        if isinstance(network, LumaBackbone):
            luma = outputs.luma[-1][0, 0].mul(255).round().clamp(0, 255).double().numpy()
            error = (luma - rgb_to_y(hr))[scale:-scale, scale:-scale]
            figures[-1].append(10 * math.log10(255**2 / float(np.square(error).mean())))
    return [float(mean) for mean in np.mean(figures, 0)]


@pytest.mark.parametrize(("model", "scale"), SIZES)
def test_sizes_are_the_published_ones(model: str, scale: int) -> None:
    network = create_model(model, scale=scale)
    assert count_parameters(network) == count_stored(network) == SIZES[model, scale]


@pytest.mark.parametrize(
    ("name", "weights", "numbers", "printed"),
    [
        # Hyun et al., CMS-LapSRN, Table 1, in thousands. VDSR's and DRCN's rows are all numbers, truncated (weights
        # alone would print as 664k and 1774k; rounding, as 666k and 1775k); DRRN's is the same either way.
        ("vdsr", 664_704, 665_921, 665),
        ("drcn", 1_774_080, 1_775_121, 1775),
        ("drrn_b1u25", 297_216, 297_345, 297),
    ],
)
def test_sizes_of_table_1(name: str, weights: int, numbers: int, printed: int) -> None:
    network = create_model(name, scale=4)
    assert count_parameters(network) == count_stored(network) == numbers
    assert sum(p.numel() for p in network.parameters() if p.dim() > 1) == weights
    assert numbers // 1000 == printed


def test_mdsr_of_table_1_is_all_its_scales_rounded_to_millions() -> None:
    # 8000k is the 8.0M of MDSR's own paper: entrances and up-samplers of x2, x3 and x4 together, rounded. The x4
    # network alone has 6.65 million.
    network = create_model("mdsr", scales=(2, 3, 4))
    assert count_parameters(network) == count_stored(network) == 7_954_011
    assert round(7_954_011, -5) == 8_000_000
    assert count_parameters(network.at_scale(4)) == count_parameters(create_model("mdsr", scale=4)) == 6_654_235


def test_ecbsr_deploys_one_convolution_for_each_block() -> None:
    # 64 * 9 + 17 * 64 biases + 16 * 64 * 64 * 9 + 17 * 64 slopes + 64 * 4 * 9 + 4.
    assert count_parameters(create_model("ecbsr", scale=2).at_scale(2)) == 594_884

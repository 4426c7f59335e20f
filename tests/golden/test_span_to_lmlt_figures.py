"""SPAN, PlainUSR, EFDN, RFDN, FMEN, DIPNet, SAFMN, LMLT: sizes, work and figures of the authors' own classes.

MODERN.md of the shared reference has them, measured with the authors' code; `per_image/modern.csv` and
`modern_ntire.csv` have each image. PSNR in dB.
"""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

import pytest
import torch

from srbench.cost.counts import cost_of
from srbench.data.datasets import open_dataset
from srbench.metrics.comparison import Comparison
from srbench.models.counting import count_parameters, count_stored
from srbench.models.factory import create_model
from srbench.models.weight_files import load_state
from srbench.protocols import get_protocol
from srbench.registry import get_metric
from srbench_zoo.weights_lmlt import lmlt_tiny_author

# MODERN, "Measured (`matlab-y`)", of the files that the shared data have: PSNR-Y and SSIM-Y on Set5 and on Set14.
# (model, scale): model in the per-image files, and the four.
MATLAB_Y = {
    ("span_c28.author", 4): ("SPAN-ch28_NTIRE2024", 31.7390, 0.88974, 28.4009, 0.77683),
    ("spanf.author", 4): ("SPANF_NTIRE2025", 31.7748, 0.88958, 28.3641, 0.77664),
    ("espan.author", 4): ("ESPAN_NTIRE2025", 31.9408, 0.89215, 28.5156, 0.77965),
    ("plainusr_u.author", 2): ("PlainUSR-U", 37.0989, 0.95692, 32.7486, 0.91010),
    ("plainusr_u.author", 4): ("PlainUSR-U", 30.7688, 0.86979, 27.7211, 0.76022),
    ("plainusr_t.author", 2): ("PlainUSR-T", 37.4644, 0.95840, 32.9721, 0.91218),
    ("plainusr_t.author", 4): ("PlainUSR-T", 31.2008, 0.87862, 28.0213, 0.76694),
    ("plainusr_s.author", 2): ("PlainUSR-S", 37.6345, 0.95924, 33.1608, 0.91465),
    ("plainusr_s.author", 4): ("PlainUSR-S", 31.5614, 0.88546, 28.1689, 0.77139),
    ("plainusr.author", 4): ("PlainUSR", 32.0155, 0.89217, 28.5393, 0.77997),
    ("efdn.author", 4): ("EFDN", 32.0758, 0.89310, 28.5820, 0.78087),
    ("rfdn_aim.author", 4): ("RFDN-AIM", 32.1589, 0.89459, 28.6451, 0.78246),
    ("fmen.author", 4): ("FMEN", 32.1153, 0.89485, 28.5652, 0.78137),
    ("dipnet.author", 4): ("DIPNet", 31.8053, 0.88977, 28.4416, 0.77730),
    ("safmnpp.author", 4): ("SAFMNpp_NTIRE2024", 32.0177, 0.89181, 28.5798, 0.78041),
    ("safmn_ntire23.author", 4): ("SAFMN_NTIRE2023", 32.1645, 0.89426, 28.6323, 0.78149),
    ("lmlt_tiny.author", 4): ("LMLT-Tiny", 32.1867, 0.89465, 28.6502, 0.78245),
}
# MODERN, "Measured (`ntire`, RGB, 4 pixels off)", likewise.
NTIRE = {
    ("span_c28.author", 4): ("SPAN-ch28_NTIRE2024", 29.8483, 0.85857, 26.5922, 0.73795),
    ("spanf.author", 4): ("SPANF_NTIRE2025", 29.8494, 0.85779, 26.5413, 0.73713),
    ("espan.author", 4): ("ESPAN_NTIRE2025", 30.0422, 0.86144, 26.6980, 0.74126),
    ("efdn.author", 4): ("EFDN", 30.1754, 0.86256, 26.7701, 0.74287),
    ("rfdn_aim.author", 4): ("RFDN-AIM", 30.2544, 0.86435, 26.8307, 0.74449),
    ("fmen.author", 4): ("FMEN", 30.2082, 0.86450, 26.7601, 0.74346),
    ("dipnet.author", 4): ("DIPNet", 29.9139, 0.85870, 26.6332, 0.73811),
    ("safmnpp.author", 4): ("SAFMNpp_NTIRE2024", 30.1143, 0.86080, 26.7567, 0.74080),
    ("safmn_ntire23.author", 4): ("SAFMN_NTIRE2023", 30.2375, 0.86337, 26.8161, 0.74287),
}
ALL = [("matlab-y", *row) for row in MATLAB_Y] + [("ntire", *row) for row in NTIRE]

# MODERN: parameters, and 10^9 MACs at 1280x720.
COUNTS = {
    ("span_c28", 4): (150_688, 8.64),
    ("spanf", 4): (148_288, 8.51),
    ("espan", 4): (192_272, 11.04),
    ("plainusr_u", 2): (13_628, 3.11),
    ("plainusr_u", 4): (19_820, 1.13),
    ("plainusr_t", 2): (48_724, 11.17),
    ("plainusr_t", 4): (60_100, 3.45),
    ("plainusr_s", 2): (57_236, 12.09),
    ("plainusr_s", 4): (68_612, 3.68),
    ("plainusr_m", 2): (148_932, 30.67),
    ("plainusr_m", 4): (165_492, 8.62),
    ("plainusr", 2): (311_364, 60.66),
    ("plainusr", 4): (333_108, 16.41),
    ("plainusr_l", 2): (707_076, 149.11),
    ("plainusr_l", 4): (734_004, 38.83),
    ("efdn", 2): (260_604, 55.10),
    ("efdn", 4): (276_192, 14.67),
    ("rfdn_aim", 4): (433_448, 23.76),
    ("fmen", 4): (341_066, 19.58),
    ("dipnet", 4): (243_252, 13.07),
    ("safmnpp", 4): (211_572, 12.15),
    ("safmn_ntire23", 4): (237_000, 13.53),
    ("lmlt_tiny", 2): (239_340, 58.71),
    ("lmlt_tiny", 3): (244_215, 27.88),
    ("lmlt_tiny", 4): (251_040, 15.35),
}
# MODERN: 10^9 MACs at a 256x256 input, x4.
NTIRE_MACS = {
    "span_c28": 9.834,
    "spanf": 9.682,
    "espan": 12.556,
    "efdn": 16.691,
    "rfdn_aim": 27.034,
    "fmen": 22.280,
    "dipnet": 14.870,
    "safmnpp": 13.824,
    "safmn_ntire23": 15.398,
}


def of_the_authors_class(shared: Path, protocol: str, model: str, scale: int, dataset: str) -> dict[str, float]:
    """Return PSNR of each image."""
    file = {"matlab-y": "modern.csv", "ntire": "modern_ntire.csv"}[protocol]
    with (shared / "reference" / "per_image" / file).open(encoding="utf-8") as lines:
        return {
            row["image"]: float(row["psnr_y"] if protocol == "matlab-y" else row["psnr_rgb"])
            for row in csv.DictReader(lines)
            if (row["model"], int(row["scale"]), row["dataset"]) == (model, scale, dataset)
        }


def check(shared: Path, protocol_name: str, model: str, scale: int, dataset_name: str) -> None:
    name, *means = (MATLAB_Y if protocol_name == "matlab-y" else NTIRE)[model, scale]
    mean_psnr, mean_ssim = means[:2] if dataset_name == "Set5" else means[2:]
    network = create_model(model, scale=scale).eval()
    dataset, protocol = open_dataset(dataset_name), get_protocol(protocol_name)
    channels = "y" if protocol_name == "matlab-y" else "rgb"
    psnr, ssim = get_metric(f"psnr_{channels}"), get_metric(f"ssim_{channels}")
    found, similarities = {}, []
    for image in dataset.image_names():
        lr, hr = dataset.pair(image, scale, protocol)
        sr = network.super_resolve(torch.from_numpy(lr).permute(2, 0, 1)[None].float().div(255))
        comparison = Comparison.under(protocol, protocol.quantise(sr[0].permute(1, 2, 0).numpy()), hr, scale)
        found[image] = psnr(comparison)
        similarities.append(ssim(comparison))
    assert found == pytest.approx(of_the_authors_class(shared, protocol_name, name, scale, dataset_name), abs=0.002)
    # MODERN prints 4 and 5 decimals.
    assert statistics.mean(found.values()) == pytest.approx(mean_psnr, abs=0.001)
    assert statistics.mean(similarities) == pytest.approx(mean_ssim, abs=0.000015)


@pytest.mark.parametrize(("protocol", "model", "scale"), ALL)
def test_set5_is_what_the_authors_class_gives(filled_cache: Path, protocol: str, model: str, scale: int) -> None:
    check(filled_cache, protocol, model, scale, "Set5")


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "model", "scale"), ALL)
def test_set14_is_what_the_authors_class_gives(filled_cache: Path, protocol: str, model: str, scale: int) -> None:
    check(filled_cache, protocol, model, scale, "Set14")


@pytest.mark.parametrize(("name", "scale"), COUNTS)
def test_sizes_and_work_are_those_of_the_authors_classes(name: str, scale: int) -> None:
    network = create_model(name, scale=scale, seed=0)
    parameters, giga = COUNTS[name, scale]
    cost = cost_of(network)
    assert count_parameters(network) == count_stored(network) == cost.params == parameters
    assert round(cost.hd.macs / 1e9, 2) == giga
    if scale == 4 and name in NTIRE_MACS:
        assert round(cost.ntire.macs / 1e9, 3) == NTIRE_MACS[name]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        # MODERN, "SPAN": 48 features, and 28 at x2.
        ("span", {2: 410_700, 4: 426_288}),
        ("span_c28", {2: 141_580}),
    ],
)
def test_sizes_of_span_without_files(name: str, numbers: dict[int, int]) -> None:
    assert {scale: count_parameters(create_model(name, scale=scale)) for scale in numbers} == numbers


@pytest.mark.usefixtures("filled_cache")
def test_lmlt_reads_the_weights_that_its_authors_test() -> None:
    # MODERN, trap 2: `params`, not `params_ema`, which the file has too and which differ.
    path = lmlt_tiny_author.serving(4).file()
    tested, averaged = load_state(path, "params"), load_state(path, "params_ema")
    loaded = create_model("lmlt_tiny.author", scale=4).entry.weight
    assert torch.equal(loaded, tested["to_feat.weight"])
    assert not torch.equal(loaded, averaged["to_feat.weight"])

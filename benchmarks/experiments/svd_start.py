"""Compress a trained `edsr_tiny` by truncated SVD, fine-tune it, and compare with the authors' initialization.

    SRBENCH_DATA=FOLDER python benchmarks/experiments/svd_start.py --data bsds400 --out runs/svd-start

A dense network is trained first. Each of four ratios is then measured right after compression, and after 200 and 2,000
iterations from two initializations: the compressed network and the authors'. All trainings have the same seed and,
except for their length, the same recipe. After an interruption, the same command resumes. Prints a Markdown table of
mean PSNR-Y in dB.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import srbench
import srbench.registry.lookup
from srbench.data.datasets import open_dataset
from srbench.evaluation.evaluate import evaluate
from srbench.models.weight_files import load_into, save_state
from srbench.protocols import get_protocol
from srbench.registry import get_metric
from srbench.training.recipe import make_recipe
from srbench.training.train import train

SCALE = 2
BASE_ITERATIONS = 4000
LENGTHS = (200, 2000)
RATIOS = ("1/8", "1/4", "1/2", "3/4")
TESTS = ("Set5", "Set14")


def psnr(model: srbench.Backbone) -> list[float]:
    metric, protocol = get_metric("psnr_y"), get_protocol("matlab-y")
    found = [evaluate(model, open_dataset(name), SCALE, protocol, [metric], threads=1) for name in TESTS]
    return [evaluation.means["psnr_y"] for evaluation in found]


def trained(name: str, data: str, iterations: int, out: Path, weights: Path | None = None) -> Path:
    recipe = make_recipe(
        {
            "iterations": iterations,
            "batch_size": 8,
            "gt_size": 64,
            "lr": 1e-3,
            "scheduler": {"type": "CosineAnnealingRestartLR", "eta_min": 1e-5},
            "seed": 0,
        }
    )
    return train(name, scales=(SCALE,), data=data, recipe=recipe, out_dir=out, weights=weights, threads=1).weights


def measured(name: str, weights: Path) -> list[float]:
    model = srbench.create_model(name, scale=SCALE)
    load_into(model, weights)
    return psnr(model)


def row(label: str, parameters: int, values: list[float]) -> None:
    print(f"| {label} | {parameters:,} | " + " | ".join(f"{value:.3f}" for value in values) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a data set, or a folder of HR images")
    parser.add_argument("--out", type=Path, required=True, help="folder for the trainings")
    options = parser.parse_args()
    torch.set_num_threads(1)

    dense = srbench.create_model("edsr_tiny", scale=SCALE)
    base = trained("edsr_tiny", options.data, BASE_ITERATIONS, options.out / "dense")
    load_into(dense, base)
    print("| network | parameters | " + " | ".join(TESTS) + " |\n|---|---:|" + "---:|" * len(TESTS))
    row("bicubic", 0, psnr(srbench.create_model("bicubic", scale=SCALE)))
    row(f"dense, {BASE_ITERATIONS:,} iterations", srbench.count_parameters(dense), psnr(dense))
    for ratio in RATIOS:
        name = f"edsr_tiny+ps(ratio={ratio})"
        compressed = srbench.create_model("edsr_tiny", scale=SCALE)
        load_into(compressed, base)
        method = srbench.registry.make_method(srbench.ModelName("edsr_tiny", "ps", (("init", "svd"), ("ratio", ratio))))
        assert method is not None
        srbench.apply_method(compressed, method)
        compressed.model_name = srbench.registry.canonical_name(name)
        folder = options.out / f"ratio-{ratio.replace('/', 'of')}"
        start = folder / "compressed.safetensors"
        save_state(compressed, start)
        size = srbench.count_parameters(compressed)
        row(f"{ratio}, SVD, 0 iterations", size, psnr(compressed))
        for length in LENGTHS:
            tuned = trained(name, options.data, length, folder / f"svd-{length}", start)
            row(f"{ratio}, SVD, {length:,} iterations", size, measured(name, tuned))
            fresh = trained(name, options.data, length, folder / f"he-{length}")
            row(f"{ratio}, authors' initialization, {length:,} iterations", size, measured(name, fresh))


if __name__ == "__main__":
    main()

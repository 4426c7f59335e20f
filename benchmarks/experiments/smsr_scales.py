"""Train SMSR for a few minutes at x3 and x4, and at x2 with gradient masks, from the authors' x2 weights.

    SRBENCH_DATA=FOLDER python benchmarks/experiments/smsr_scales.py --data bsds400 --out runs/smsr-scales

The authors published weights for x2 only. The trunk is initialized with these; the last convolution of other scales is
initialized randomly, and so is the selection of channels with gradient masks. These trainings are far too short for
good images; the figures drawn from them (docs/sparse_mask.md) show how masks change. After an interruption, the same
command resumes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import srbench
from srbench.models.weight_files import save_state
from srbench.training.recipe import make_recipe
from srbench.training.train import train

ITERATIONS = 400
# Name of the folder -> model, scale.
TRAININGS = {
    "x2": ("smsr", 2),
    "x3": ("smsr", 3),
    "x4": ("smsr", 4),
    "x2-gradient": ("smsr+sparse_mask(spatial=gradient)", 2),
}


def start(name: str, scale: int, file: Path) -> Path:
    """Save a network initialized with the authors' tensors where name and shape agree."""
    network = srbench.create_model(name, scale=scale, seed=0)
    authors = srbench.create_model("smsr.author", scale=2).state_dict()
    state = network.state_dict()
    fitting = {
        key: tensor
        for key, tensor in authors.items()
        if key in state
        and state[key].shape == tensor.shape
        and not ("gradient" in name and key.endswith("channel.logits"))
    }
    network.load_state_dict({**state, **fitting})
    print(f"{name} x{scale}: {len(fitting)} of {len(state)} tensors from the authors")
    save_state(network, file)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="embedded-train")
    parser.add_argument("--out", type=Path, default=Path("runs/smsr-scales"))
    parser.add_argument("--only", choices=TRAININGS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for folder, (name, scale) in TRAININGS.items():
        if arguments.only not in (None, folder):
            continue
        out = arguments.out / folder
        out.mkdir(parents=True, exist_ok=True)
        recipe = make_recipe(
            {
                "iterations": ITERATIONS,
                "batch_size": 4,
                "gt_size": 24 * scale,
                "lr": 1e-3 if "gradient" in name else 2e-4,
                "scheduler": {"type": "CosineAnnealingRestartLR", "eta_min": 1e-5},
                "seed": 0,
                "checkpoint_every": 50,
            }
        )
        result = train(
            name,
            scales=(scale,),
            data=arguments.data,
            recipe=recipe,
            out_dir=out,
            weights=start(name, scale, out / "start.safetensors"),
        )
        print(f"{name} x{scale}: {result.seconds:.0f} s, {result.weights}")


if __name__ == "__main__":
    main()

"""A small multi-scale network with all that a checkpoint could forget; run as a program, it is trained.

    python toy.py OUT_DIR DATA_DIR [FULL_DISK_AT [RECIPE]]

It prints each iteration as it begins. From iteration FULL_DISK_AT on (0: never), no file may grow beyond 1,000 bytes.
RECIPE is JSON with changes to the recipe.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from srbench.models.backbone import Backbone
from srbench.registry.registries import register_backbone
from srbench.training.recipe import Recipe, make_recipe

RECIPE = {
    "iterations": 40,
    "batch_size": 2,
    "gt_size": 12,
    "lr": 1e-3,
    "scheduler": {"type": "MultiStepRestartLR", "milestones": [7, 19, 33], "gamma": 0.5},
    "ema_decay": 0.9,
    "seed": 3,
    "checkpoint_every": 4,
}


class EngineToy(Backbone):
    """Draws from torch's generator (dropout, a noisy auxiliary loss), counts (BatchNorm), and has a schedule."""

    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.head = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.drop = nn.Dropout2d(0.3)
        self.tails = nn.ModuleDict({str(s): nn.Conv2d(6, 3 * s * s, 3, padding=1) for s in scales})
        self.weight = 0.0
        self.announce = False

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        scale = self.select_scale(scale)
        features = self.drop(torch.relu(self.norm(self.head(lr))))
        return nn.functional.pixel_shuffle(self.tails[str(scale)](features), scale)

    def auxiliary_loss(self) -> Tensor:
        return self.weight * (self.head.weight * torch.rand(())).abs().mean()

    def on_step(self, iteration: int, total: int) -> None:
        self.weight = iteration / total
        if ANNOUNCE:
            print(iteration, flush=True)
        if iteration == FULL_DISK_AT:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


ANNOUNCE = False
FULL_DISK_AT = 0


@register_backbone
def engine_toy(scales: tuple[int, ...]) -> EngineToy:
    return EngineToy(scales)


def recipe(**changes: object) -> Recipe:
    return make_recipe({**RECIPE, **changes})


if __name__ == "__main__":
    changes = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
    from srbench.errors import SRBenchError
    from srbench.training.train import train

    ANNOUNCE = True
    FULL_DISK_AT = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    try:
        result = train(
            "engine_toy", scales=(2, 3, 4), data=sys.argv[2], recipe=recipe(**changes), out_dir=Path(sys.argv[1])
        )
    except SRBenchError as error:
        print(f"srbench: {error}", file=sys.stderr)
        sys.exit(2)
    print(result.weights_sha256, result.resumed_from, flush=True)

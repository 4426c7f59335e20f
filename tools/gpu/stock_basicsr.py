"""Run basicsr's own `train_pipeline` for some iterations and print iterations per second.

    python tools/gpu/stock_basicsr.py edsr_baseline DATA [--cuda]

Images are PNG files on disk, cut into pieces as recommended in basicsr's documentation; there are as many workers as
cores, and basicsr's CUDA prefetcher and its default cuDNN benchmark mode are on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import types
from pathlib import Path

import cv2
import torch
import yaml

WARM_UP, MEASURED = 60, 240
PIECE = 240


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=("edsr_baseline", "edsr_tiny"))
    parser.add_argument("data")
    parser.add_argument("--cuda", action="store_true")
    parser.add_argument("--measured", type=int, default=MEASURED)
    parser.add_argument("--warm-up", type=int, default=WARM_UP)
    chosen = parser.parse_args()
    root = Path(tempfile.mkdtemp())
    write_pieces(chosen.data, root)
    train(write_options(chosen, root), root, chosen.warm_up, chosen.measured, cuda=chosen.cuda)
    return 1  # it ends in `train`


def write_pieces(data: str, root: Path, wanted: int = 200) -> None:
    from srbench.data.datasets import open_dataset
    from srbench.protocols import get_protocol

    dataset, protocol = open_dataset(data), get_protocol("matlab-y")
    for kind in ("gt", "lq"):
        (root / kind).mkdir()
    count = 0
    for name in dataset.image_names():
        lr, hr = dataset.pair(name, 2, protocol)
        for top in range(0, hr.shape[0] - PIECE + 1, PIECE):
            for left in range(0, hr.shape[1] - PIECE + 1, PIECE):
                gt = hr[top : top + PIECE, left : left + PIECE]
                lq = lr[top // 2 : (top + PIECE) // 2, left // 2 : (left + PIECE) // 2]
                cv2.imwrite(str(root / "gt" / f"{count:05}.png"), gt[..., ::-1])
                cv2.imwrite(str(root / "lq" / f"{count:05}.png"), lq[..., ::-1])
                count += 1
        if count >= wanted:
            return


def write_options(chosen: argparse.Namespace, root: Path) -> Path:
    feat, block = (64, 16) if chosen.model == "edsr_baseline" else (16, 4)
    workers = len(os.sched_getaffinity(0))
    options = {
        "name": "stock", "model_type": "SRModel", "scale": 2, "num_gpu": 1 if chosen.cuda else 0, "manual_seed": 0,
        "datasets": {
            "train": {
                "name": "train", "type": "PairedImageDataset", "dataroot_gt": str(root / "gt"),
                "dataroot_lq": str(root / "lq"), "io_backend": {"type": "disk"}, "gt_size": 96, "use_hflip": True,
                "use_rot": True, "num_worker_per_gpu": workers, "batch_size_per_gpu": 16, "dataset_enlarge_ratio": 100,
                "prefetch_mode": "cuda" if chosen.cuda else "cpu", "pin_memory": chosen.cuda, "num_prefetch_queue": 4,
            }
        },
        "network_g": {
            "type": "EDSR", "num_in_ch": 3, "num_out_ch": 3, "num_feat": feat, "num_block": block, "upscale": 2,
            "res_scale": 1, "img_range": 255.0, "rgb_mean": [0.4488, 0.4371, 0.4040],
        },
        "path": {"pretrain_network_g": None, "strict_load_g": True, "resume_state": None},
        "train": {
            "ema_decay": 0, "optim_g": {"type": "Adam", "lr": 1e-4, "weight_decay": 0, "betas": [0.9, 0.99]},
            "scheduler": {"type": "MultiStepLR", "milestones": [10**6], "gamma": 0.5},
            "total_iter": chosen.warm_up + chosen.measured + 10, "warmup_iter": -1,
            "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"},
        },
        "val": {"val_freq": 10**9, "save_img": False},
        "logger": {"print_freq": 10**6, "save_checkpoint_freq": 10**9, "use_tb_logger": False, "wandb": None},
        "dist_params": {"backend": "nccl", "port": 29500},
    }  # fmt: skip
    path = root / "options.yml"
    path.write_text(yaml.safe_dump(options))
    return path


def train(options: Path, root: Path, warm_up: int, measured: int, *, cuda: bool) -> None:
    from srbench.compat.torchvision import load_torchvision

    load_torchvision("basicsr")  # the installed one may be built for another torch
    # torchvision removed the module from which basicsr imports this function.
    from torchvision.transforms import functional

    removed = types.ModuleType("torchvision.transforms.functional_tensor")
    removed.rgb_to_grayscale = functional.rgb_to_grayscale
    sys.modules[removed.__name__] = removed
    from basicsr.models.sr_model import SRModel
    from basicsr.train import train_pipeline

    times: list[float] = []
    plain = SRModel.optimize_parameters

    def timed(self: SRModel, iteration: int) -> None:
        plain(self, iteration)
        if iteration in (warm_up, warm_up + measured):
            if cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter())
        if iteration == warm_up + measured:
            print(measured / (times[1] - times[0]), flush=True)
            shutil.rmtree(root, ignore_errors=True)
            os._exit(0)  # its loader would continue to prefetch

    SRModel.optimize_parameters = timed
    sys.argv = ["train", "-opt", str(options)]
    train_pipeline(str(root))


if __name__ == "__main__":
    sys.exit(main())

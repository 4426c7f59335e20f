"""Time the start of a training on large images: the first, which decodes them, and a second, which finds them cached.

    python benchmarks/timing/training_start.py [--images 64] [--size 2040x1356] [--scale 2] [--projected 800]

Images are synthetic, with noise that makes their PNG files about as large as those of photographs. Each start is a
process of its own, from its first statement to the first batch; CPU seconds of all its processes are given too. The
files are in the system's page cache, so that the disk is not measured. Costs per image are projected to as many images
as DIV2K has.

Bound: a second start with 800 images takes less than 10 s. Exit status 1 if it does not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BOUND = 10.0
# Fewer are decoded in one process and not cached (srbench.training.image_cache).
FEWEST = 64
STEPS = ("import", "hash files", "prepare images", "first batch")


def start(folder: Path, scale: int) -> None:
    """Start a training as far as its first batch, and print the seconds of each step as JSON."""
    times, cpu = {}, {}
    before, worked = time.perf_counter(), sum(os.times()[:4])

    def done(step: str) -> None:
        nonlocal before, worked
        now, work = time.perf_counter(), sum(os.times()[:4])  # of processes that it waited for, too
        times[step], cpu[step] = now - before, work - worked
        before, worked = now, work

    from srbench.data.datasets import open_dataset
    from srbench.training.image_cache import prepare_images
    from srbench.training.patches import TrainingPatches
    from srbench.training.recipe import make_recipe

    done("import")
    dataset = open_dataset(str(folder))
    dataset.pixel_hashes()  # for the data's hash, as `train` does; preparing hashes the files again
    done("hash files")
    images = prepare_images(dataset, (scale,))
    done("prepare images")
    TrainingPatches(images, make_recipe({"iterations": 1, "gt_size": 48 * scale}), (scale,)).batch(1)
    done("first batch")
    print(json.dumps({"wall": times, "CPU": cpu}))


def write_images(folder: Path, count: int, width: int, height: int) -> int:
    """Write images of smooth shapes and noise, all different, and return the size of the files."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (24, 36, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noise = rng.normal(0, 5, (height + 64, width, 3)).astype(np.int16)
    folder.mkdir()
    size = 0
    for number in range(count):
        pixels = np.clip(np.roll(smooth, 31 * number, 1) + noise[number % 64 : number % 64 + height], 0, 255)
        pixels[0, 0] = (number % 256, number // 256, 0)
        path = folder / f"{number:04}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path, compress_level=1)
        size += path.stat().st_size
    return size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=FEWEST, help=f"how many, at least {FEWEST}")
    parser.add_argument("--size", default="2040x1356", help="width x height")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--projected", type=int, default=800, help="number of images to project to")
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.start is not None:
        start(given.start, given.scale)
        return 0
    if given.images < FEWEST:
        parser.error(f"--images is at least {FEWEST}: fewer are not cached")
    width, height = map(int, given.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="srbench-start-") as scratch:
        folder = Path(scratch) / "images"
        size = write_images(folder, given.images, width, height)
        print(
            f"{given.images} images of {width}x{height}, PNG files of {size / given.images / 1e6:.1f} MB, "
            f"x{given.scale}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.2f}"
        )
        environment = {**os.environ, "SRBENCH_CACHE": str(Path(scratch) / "cache")}
        command = [sys.executable, __file__, "--start", str(folder), "--scale", str(given.scale)]
        projected = {}
        for name in ("first", "second"):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            for clock, times in json.loads(done.stdout).items():
                parts = ", ".join(f"{step} {times[step]:.2f}" for step in STEPS)
                per_image = (times["hash files"] + times["prepare images"]) / given.images
                whole = times["import"] + times["first batch"] + per_image * given.projected
                projected[name, clock] = whole
                print(
                    f"  {name:6} start, {clock:4} {sum(times.values()):6.2f} s ({parts}): {1e3 * per_image:.1f} ms per "
                    f"image, {whole:.1f} s with {given.projected} images"
                )
    missed = projected["second", "wall"] >= BOUND
    print(f"  second start with {given.projected} images, bound {BOUND:.0f} s: {'MISSED' if missed else 'ok'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

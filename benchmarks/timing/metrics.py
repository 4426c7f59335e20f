"""Time PSNR-Y and SSIM-Y against basicsr's functions at 1280x720 with one thread.

Our metrics are timed including the preparation of the comparison in each call.

basicsr is timed in its fastest form: its OpenCV version, on arrays already in its channel order. Each round has a new
random order. Prints medians, their ratios and the bounds; exit status 1 if a bound is missed.
"""

from __future__ import annotations

import os

THREADS = 1
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = str(THREADS)

import random  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402

from srbench.images.resize import imresize  # noqa: E402
from srbench.metrics.comparison import Comparison  # noqa: E402
from srbench.metrics.psnr import PSNRY  # noqa: E402
from srbench.metrics.ssim import SSIMY  # noqa: E402
from srbench.protocols import get_protocol  # noqa: E402

SCALE = 2
WARM_UP = 3
ROUNDS = 31
# basicsr's median divided by ours must be at least this.
BOUNDS = {"psnr_y": 4.0, "ssim_y": 2.0}


def main() -> int:
    import cv2
    import torch

    from srbench.compat.basicsr import load_basicsr

    load_basicsr()
    from basicsr.metrics.psnr_ssim import calculate_psnr, calculate_ssim

    cv2.setNumThreads(THREADS)
    torch.set_num_threads(THREADS)

    rng = np.random.default_rng(0)
    hr = imresize(rng.integers(0, 256, (180, 320, 3), dtype=np.uint8), 4)
    sr = np.clip(hr + rng.normal(0, 6, hr.shape), 0, 255).astype(np.uint8)
    bgr = [np.ascontiguousarray(image[..., ::-1]) for image in (sr, hr)]
    options = {"crop_border": SCALE, "test_y_channel": True}
    psnr, ssim, protocol = PSNRY(), SSIMY(), get_protocol("matlab-y")
    candidates: dict[tuple[str, str], Callable[[], float]] = {
        ("psnr_y", "srbench"): lambda: psnr(Comparison.under(protocol, sr, hr, SCALE)),
        ("psnr_y", "basicsr"): lambda: calculate_psnr(*bgr, **options),
        ("ssim_y", "srbench"): lambda: ssim(Comparison.under(protocol, sr, hr, SCALE)),
        ("ssim_y", "basicsr"): lambda: calculate_ssim(*bgr, **options),
    }
    values = {key: run() for key, run in candidates.items()}
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in candidates}
    order = list(candidates)
    shuffle = random.Random(0).shuffle
    for turn in range(WARM_UP + ROUNDS):
        shuffle(order)
        for key in order:
            start = time.perf_counter()
            candidates[key]()
            if turn >= WARM_UP:
                seconds[key].append(time.perf_counter() - start)

    print(f"metrics, 1280x720, {THREADS} thread, medians of {ROUNDS} interleaved rounds [quartiles]")
    missed = False
    for metric, bound in BOUNDS.items():
        medians = {}
        for library in ("basicsr", "srbench"):
            times = seconds[metric, library]
            low, medians[library], high = statistics.quantiles(times, n=4)
            shown = f"{medians[library] * 1e3:8.2f} ms [{low * 1e3:.2f}, {high * 1e3:.2f}]"
            print(f"  {metric} {library:8s}{shown}   = {values[metric, library]:.9f}")
        ratio = medians["basicsr"] / medians["srbench"]
        missed |= ratio < bound
        print(f"  {metric} ratio {ratio:.2f} (at least {bound:.1f}){'   MISSED' if ratio < bound else ''}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

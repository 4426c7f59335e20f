"""How much memory a forward pass really takes, measured.

On a GPU torch's allocator knows. On a CPU it does not: there the pass runs in a fresh process, whose own peak of
resident memory the kernel keeps, and what the process held just before is taken off. Both see what operators need
inside (copied or reordered arrays), which `Work.peak_bytes`, counted from shapes, does not.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from srbench.errors import CostError
from srbench.machine import check_threads

__all__ = ["peak_on_cpu", "peak_on_cuda"]

_STATUS = Path("/proc/self/status")
_SENTENCE = re.compile(r"^srbench\.errors\.\w+: ")  # an error of this package says all by itself


def peak_on_cuda(model: object, lr: object) -> int:
    """Return the bytes that a forward pass on a GPU takes at its peak beyond what was allocated before it.

    Args:
        model: A network in evaluation mode on the GPU.
        lr: LR images `(N, 3, h, w)` there.

    Raises:
        CostError: The network fails on these images, or the GPU's memory does not hold what it needs.
    """
    import torch

    assert isinstance(model, torch.nn.Module)
    assert isinstance(lr, torch.Tensor)
    try:
        with torch.inference_mode():
            model(lr)  # what libraries set up once is no part of it
            torch.cuda.synchronize(lr.device)
            before = torch.cuda.memory_allocated(lr.device)
            torch.cuda.reset_peak_memory_stats(lr.device)
            model(lr)
            torch.cuda.synchronize(lr.device)
            return int(torch.cuda.max_memory_allocated(lr.device) - before)
    except RuntimeError as error:  # too little memory is one
        shape = "x".join(map(str, lr.shape))
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CostError(
            f"the peak memory could not be measured: the network fails on an LR batch of {shape} ({first}); give a "
            "smaller image with --lr-size"
        ) from error


def peak_on_cpu(
    name: str,
    scale: int,
    height: int,
    width: int,
    *,
    threads: int = 1,
    folded: bool = False,
    pretrained: bool = False,
) -> int:
    """Return the bytes by which a fresh process grows at its peak in a forward pass on one LR image, after a tiny one.

    Args:
        name: The model's name.
        scale: The scale.
        height: LR pixels.
        width: LR pixels.
        threads: CPU threads of torch.
        folded: Measure the folded network.
        pretrained: Load the weights of the name's tag: they matter where masks decide what is computed.

    Raises:
        ConfigError: The number of threads makes no sense.
        CostError: This system does not tell a process's peak, or the process failed (with too little memory, say).
    """
    if not _STATUS.exists():
        raise CostError("the peak memory of a forward pass on the CPU can be measured on Linux only")
    check_threads(threads)
    task = json.dumps([name, scale, height, width, threads, folded, pretrained])
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-m", "srbench.cost.memory", task],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise CostError(f"the peak memory of '{name}' could not be measured: {_SENTENCE.sub('', last)}")
    return int(done.stdout.split()[-1])


def _resident(field: str) -> int:
    """Return a size that the kernel keeps of this process, in bytes: `VmRSS` now, `VmHWM` at its peak."""
    lines = _STATUS.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _child(task: str) -> None:
    import torch

    from srbench.cost.images import photograph
    from srbench.models.factory import create_model
    from srbench.models.surgery import fold

    name, scale, height, width, threads, folded, pretrained = json.loads(task)
    torch.set_num_threads(threads)
    model = create_model(name, scale=scale, pretrained=pretrained, seed=0).eval()
    model = fold(model, scale) if folded else model
    with torch.inference_mode():
        model(photograph(scale, 16, 16))
        before = _resident("VmRSS")
        # A peak before this one, as of loading torch, must not hide it.
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        model(photograph(scale, height, width))
        print(_resident("VmHWM") - before)


if __name__ == "__main__":
    _child(sys.argv[1])

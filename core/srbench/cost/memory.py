"""Measured peak memory of a forward pass.

On a GPU torch's allocator reports it. On a CPU the pass runs in a new process, whose peak resident memory the kernel
records; the resident memory just before the pass is subtracted. Both include what operators need internally (copied
or reordered arrays), unlike `Work.peak_bytes`, which is counted from shapes.
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
from srbench.validation import first_line

__all__ = ["peak_on_cpu", "peak_on_cuda", "resident"]

_STATUS = Path("/proc/self/status")
_SENTENCE = re.compile(r"^srbench\.errors\.\w+: ")  # class names of this package's errors are removed from messages


def peak_on_cuda(model: object, lr: object) -> int:
    """Return the peak memory in bytes of a forward pass on a GPU, beyond what was allocated before.

    Args:
        model: A network in evaluation mode on the GPU.
        lr: LR images `(N, 3, h, w)` there.

    Raises:
        CostError: The network fails on these images, or the GPU does not have enough memory.
    """
    import torch

    assert isinstance(model, torch.nn.Module)
    assert isinstance(lr, torch.Tensor)
    try:
        with torch.inference_mode():
            model(lr)  # exclude what libraries allocate once
            torch.cuda.synchronize(lr.device)
            before = torch.cuda.memory_allocated(lr.device)
            torch.cuda.reset_peak_memory_stats(lr.device)
            model(lr)
            torch.cuda.synchronize(lr.device)
            return int(torch.cuda.max_memory_allocated(lr.device) - before)
    except RuntimeError as error:  # also raised if memory is exhausted
        shape = "x".join(map(str, lr.shape))
        raise CostError(
            f"the peak memory could not be measured: the network fails on an LR batch of {shape} "
            f"({first_line(error)}); give a smaller image with --lr-size"
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
    weights: Path | None = None,
    path: str | None = None,
) -> int:
    """Return the peak growth in bytes of a new process in a forward pass on one LR image, after a warm-up pass.

    Args:
        name: The model's name.
        scale: The scale.
        height: LR pixels.
        width: LR pixels.
        threads: CPU threads of torch.
        folded: Measure the folded network.
        pretrained: Load the weights of the name's tag, which matter if masks decide what is computed.
        weights: A checkpoint to load instead.
        path: The inference path; the network's own if not given.

    Raises:
        ConfigError: The number of threads is invalid.
        CostError: This system does not report a process's peak, or the process failed, e.g. for lack of memory.
    """
    if not _STATUS.exists():
        raise CostError("the peak memory of a forward pass on the CPU can be measured on Linux only")
    check_threads(threads)
    task = json.dumps(
        [name, scale, height, width, threads, folded, pretrained, None if weights is None else str(weights), path]
    )
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


def resident(field: str) -> int:
    """Return this process's resident memory in bytes, as recorded by the kernel: `VmRSS` now, `VmHWM` at its peak.

    Linux only. The peak of `getrusage` starts at that of the process that started this one; this one does not.
    """
    lines = _STATUS.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _child(task: str) -> None:
    import torch

    from srbench.cost.images import photograph
    from srbench.models.factory import create_model
    from srbench.models.loading import load_at_scale
    from srbench.models.surgery import fold
    from srbench.registry.registries import PATHS

    name, scale, height, width, threads, folded, pretrained, weights, path = json.loads(task)
    torch.set_num_threads(threads)
    if weights is None:
        model = create_model(name, scale=scale, pretrained=pretrained, seed=0).eval()
    else:
        model = load_at_scale(name, Path(weights), scale).eval()
    model = fold(model, scale) if folded else model
    model = PATHS.get(path)(model) if path is not None else model
    with torch.inference_mode():
        model(photograph(scale, 16, 16))
        before = resident("VmRSS")
        # Reset the peak: an earlier one, e.g. from loading torch, must not hide this one.
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        model(photograph(scale, height, width))
        print(resident("VmHWM") - before)


if __name__ == "__main__":
    _child(sys.argv[1])

"""Random states and deterministic computation of trainings."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

__all__ = ["random_state", "reproducible", "restore_random_state"]


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the states of the global generators of Python, NumPy and torch as plain values and tensors."""
    legacy: Any = np.random.get_state(legacy=True)  # noqa: NPY002 - a plugin may draw from it
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (legacy[0], torch.from_numpy(legacy[1].astype(np.int64)), *legacy[2:]),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Restore the global generators from a result of `random_state`."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


@contextlib.contextmanager
def reproducible(
    seed: int, threads: int, device: torch.device, *, deterministic: bool = True, tf32: bool = False
) -> Iterator[None]:
    """Seed everything and set torch's computation modes; restore all of it afterwards.

    Args:
        seed: Seed of the generators of Python, NumPy and torch.
        threads: Torch's CPU threads.
        device: The training's device.
        deterministic: Give bit-identical results every time; otherwise cuDNN chooses the fastest kernels by
            benchmarking.
        tf32: Let GPUs round factors of float32 products to 10 bits.
    """
    before = random_state(device)
    old_threads = torch.get_num_threads()
    old_modes = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    old_fill = memory.fill_uninitialized_memory
    old_cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    old_tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    # cuBLAS reads this when it starts; without it, its matrix products may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # Only warn about operations without a deterministic form (on GPUs, some backward passes of interpolation).
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    # This would fill every new tensor, which only matters to code that reads uninitialized memory.
    memory.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = not deterministic, deterministic
    # By default torch uses TF32 in convolutions, though not in matrix products.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(old_threads)
        torch.use_deterministic_algorithms(old_modes[0], warn_only=old_modes[1])
        memory.fill_uninitialized_memory = old_fill
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = old_cudnn
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = old_tf32
        restore_random_state(before, device)

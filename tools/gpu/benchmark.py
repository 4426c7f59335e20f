"""Measure iterations per second of our training loop, a bare PyTorch loop and basicsr's trainer."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from srbench.data.datasets import open_dataset
from srbench.models.factory import create_model
from srbench.training.basicsr_model import SRBenchModel
from srbench.training.determinism import reproducible
from srbench.training.image_cache import PreparedImages, prepare_images
from srbench.training.patches import TrainingPatches
from srbench.training.precision import autocast, in_layout, keep_in_float32, memory_format
from srbench.training.recipe import Recipe, make_recipe

__all__ = ["run_benchmark"]

Say = Callable[[str], None]

FAST = {"precision": "bf16", "channels_last": True, "compile": "graph", "deterministic": False}
LABEL = "bf16 channels-last graph"
GPU_CASES: list[tuple[str, int, str, dict[str, Any]]] = [
    ("edsr_baseline", 96, "float32", {}),
    ("edsr_baseline", 96, "tf32", {"precision": "tf32", "deterministic": False}),
    ("edsr_baseline", 96, "bf16 channels-last", {**FAST, "compile": "none"}),
    ("edsr_baseline", 96, LABEL, FAST),
    ("edsr_baseline", 96, f"{LABEL}, deterministic", {**FAST, "deterministic": True}),
    ("edsr_tiny", 96, "float32", {}),
    ("edsr_tiny", 96, "float32 graph", {"compile": "graph"}),
    ("edsr_tiny", 96, LABEL, FAST),
    ("edsr_baseline", 64, LABEL, FAST),
]
CPU_CASES: list[tuple[str, int, str, dict[str, Any]]] = [
    ("edsr_tiny", 96, "float32", {}),
    ("edsr_tiny", 96, "bf16", {"precision": "bf16"}),
]
LANES = (1, 4, 12)
PROCESSES = (1, 4, 8)
SHARED = ("edsr_baseline+recursive", "edsr_baseline+ps(ratio=1/4,shape=64x64x1x1)", "edsr_baseline+dsconv(blocks=16)")


def run_benchmark(out: Path, data: str, device: torch.device, *, seconds: float, basicsr: bool, say: Say) -> None:
    """Measure for about `seconds`, and write `benchmark.json` after each figure."""
    results: dict[str, Any] = {"device": _name(device), "torch": torch.__version__, "rows": []}
    cuda = device.type == "cuda"
    images = prepare_images(open_dataset(data), (2,))
    cases = list(GPU_CASES if cuda else CPU_CASES)
    cases += [(model, 64, LABEL, FAST) for model in SHARED] if cuda else []
    each = seconds / (2 * len(cases))

    def keep(row: dict[str, Any]) -> None:
        results["rows"].append(row)
        (out / "benchmark.json").write_text(json.dumps(results, indent=1))
        say("  " + "  ".join(f"{key} {value}" for key, value in row.items()))

    if cuda:
        keep({"what": "bf16 matrix product 8192", "TFLOP/s": round(_matrix_rate(device), 1)})
    for model, side, label, values in cases:
        recipe = make_recipe({"iterations": 10**6, "gt_size": side, "lr": 1e-4, **values})
        try:
            ours = _ours(model, recipe, images, device, each)
            bare = _bare(model, recipe, images, device, each)
        except Exception as error:  # a failing combination must not prevent the others
            keep({"model": model, "options": label, "gt": side, "failed": f"{type(error).__name__}: {error}"[:300]})
            continue
        work = _flops(model, side, recipe.batch_size)
        keep(
            {
                "model": model,
                "options": label,
                "gt": side,
                "ours it/s": round(ours, 1),
                "bare it/s": round(bare, 1),
                "ratio": round(ours / bare, 3),
                "TFLOP/s": round(ours * work / 1e12, 2),
            }
        )
    for lanes in LANES if cuda else ():
        try:
            rate = _side_by_side("edsr_baseline", lanes, images, device)
            keep({"model": "edsr_baseline", "options": LABEL, "gt": 64, "side by side": lanes, "it/s": round(rate, 1)})
        except Exception as error:
            keep({"side by side": lanes, "failed": f"{type(error).__name__}: {error}"[:300]})
    for count in PROCESSES if cuda else (1, 2):
        model = "edsr_baseline" if cuda else "edsr_tiny"
        try:
            rate = _in_processes(model, data, device, count, FAST if cuda else {})
            keep({"model": model, "gt": 64, "processes": count, "it/s": round(rate, 1)})
        except Exception as error:
            keep({"processes": count, "failed": f"{type(error).__name__}: {error}"[:300]})
    if basicsr:
        for model in ("edsr_baseline", "edsr_tiny") if cuda else ("edsr_tiny",):
            keep({"model": model, "options": "basicsr's trainer", "gt": 96, "it/s": _stock(model, data, cuda, out)})


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _rate(step: Callable[[int], Any], device: torch.device, seconds: float) -> float:
    """Return iterations per second after a warm-up, synchronizing with the device at start and end."""
    for iteration in range(1, 9):
        step(iteration)
    _wait(device)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(10):
            count += 1
            step(8 + count)
        if count % 100 == 0:
            _wait(device)
    _wait(device)
    return count / (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _modes(recipe: Recipe, device: torch.device) -> Any:
    return reproducible(
        0, torch.get_num_threads(), device, deterministic=recipe.deterministic, tf32=recipe.precision == "tf32"
    )


def _ours(name: str, recipe: Recipe, images: PreparedImages, device: torch.device, seconds: float) -> float:
    with _modes(recipe, device):
        return _rate(_iterations(name, recipe, images, device), device, seconds)


def _iterations(name: str, recipe: Recipe, images: PreparedImages, device: torch.device) -> Callable[[int], Any]:
    """Return a function that makes one iteration of a new training."""
    patches = TrainingPatches(images, recipe, (2,), device=device)
    model = SRBenchModel(create_model(name, scale=2, seed=0), recipe, device)
    batch = model.batches_of(patches)
    return lambda iteration: model.step(batch(iteration), iteration)


def _bare(name: str, recipe: Recipe, images: PreparedImages, device: torch.device, seconds: float) -> float:
    """Time network, loss and optimiser on a fixed batch on the device."""
    with _modes(recipe, device):
        layout = memory_format(recipe)
        batch = TrainingPatches(images, recipe, (2,), device=device).batch(1)
        lr = batch.lr.contiguous(memory_format=layout)
        net: Any = create_model(name, scale=2, seed=0).to(device)
        net = in_layout(net, recipe)
        keep_in_float32(net, recipe)
        graphed = recipe.compile == "graph"
        adam: Any = {"fused": True, "capturable": True} if graphed else {"fused": True}
        optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr, **adam)
        criterion = nn.L1Loss()

        def step(_: int) -> None:
            optimizer.zero_grad(set_to_none=True)
            with autocast(recipe, device):
                sr = net(lr, 2)
            criterion(sr.float(), batch.hr).backward()
            optimizer.step()

        if not graphed:
            return _rate(step, device, seconds)
        stream = torch.cuda.Stream(device)
        with torch.cuda.stream(stream):
            for _ in range(3):
                step(0)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=stream):
                step(0)
        return _rate(lambda _: graph.replay(), device, seconds)


def _side_by_side(name: str, lanes: int, images: PreparedImages, device: torch.device, rounds: int = 150) -> float:
    """Return the total iterations per second of several trainings, each in its own stream."""
    recipe = make_recipe({"iterations": 10**6, "gt_size": 64, "lr": 1e-4, **FAST})
    with _modes(recipe, device):
        running = []
        for _ in range(lanes):
            patches = TrainingPatches(images, recipe, (2,), device=device)
            model = SRBenchModel(create_model(name, scale=2, seed=0), recipe, device)
            running.append((model, patches, torch.cuda.Stream(device)))

        def turn(iteration: int) -> None:
            for model, patches, stream in running:
                with torch.cuda.stream(stream):
                    model.step(patches.table(iteration), iteration)

        for iteration in range(1, 7):
            turn(iteration)
        _wait(device)
        start = time.perf_counter()
        for iteration in range(7, 7 + rounds):
            turn(iteration)
        _wait(device)
        return lanes * rounds / (time.perf_counter() - start)


def _in_processes(
    name: str,
    data: str,
    device: torch.device,
    count: int,
    values: dict[str, Any],
    *,
    seconds: float = 4,
    start: float = 40,
) -> float:
    """Return the total iterations per second of several trainings, each in its own process, in the same seconds."""
    begin = time.time() + start
    command = [sys.executable, __file__, name, data, str(device), json.dumps(values), str(begin), str(seconds)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        outputs = [process.communicate(timeout=start + seconds + 60)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    if any(process.returncode for process in running):
        raise RuntimeError("a process failed, or was not ready in time")
    return sum(float(output.split()[-1]) for output in outputs)


def _one_of_many(name: str, data: str, device_name: str, values: str, begin: float, seconds: float) -> int:
    """Train from a given time on, and print iterations per second."""
    device = torch.device(device_name)
    recipe = make_recipe({"iterations": 10**6, "gt_size": 64, "lr": 1e-4, **json.loads(values)})
    images = prepare_images(open_dataset(data), (2,))
    with _modes(recipe, device):
        step = _iterations(name, recipe, images, device)
        for iteration in range(1, 9):
            step(iteration)
        _wait(device)
        if time.time() > begin:
            return 1
        time.sleep(begin - time.time())
        count = 0
        while time.time() < begin + seconds:
            count += 1
            step(8 + count)
            if count % 20 == 0:
                _wait(device)
        _wait(device)
        print(count / (time.time() - begin))
    return 0


def _flops(name: str, side: int, batch: int) -> float:
    """Return the floating-point operations of an iteration: three times those of a forward pass."""
    from srbench.cost.counts import work_at
    from srbench.cost.operators import on_meta

    macs = float(work_at(on_meta(create_model(name, scale=2, seed=0)), 2, side // 2, side // 2).macs)
    return 3 * 2 * macs * batch


def _matrix_rate(device: torch.device) -> float:
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    rate = _rate(lambda _: a @ b, device, 0.5)
    return rate * 2 * 8192**3 / 1e12


def _stock(model: str, data: str, cuda: bool, out: Path) -> float | str:
    script = Path(__file__).with_name("stock_basicsr.py")
    command = [sys.executable, str(script), model, data, *(["--cuda"] if cuda else [])]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        return "took more than 90 s"
    if done.returncode:
        (out / f"stock-{model}.log").write_text(done.stdout[-5000:] + done.stderr[-5000:])
        return f"failed: {done.stderr.strip().splitlines()[-1][:200] if done.stderr.strip() else done.returncode}"
    return round(float(done.stdout.strip().splitlines()[-1]), 1)


if __name__ == "__main__":
    sys.exit(_one_of_many(*sys.argv[1:5], *map(float, sys.argv[5:7])))

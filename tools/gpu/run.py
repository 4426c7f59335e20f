"""Run all work that needs a GPU within a time limit; the next call resumes where this one stopped.

    python tools/gpu/run.py --out OUT --seconds 540 [--stages tests,benchmark,train,evaluate]

Reads `.gpu/wheels` and `.gpu/images` (`tools/gpu/prepare.py`), keeps the run in `.gpu/run`, and writes the results to
OUT: `benchmark.json`, `log.txt` and `trainings-*.tar`, each under 16 MiB. `srbench run` on the unpacked run finds the
trainings complete and measures them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

# Preserved across the restart after the installation.
START = float(os.environ.setdefault("SRBENCH_GPU_START", str(time.monotonic())))
ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".gpu"
# All its images are large enough for patches of 96x96, unlike some of T91.
BENCHMARK_DATA = "bsds400"
# Less is not worth the start of the processes.
LEAST_SECONDS = 60
SITE = Path("/tmp/srbench-gpu-site")
# EDSR-baseline; CARN and DRRN; MS-LapSRN; SMSR, SRResNet and IMDN.
SUITES = "ps-table1-x2,ps-main,laplacian-x2,sparse-x2"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--seconds", type=float, required=True, help="time limit")
    parser.add_argument("--stages", default="benchmark,tests,train", help="some of tests, benchmark, train, evaluate")
    parser.add_argument("--suites", default=SUITES, help="names or files of suites, the most important first")
    parser.add_argument("--budget", default="gpu", help="their budget; '' for whole suites")
    parser.add_argument("--datasets", default="Set5", help="data sets of the suites that are in .gpu/images")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--jobs", type=int, default=12, help="number of trainings side by side, in streams")
    parser.add_argument("--processes", type=int, default=6, help="number of those without a CUDA graph, in processes")
    parser.add_argument("--no-streams", action="store_true", help="train all networks in processes")
    parser.add_argument("--curve", type=int, default=20, help="number of points of a learning curve")
    parser.add_argument("--iterations", type=int, help="fewer iterations than in the suite, for testing")
    parser.add_argument("--models", type=int, help="only the first models, for testing")
    parser.add_argument("--seeds", type=int, help="only the first seeds, for testing")
    parser.add_argument("--open-all", action="store_true", help="start trainings that only a later call can finish")
    parser.add_argument("--benchmark-seconds", type=float, default=45)
    parser.add_argument("--tests-seconds", type=float, default=90)
    parser.add_argument("--no-basicsr", action="store_true", help="skip basicsr's trainer in the benchmark")
    parser.add_argument("--no-wheels", action="store_true", help="use the installed packages")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    if not chosen.no_wheels:
        install()
    os.environ.setdefault("SRBENCH_CACHE", str(KEPT / "cache"))
    os.environ.setdefault("SRBENCH_DATA", str(KEPT / "images"))
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ["CUDA_MODULE_LOADING"] = "LAZY"
    os.environ["OMP_NUM_THREADS"] = "1"
    with (chosen.out / "log.txt").open("a") as log:

        def say(text: str) -> None:
            line = f"[{time.monotonic() - START:6.1f} s] {text}"
            print(line, flush=True)
            print(line, file=log, flush=True)

        return stages(chosen, say)


def stages(chosen: argparse.Namespace, say) -> int:
    import torch
    from benchmark import run_benchmark
    from experiment import complete, pack, train_all

    end = START + chosen.seconds
    device = torch.device(chosen.device)
    say(f"torch {torch.__version__}, {torch.cuda.get_device_name() if device.type == 'cuda' else 'cpu'}")
    check_pixels(say)
    suites = [(name, *chosen_part(name, chosen)) for name in chosen.suites.split(",")]
    status = 0
    datasets = chosen.datasets.split(",")
    if {"Set5", "Set14", "BSD100"} & set(datasets):
        subprocess.run(
            [sys.executable, "-m", "srbench", "cache", "add", *(str(KEPT / "images" / name) for name in datasets)],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    for stage in chosen.stages.split(","):
        say(f"stage {stage}")
        try:
            if stage == "tests":
                status |= run_tests(min(chosen.tests_seconds, end - time.monotonic()), chosen.out, say)
            elif stage == "benchmark":
                run_benchmark(
                    chosen.out, BENCHMARK_DATA, device, seconds=chosen.benchmark_seconds,
                    basicsr=not chosen.no_basicsr, say=say,
                )  # fmt: skip
            elif stage == "train":
                for name, suite, folder in suites:
                    if not chosen.no_streams:
                        train_all(
                            suite, folder, datasets=datasets, device=device, jobs=chosen.jobs,
                            until=end - 12, curve=chosen.curve, open_all=chosen.open_all, say=say,
                        )  # fmt: skip
                    worth_it = end - time.monotonic() > LEAST_SECONDS
                    # `srbench run` knows nothing of a trial's fewer models and iterations.
                    if worth_it and not is_trial(chosen) and not complete(suite, folder, datasets):
                        run_suite(name, folder, chosen, end, ["--validate", datasets[0]], say)
                    done = complete(suite, folder, datasets)
                    say(f"{suite.label}: {'all trainings are complete' if done else 'some trainings are left'}")
            elif stage == "evaluate":
                for name, _, folder in suites:
                    status |= run_suite(name, folder, chosen, end, [], say)
            else:
                raise SystemExit(f"there is no stage '{stage}'")
        except Exception:  # earlier results are kept, and later stages still run
            status = 1
            say(traceback.format_exc())
    if (KEPT / "run").is_dir() and not is_trial(chosen):
        pack(KEPT / "run", chosen.out, files=4)
    say("done")
    return status


def is_trial(chosen: argparse.Namespace) -> bool:
    return bool(chosen.iterations or chosen.models or chosen.seeds)


def chosen_part(name: str, chosen: argparse.Namespace) -> tuple[Any, Path]:
    """Return a suite at the budget, reduced for a trial, and the folder of its run."""
    from srbench.suite.definition import TrainSpec, load_suite

    suite = load_suite(Path(name) if name.endswith(".yaml") else name)
    if chosen.budget:
        suite = suite.at_budget(chosen.budget)
    folder = KEPT / ("trial" if is_trial(chosen) else "run") / suite.label
    if is_trial(chosen):
        train = {**suite.train.model_dump(), **({"iterations": chosen.iterations} if chosen.iterations else {})}
        suite = suite.model_copy(
            update={
                "train": TrainSpec.model_validate(train),
                "models": suite.models[: chosen.models],
                "seeds": suite.seeds and suite.seeds[: chosen.seeds],
            }
        )
    return suite, folder


def run_suite(name: str, folder: Path, chosen: argparse.Namespace, end: float, options: list[str], say) -> int:
    """Train and measure what is missing with `srbench run`, as far as time permits."""
    command = ["run", "--suite", name, "--out", str(folder), "--device", chosen.device, "--datasets", chosen.datasets]
    command += ["--jobs", str(chosen.processes), *(["--budget", chosen.budget] if chosen.budget else []), *options]
    log = chosen.out / f"{folder.name}.txt"
    status = limited([sys.executable, "-m", "srbench", *command], end - time.monotonic() - 25, log)
    for line in log.read_text(errors="replace").splitlines()[-5:]:
        say(f"  {line}")
    return status


def install() -> None:
    """Install the wheels into a separate folder, prepend it to the path, and restart."""
    if not SITE.is_dir():
        wheels = sorted(str(path) for path in (KEPT / "wheels").glob("*.whl"))
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
        subprocess.run([*pip, "--no-cache-dir", "--upgrade", "--target", str(SITE), *wheels], check=True)
    if str(SITE) not in os.environ.get("PYTHONPATH", ""):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SITE), os.environ.get("PYTHONPATH")]))
        os.execv(sys.executable, [sys.executable, *sys.argv])


def check_pixels(say) -> None:
    """Compare the decoded images with those of the packing machine, since JPEG decoders may differ."""
    from concurrent.futures import ThreadPoolExecutor

    from PIL import Image

    noted = json.loads((KEPT / "images" / "pixels.json").read_text())

    def same(item: tuple[str, str]) -> bool:
        with Image.open(KEPT / "images" / item[0]) as picture:
            image = picture.convert("RGB")
            return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest() == item[1]

    with ThreadPoolExecutor(8) as pool:
        equal = sum(pool.map(same, noted.items()))
    say(f"{equal} of {len(noted)} images have the pixels that they had where they were packed")


def run_tests(seconds: float, out: Path, say) -> int:
    """Run the tests marked `gpu`."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "tests/gpu", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "no:xdist", "--durations=5"]
    status = limited(command, seconds, out / "tests.txt")
    lines = (out / "tests.txt").read_text(errors="replace").splitlines()
    for line in lines[-25:]:
        say(f"  {line}")
    return status


def limited(command: list[str], seconds: float, log: Path) -> int:
    """Run a program with its output in a file, and interrupt it after a time limit, so that it keeps what it has."""
    with log.open("w") as file:
        running = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        try:
            return running.wait(timeout=max(1.0, seconds))
        except subprocess.TimeoutExpired:
            running.terminate()
        try:
            running.wait(timeout=10)
        except subprocess.TimeoutExpired:
            running.kill()
        file.write(f"\nended after {seconds:.0f} s\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())

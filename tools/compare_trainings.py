"""Check whether the code of a commit and of this checkout train a model identically.

    python tools/compare_trainings.py REF MODEL... --data embedded-train [--scale 2] [--recipe FILE] [--iterations 20]

Both train each model from the same seed for the same first iterations, REF in a temporary git worktree. Losses and
state (weights, optimiser, schedulers, generators) must then be equal bit for bit. The recipe is that of the whole
training, so that the learning rate follows the same schedule. Exit status 1: something differs.

Trainings of older versions have no trace to replay (`srbench run --adopt`). For these, this tool shows that the code
change does not affect the training.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent

# Runs with the code of either version: all commits have `train` and checkpoints, but their modules have moved.
_TRAIN = """
import importlib, json, sys
from pathlib import Path

import torch

# Otherwise modules missing in this tree would be imported from the editable installation.
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in str(getattr(finder, "__module__", ""))]

def found(*places):
    for place in places:
        module, _, name = place.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise SystemExit(f"this commit has none of {', '.join(places)}")

train = found("srbench.training.train:train", "srbench.engine.train:train")
Recipe = found("srbench.training.recipe:Recipe", "srbench.engine.recipe:Recipe")

class Enough(Exception):
    pass

def stop(at):
    if at.iteration >= iterations:
        raise Enough

task = json.loads(sys.argv[1])
iterations = task["iterations"]
out = Path(task["out"])
recipe = Recipe.model_validate({**task["recipe"], "checkpoint_every": 1})
try:
    train(task["model"], scales=(task["scale"],), data=task["data"], recipe=recipe, out_dir=out, progress=stop)
except Enough:
    pass
torch.load(out / "checkpoint.pt", weights_only=True)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ref", help="a commit, branch or tag")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--data", required=True, help="a data set's name, a folder, or a list of images")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--recipe", type=Path, help="a YAML file; 1,000 iterations with the defaults if not given")
    parser.add_argument("--iterations", type=int, default=20, help="number of iterations to compare")
    options = parser.parse_args()
    recipe = yaml.safe_load(options.recipe.read_text()) if options.recipe else {"iterations": 1000}
    data = str(Path(options.data).resolve()) if Path(options.data).exists() else options.data
    different = 0
    with tempfile.TemporaryDirectory(prefix="srbench-compare-") as folder:
        tree = Path(folder, "tree")
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "-q", "--detach", tree, options.ref], check=True)
        try:
            for number, model in enumerate(options.models):
                states = []
                for name, root in (("before", tree), ("now", ROOT)):
                    out = Path(folder, f"{name}{number}")
                    task = {
                        "model": model, "scale": options.scale, "data": data, "recipe": recipe,
                        "iterations": options.iterations, "out": str(out),
                    }  # fmt: skip
                    states.append(_state(root, task, out))
                found = _differences(*states)
                print(f"{model}: {'different: ' + ', '.join(found) if found else 'identical'}")
                different += bool(found)
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=True)
    return int(different > 0)


def _state(root: Path, task: dict[str, object], out: Path) -> dict[str, object]:
    """Train for a few iterations with the code under a folder, and return the state of the checkpoint."""
    import torch

    described = out.parent / f"{out.name}-metadata"
    _describe(root, described)
    places = [described, root / "core", *sorted(root.glob("plugins/*/src"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places)), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", _TRAIN, json.dumps(task)], check=True, env=environment, cwd=out.parent)
    state: dict[str, object] = torch.load(out / "checkpoint.pt", weights_only=True)["state"]
    for name in ("seconds", "trace"):  # duration, and a key that older checkpoints lack
        state.pop(name, None)
    return state


def _describe(root: Path, folder: Path) -> None:
    """Write the metadata of the distributions in a folder, so that only their entry points are found."""
    for path in (root / "pyproject.toml", *root.glob("plugins/*/pyproject.toml")):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        name, version = project["name"], project["version"]
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        groups = [
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
            for group, entries in project.get("entry-points", {}).items()
        ]
        (info / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")


def _differences(before: object, now: object, place: str = "") -> list[str]:
    """Return the places where two states differ."""
    import torch

    if isinstance(before, torch.Tensor) and isinstance(now, torch.Tensor):
        return [] if before.dtype == now.dtype and torch.equal(before, now) else [place]
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted({*before, *now}, key=str)
        inner = [_differences(before.get(key), now.get(key), f"{place}.{key}".lstrip(".")) for key in keys]
        return [found for some in inner for found in some]
    if isinstance(before, list | tuple) and isinstance(now, list | tuple) and len(before) == len(now):
        inner = [_differences(a, b, f"{place}[{at}]") for at, (a, b) in enumerate(zip(before, now, strict=True))]
        return [found for some in inner for found in some]
    return [] if before == now else [place]


if __name__ == "__main__":
    sys.exit(main())

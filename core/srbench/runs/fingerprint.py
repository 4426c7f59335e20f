"""What decides a result, as hashes: a cell's key, a training's key, and the digest of the code behind a model.

Everything here reads names, metadata and source files only, so that a finished run is recognised without importing
torch.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from srbench.evaluation.options import DEFAULT, InferenceOptions
from srbench.registry import entry_points as plugins
from srbench.registry.names import ModelName
from srbench.storage import canonical_json

__all__ = ["DTYPE", "NUMERICS", "cell_key", "code_digest", "distributions", "training_key"]

DTYPE = "float32"

# Switches that change what is computed and that the runner sets. Versions of libraries, the device and the number of
# threads are recorded with a result but are no part of its key: they move a mean by less than is printed
# (docs/adr/0005-results-store.md).
NUMERICS: dict[str, str | bool | int] = {"tf32": False}

CORE = "sr-bench"

# What cannot change a number. A better page or message must not ask for a hundred hours of training again.
_NEUTRAL = frozenset(
    {
        "cli", "cost", "leaderboard", "leaderboards", "suites", "testing",
        "crops.py", "executor.py", "figures.py", "fingerprint.py", "loading.py", "plan.py", "record_cost.py",
        "reported.py", "results.py", "runner.py", "storage.py", "suite.py", "suite_parts.py", "timm_bridge.py",
        "yaml_lines.py",
    }
)  # fmt: skip
# The same in a plugin's package.
_NEUTRAL_IN_PLUGINS = frozenset({"cli", "figures"})
_CODE = frozenset({".py", ".so", ".pyd"})


def distributions(name: ModelName, metrics: Sequence[str] = ()) -> dict[str, str]:
    """Return the distributions that a model and the metrics come from, and the core: name -> version."""
    wanted = [("backbones", name.backbone), ("baselines", name.backbone)]
    if name.method is not None:
        wanted.append(("methods", name.method))
    wanted.extend(("metrics", metric) for metric in metrics)
    found = {CORE: metadata.version(CORE)}
    for kind, item_name in wanted:
        for item in plugins.contributions()[kind].get(item_name, ()):
            if item.entry.dist is not None:
                found[item.entry.dist.name] = item.entry.dist.version
    return dict(sorted(found.items()))


def code_digest(names: Iterable[str]) -> str:
    """Return the SHA-256 of the code of some distributions.

    Source files are hashed as they lie on the disk, by their path in the package: an editable install and a wheel of
    the same code have the same digest, and an edited file shows.
    """
    digests = {name: _distribution_digest(name) for name in sorted(set(names))}
    return hashlib.sha256(canonical_json(digests).encode()).hexdigest()


@functools.cache
def _distribution_digest(name: str) -> str:
    files: dict[str, str] = {}
    for top in _top_levels(name):
        spec = importlib.util.find_spec(top)
        if spec is None:
            continue
        for folder in spec.submodule_search_locations or ():
            files.update(_hash_tree(Path(folder), top))
        if not spec.submodule_search_locations and spec.origin is not None:
            files[Path(spec.origin).name] = _hash(Path(spec.origin))
    return hashlib.sha256(canonical_json(files).encode()).hexdigest()


def _top_levels(name: str) -> set[str]:
    """Return the top-level packages that a distribution's entry points lie in; finding them imports nothing."""
    entries = metadata.distribution(name).entry_points
    return {entry.value.partition(":")[0].partition(".")[0] for entry in entries if entry.group.startswith("srbench.")}


def _hash_tree(folder: Path, top: str) -> dict[str, str]:
    files = {}
    neutral = _NEUTRAL if top == "srbench" else _NEUTRAL_IN_PLUGINS
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix not in _CODE or "__pycache__" in parts or parts[0] in neutral:
            continue
        files["/".join((top, *parts))] = _hash(path)
    return files


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def training_key(
    *,
    model: str,
    scales: Sequence[int],
    recipe_digest: str,
    data_hash: str,
    code: str,
    numerics: Mapping[str, Any] = NUMERICS,
) -> str:
    """Return the SHA-256 of everything that decides trained weights: the seed is part of the recipe."""
    return _key(
        {
            "kind": "training",
            "model": model,
            "scales": list(scales),
            "recipe": recipe_digest,
            "data": data_hash,
            "code": code,
            "dtype": DTYPE,
            "numerics": dict(numerics),
        }
    )


def cell_key(
    *,
    model: str,
    scale: int,
    scales: Sequence[int],
    weights: str | None,
    dataset_hash: str,
    protocol_digest: str,
    metrics: Sequence[str],
    code: str,
    inference: InferenceOptions = DEFAULT,
    numerics: Mapping[str, Any] = NUMERICS,
) -> str:
    """Return the SHA-256 of everything that decides a cell's result.

    Args:
        model: Canonical spelling, all arguments filled in.
        scale: The scale that is measured.
        scales: Those that the network was built for.
        weights: SHA-256 of the weights' content, or a training's key, or None for a model that has none.
        dataset_hash: Hash of the data set's decoded pixels.
        protocol_digest: Hash of the protocol.
        metrics: Names of the metrics.
        code: Digest of the code of the core and of the plugins involved.
        inference: How the network is run.
        numerics: Switches that change what is computed.
    """
    return _key(
        {
            "kind": "cell",
            "model": model,
            "scale": scale,
            "scales": list(scales),
            "weights": weights,
            "dataset": dataset_hash,
            "protocol": protocol_digest,
            "metrics": sorted(metrics),
            "code": code,
            "dtype": inference.record_dtype,
            "numerics": {**numerics, **inference.chosen},
        }
    )


def _key(value: object) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()

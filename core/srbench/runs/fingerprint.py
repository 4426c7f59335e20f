"""Hashes of everything that determines a result: keys of cells and trainings, and digests of code.

This module reads only names, metadata and source files, so that a finished run is recognized without importing torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import SRBenchError
from srbench.evaluation.options import DEFAULT, InferenceOptions
from srbench.registry.entry_points import Contribution, claims
from srbench.registry.names import ModelName
from srbench.runs.code_graph import CodeBase, installed_code
from srbench.storage import canonical_json

if TYPE_CHECKING:
    from srbench.protocols import Protocol
    from srbench.results.records import Record

__all__ = [
    "DTYPE",
    "NUMERICS",
    "UNKEYED_NUMERICS",
    "cell_code",
    "cell_key",
    "class_of",
    "distributions",
    "is_current",
    "other_code",
    "training_code",
    "training_key",
]

DTYPE = "float32"
FOLDER = "srbench.data.folders:FolderDataset"

# Switches set by the runner that affect the computation. Versions of libraries, the device and the number of threads
# are recorded with a result but are not part of its key: they change means by less than the printed precision
# (docs/adr/0005-results-store.md).
NUMERICS: dict[str, str | bool | int] = {"tf32": False}

# What a record's `numerics` has besides: like the device, it is no part of the key.
UNKEYED_NUMERICS = frozenset({"metrics_on_gpu"})

CORE = "sr-bench"

# The entry points of each kind of work; the code that they use is found from there.
_BUILDING = ("srbench.plugin:create_model", "srbench.plugin:load_into")
_MEASURING = (*_BUILDING, "srbench.plugin:evaluate", "srbench.plugin:Protocol")
_TRAINING = (*_BUILDING, "srbench.training.train:train", "srbench.plugin:Protocol")

# Metrics that follow the protocol's color.
_AS_COMPARED = frozenset({"psnr", "ssim"})


def distributions(name: ModelName, metrics: Sequence[str] = ()) -> dict[str, str]:
    """Return the distributions of a model, the metrics and the core: name -> version."""
    found = {CORE: metadata.version(CORE)}
    for item in (*_of_model(name), *_of_metrics(metrics)):
        if item.entry.dist is not None:
            found[item.entry.dist.name] = item.entry.dist.version
    return dict(sorted(found.items()))


def training_code(name: ModelName, *, code: CodeBase | None = None) -> str:
    """Return the SHA-256 of the code that determines the weights of a training.

    Args:
        name: The model.
        code: The code base; the installed code if not given.
    """
    return _code(code, [*_TRAINING, *(item.value for item in _of_model(name))], luma=False)


def cell_code(
    name: ModelName,
    *,
    metrics: Sequence[str],
    protocol: Protocol,
    dataset: str,
    path: str | None = None,
    code: CodeBase | None = None,
) -> str:
    """Return the SHA-256 of the code that determines the figures of a network with given weights.

    Args:
        name: The model; with a tag, the code that reads its weights is included.
        metrics: Names of the metrics.
        protocol: The protocol. Code for luma is excluded if the protocol and every metric use only RGB.
        dataset: `module:class` of the data set.
        path: The inference path of the network; None for its own.
        code: The code base; the installed code if not given.
    """
    items = (*_of_model(name), *_of_metrics(metrics), *_of_path(path))
    rgb = protocol.lr_channels == "rgb" and protocol.color == "rgb"
    luma = not (rgb and all(metric in _AS_COMPARED or metric.endswith("_rgb") for metric in metrics))
    return _code(code, [*_MEASURING, dataset, *(item.value for item in items)], luma=luma)


def class_of(value: object) -> str:
    """Return `module:class` of an object."""
    return f"{type(value).__module__}:{type(value).__qualname__}"


def is_current(record: Record) -> bool:
    """Return whether a record is up to date with the current code; False if one of its plugins is missing."""
    from srbench.data.datasets import open_dataset
    from srbench.protocols import get_protocol
    from srbench.registry import list_datasets

    name = ModelName(record.backbone, record.method, (), record.tag)
    try:
        protocol = get_protocol(record.protocol.partition("+")[0])
        whole = record.dataset if record.subset is None else record.subset.of
        dataset = class_of(open_dataset(whole)) if whole in list_datasets() else FOLDER
    except SRBenchError:
        return False
    if record.training is not None and record.training.code_digest != training_code(name):
        return False
    path = record.numerics.get("path")
    return record.code_digest == cell_code(
        name,
        metrics=tuple(record.metrics),
        protocol=protocol,
        dataset=dataset,
        path=None if path is None else str(path),
    )


def other_code(run_dir: str | Path) -> frozenset[str]:
    """Return the keys of a run's outdated cells.

    Raises:
        StoreError: There is no run in this directory.
    """
    from srbench.results.store import RunStore

    records = [cell.record for cell in RunStore(run_dir).cells()]
    return frozenset(record.key for record in records if record.status == "ok" and not is_current(record))


def _of_model(name: ModelName) -> list[Contribution]:
    wanted = [("backbones", name.backbone), ("baselines", name.backbone)]
    if name.method is not None:
        wanted.append(("methods", name.method))
    if name.tag is not None:
        wanted.append(("weights", str(ModelName(name.backbone, name.method, (), name.tag))))
    return _contributed(wanted)


def _of_metrics(metrics: Sequence[str]) -> list[Contribution]:
    return _contributed([("metrics", metric) for metric in metrics])


def _of_path(path: str | None) -> list[Contribution]:
    return [] if path is None else _contributed([("paths", path)])


def _contributed(wanted: Sequence[tuple[str, str]]) -> list[Contribution]:
    return [item for kind, name in wanted for item in claims(kind, name)]


def _code(code: CodeBase | None, entries: Sequence[str], *, luma: bool) -> str:
    code = installed_code() if code is None else code
    return hashlib.sha256(
        canonical_json(sorted({code.digest(entry, luma=luma) for entry in entries})).encode()
    ).hexdigest()


def training_key(
    *,
    model: str,
    scales: Sequence[int],
    recipe_digest: str,
    data_hash: str,
    code: str,
    numerics: Mapping[str, Any] = NUMERICS,
) -> str:
    """Return the SHA-256 of everything that determines trained weights; the seed is part of the recipe."""
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
    """Return the SHA-256 of everything that determines a cell's result.

    Args:
        model: Canonical name, with all arguments filled in.
        scale: The scale that is measured.
        scales: The scales that the network was built for.
        weights: SHA-256 of the weights' content, or the key of a training, or None for a model without weights.
        dataset_hash: Hash of the data set's decoded pixels.
        protocol_digest: Hash of the protocol.
        metrics: Names of the metrics.
        code: Digest of the code that measures it (`cell_code`).
        inference: Inference options.
        numerics: Switches that affect the computation.
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
